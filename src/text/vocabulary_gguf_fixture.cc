#include "text/vocabulary_gguf_fixture.h"

#include <array>
#include <cstdint>
#include <vector>

#include "gguf/writer.h"

namespace dormouse::text {

Status write_vocabulary_gguf(const VocabularyFixture& fixture, const std::string& path, std::string_view without) {
  gguf::Writer writer;
  const auto is_wanted = [&](std::string_view key) { return key != without; };
  if (is_wanted("tokenizer.ggml.model")) writer.add_string("tokenizer.ggml.model", "gpt2");
  if (is_wanted("tokenizer.ggml.pre")) writer.add_string("tokenizer.ggml.pre", "qwen2");
  if (is_wanted("tokenizer.ggml.tokens")) writer.add_string_array("tokenizer.ggml.tokens", fixture.tokens);
  if (is_wanted("tokenizer.ggml.merges")) writer.add_string_array("tokenizer.ggml.merges", fixture.merges);
  if (is_wanted("tokenizer.ggml.token_type")) {
    const std::vector<std::int32_t> types(fixture.types.begin(), fixture.types.end());
    writer.add_int32_array("tokenizer.ggml.token_type", types);
  }
  if (is_wanted("tokenizer.ggml.eos_token_id")) {
    writer.add_uint32("tokenizer.ggml.eos_token_id", static_cast<std::uint32_t>(fixture.eos));
  }
  const std::array<std::uint64_t, 1> shape = {8};
  writer.add_tensor("output_norm.weight", TensorType::kF32, shape);
  TRY_STATUS(writer.begin(path));
  const std::array<std::uint8_t, 32> zeros{};
  TRY_STATUS(writer.append(zeros));
  return writer.finish();
}

}  // namespace dormouse::text
