// Any bytes: a grammar or an error, and a grammar can be followed: no token the mask allows is refused, and there is
// one until the text is whole. First byte picks schema, expression or written grammar; the last bytes pick the tokens.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/constraint.h"
#include "grammar/gbnf.h"
#include "grammar/json_schema.h"
#include "grammar/regex.h"

namespace {

namespace grammar = dormouse::grammar;

grammar::TokenTrie bytes_and_a_few() {
  std::vector<std::string> texts;
  for (int byte = 0; byte < 256; ++byte) texts.emplace_back(1, static_cast<char>(byte));
  texts.insert(texts.end(), {"\",\"", "\": ", "}]", "aaaa", "00", ""});
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  const std::vector<grammar::TokenId> ends{static_cast<grammar::TokenId>(texts.size() - 1)};
  return {views, ends};
}

void follow(const std::shared_ptr<const grammar::Grammar>& compiled, std::string_view picks) {
  static const grammar::TokenTrie kTrie = bytes_and_a_few();
  grammar::Constraint constraint(std::make_shared<grammar::Matcher>(compiled, kTrie));
  for (const char pick : picks) {
    if (constraint.is_finished()) return;
    const auto mask = constraint.mask();
    if (!mask.has_value()) return;
    std::vector<grammar::TokenId> allowed;
    for (grammar::TokenId id = 0; static_cast<std::size_t>(id) < kTrie.vocabulary_size(); ++id) {
      if (grammar::is_allowed(*mask, id)) allowed.push_back(id);
    }
    if (allowed.empty()) return;  // cut off at kMaxPlaces: ends the sequence
    const auto status = constraint.accept(allowed[static_cast<std::uint8_t>(pick) % allowed.size()]);
    if (!status.has_value() && status.error().code != dormouse::Code::kTooLarge) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto compiled = data[0] % 3 == 0   ? grammar::compile_json_schema(text)
                        : data[0] % 3 == 1 ? grammar::compile_regex(text)
                                           : grammar::compile_gbnf(text);
  if (compiled.has_value()) follow(*compiled, text.substr(text.size() - std::min<std::size_t>(text.size(), 32)));
  return 0;
}
