// Hostile tables: the tiny vocabulary with lines of the input put over its tokens, types and merges. Either a typed
// error, or a tokenizer that holds its promises. A line is: kind ('t' token, 'y' type, 'm' merge, 'p' pop, 'e' eos),
// an index of two bytes, and the new value.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"
#include "text/tokenizer.h"
#include "text/vocabulary_fixture.h"

namespace {

void apply_line(std::string_view line, dormouse::text::VocabularyFixture& fixture) {
  if (line.size() < 3) return;
  const std::size_t index =
      static_cast<std::size_t>(static_cast<std::uint8_t>(line[1])) * 256 + static_cast<std::uint8_t>(line[2]);
  const std::string value(line.substr(3));
  const auto put = [&](auto& values, auto new_value) {
    if (index < values.size()) values[index] = std::move(new_value);
    if (index == values.size()) values.push_back(std::move(new_value));
  };
  const std::int64_t number = value.empty() ? 0 : static_cast<signed char>(value[0]) - '0';
  if (line[0] == 't') put(fixture.tokens, value);
  if (line[0] == 'y') put(fixture.types, number);
  if (line[0] == 'm') put(fixture.merges, value);
  if (line[0] == 'p' && !fixture.tokens.empty()) fixture.tokens.pop_back();
  if (line[0] == 'e') fixture.eos = index;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using dormouse::text::SpecialTokens;
  using dormouse::text::Tokenizer;
  std::string_view input(reinterpret_cast<const char*>(data), size);
  auto fixture = dormouse::text::tiny_vocabulary();
  while (!input.empty()) {
    const std::size_t end = input.find('\n');
    apply_line(input.substr(0, end), fixture);
    input = end == std::string_view::npos ? std::string_view{} : input.substr(end + 1);
  }
  const auto tokenizer = Tokenizer::from_tables(fixture.tables());
  if (!tokenizer.has_value()) return 0;
  const std::string text = "aaaaaaaab the <|im_end|>im_\xe4\xbd\xa0\xff" + std::string(100, 'a') + std::string(70, ' ');
  const auto ids = tokenizer->encode(text, SpecialTokens::kAsText);
  for (const auto id : ids) CHECK(fixture.types[static_cast<std::size_t>(id)] == 1);
  CHECK(tokenizer->decode(ids) == text);
  CHECK(tokenizer->decode(tokenizer->encode(text, SpecialTokens::kParse)) == text);
  return 0;
}
