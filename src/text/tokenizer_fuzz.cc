// Any bytes: what is encoded comes back; text is never an added token; parsing finds them and loses nothing.
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "text/tokenizer.h"
#include "text/vocabulary_fixture.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using dormouse::text::SpecialTokens;
  using dormouse::text::TokenId;
  using dormouse::text::Tokenizer;
  static const Tokenizer tokenizer = *Tokenizer::from_tables(dormouse::text::tiny_vocabulary().tables());
  static const TokenId first_added = *tokenizer.find("<|im_end|>");
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::vector<TokenId> ids = tokenizer.encode(text, SpecialTokens::kAsText);
  for (const TokenId id : ids) CHECK(id >= 0 && id < first_added);
  CHECK(tokenizer.decode(ids) == text);
  CHECK(tokenizer.decode(tokenizer.encode(text, SpecialTokens::kParse)) == text);
  return 0;
}
