// Hostile tables: those of the tiny vocabulary with the input's bytes put over them, or the input itself. Either a
// typed error, or a tokenizer whose every call ends inside its tables and whose texts are never added tokens. The first
// byte says which; of edits, each is a place of two bytes and a value of one.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "base/check.h"
#include "text/tokenizer.h"
#include "text/vocabulary_fixture.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using dormouse::text::SpecialTokens;
  using dormouse::text::Tokenizer;
  static const Tokenizer sound = *Tokenizer::from_tables(dormouse::text::tiny_vocabulary().tables());
  if (size == 0) return 0;
  std::vector<std::uint8_t> bytes;
  if (data[0] == 'w') {
    bytes.assign(data + 1, data + size);
  } else {
    bytes.assign(sound.flat().begin(), sound.flat().end());
    for (std::size_t i = 1; i + 3 <= size; i += 3) {
      const std::size_t at = static_cast<std::size_t>(data[i]) * 256 + data[i + 1];
      if (at < bytes.size()) bytes[at] = data[i + 2];
    }
  }
  const auto tokenizer = Tokenizer::from_flat(bytes);
  if (!tokenizer.has_value()) return 0;
  const std::string text =
      "aaaaaaaab the <|im_end|>im_\xe4\xbd\xa0\xff" + std::string(9000, 'a') + std::string(70, ' ');
  const auto ids = tokenizer->encode(text, SpecialTokens::kAsText);
  for (const auto id : ids) CHECK(id >= 0 && id < tokenizer->vocab_size() && !tokenizer->is_special(id));
  std::size_t total = tokenizer->decode(ids).size();
  total += tokenizer->decode(tokenizer->encode(text, SpecialTokens::kParse)).size();
  for (std::int32_t id = -1; id <= tokenizer->vocab_size(); ++id) total += tokenizer->token_bytes(id).size();
  CHECK(total > 0);
  return 0;
}
