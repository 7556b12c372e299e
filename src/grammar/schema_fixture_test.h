// Test equipment: random schemas within the subset, and a validator of JSON Schema written from the standard alone: it
// shares no code with what is tested.
#pragma once

#include <boost/json/value.hpp>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/grammar.h"
#include "grammar/token_trie.h"

namespace dormouse::grammar {

// A schema, mostly small; every keyword of the subset occurs. As text.
[[nodiscard]] std::string random_schema(std::mt19937_64& random);

// Empty: valid. Else why not, with the place.
[[nodiscard]] std::string violation(const boost::json::value& root, const boost::json::value& schema,
                                    const boost::json::value& instance);

// Whether the text is one of the grammar's, byte by byte.
[[nodiscard]] bool matches(const std::shared_ptr<const Grammar>& grammar, std::string_view text);

// A vocabulary that is unkind to grammars: all bytes, tokens that span structure (`","`, `"}]`, `": {"`), halves of
// characters, runs of blanks; and one end token. Qwen3's own where it is there.
struct TestVocabulary {
  std::vector<std::string> texts;
  std::vector<TokenId> ends;
  std::unique_ptr<TokenTrie> trie;
};
[[nodiscard]] TestVocabulary unkind_vocabulary();
[[nodiscard]] TestVocabulary real_or_unkind_vocabulary();

}  // namespace dormouse::grammar
