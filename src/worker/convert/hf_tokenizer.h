// The tokenizer of a Hugging Face folder of Qwen3 as the tables of a GGUF: from tokenizer.json, or from vocab.json and
// merges.txt; added tokens also from tokenizer_config.json; the chat template from chat_template.jinja or
// tokenizer_config.json. Threads: any.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "worker/convert/hf_config.h"
#include "worker/tools/vocabulary.h"

namespace dormouse::worker {

struct HfTokenizer {
  // Its end_of_turn_id is the eos token, whatever its text (a base model has <|endoftext|>). Where the tokenizer puts a
  // token behind every text that is eos, as llama.cpp has it, and what would have been becomes eot_token_id.
  Vocabulary vocabulary;
  std::optional<std::uint32_t> eot_token_id;
  std::optional<std::uint32_t> bos_token_id;
  std::optional<std::uint32_t> pad_token_id;
  bool adds_bos = false;
  std::optional<bool> adds_eos;  // nullopt: neither file says
  std::string chat_template;     // empty: none
};

// Ids that tokenizer_config.json does not name come from `config`. What is returned, text::Tokenizer takes. Errors:
// kNotFound (a file or field), kDataLoss (damaged), kInvalidArgument (another kind of tokenizer), kTooLarge.
[[nodiscard]] Result<HfTokenizer> read_hf_tokenizer(const std::string& directory, const HfConfig& config);

}  // namespace dormouse::worker
