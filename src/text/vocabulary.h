// The tables behind a Tokenizer, as what encoding and decoding need. One way to read them, whether they were built from
// a file just now or lie in a mapping. Invariants, of built tables: (1) all 256 bytes are tokens; (2) every merge's
// parts and result are normal tokens and the result is the concatenation; so (3) merging can never yield an added
// token; (4) added tokens are not empty and not twice there. Of damaged ones: (1), (3) and (4). Owner: Tokenizer.
// Threads: const from any.
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/bpe.h"
#include "text/flat_tables.h"
#include "text/token_id.h"
#include "text/tokenizer.h"

namespace dormouse::text {

// Finds added tokens in a text: leftmost, then longest. A position costs at most the length of the longest token times
// the logarithm of their number, whatever the text.
class AddedTokens {
 public:
  // Views that outlive it. `ids` are in the order of their texts, none empty, none twice.
  AddedTokens(std::span<const TokenId> ids, const TokenTexts& texts);
  [[nodiscard]] std::optional<AddedToken> next(std::string_view text, std::size_t from) const;
  [[nodiscard]] std::optional<TokenId> find(std::string_view text) const;

 private:
  [[nodiscard]] std::optional<TokenId> longest_at(std::string_view text) const;

  std::span<const TokenId> ids_;
  TokenTexts texts_;
  std::bitset<256> first_bytes_;
};

class Vocabulary {
 public:
  // Errors: kInvalidArgument (a tokenizer we do not implement), kDataLoss (damaged tables).
  static Result<std::unique_ptr<const Vocabulary>> build(const VocabularyTables& tables);
  // Of flat tables that outlive it. Errors: those of FlatTables::parse.
  static Result<std::unique_ptr<const Vocabulary>> open(std::span<const std::uint8_t> bytes);

  [[nodiscard]] std::span<const std::uint8_t> flat() const { return tables_.bytes; }
  [[nodiscard]] std::size_t size() const { return tables_.types.size(); }
  [[nodiscard]] bool has(TokenId id) const { return id >= 0 && static_cast<std::size_t>(id) < size(); }
  // For an id that has(): its type, and its bytes (special tokens: their text).
  [[nodiscard]] TokenType type(TokenId id) const { return tables_.types[static_cast<std::size_t>(id)]; }
  [[nodiscard]] std::string_view bytes(TokenId id) const { return tables_.texts.of(id); }
  [[nodiscard]] const Bpe& bpe() const { return bpe_; }
  [[nodiscard]] const AddedTokens& added() const { return added_; }
  [[nodiscard]] TokenId first_padding_id() const { return tables_.header.first_padding_id; }
  [[nodiscard]] std::span<const TokenId> end_tokens() const {
    return std::span(tables_.header.end_tokens).first(tables_.header.end_count);
  }

 private:
  explicit Vocabulary(const FlatTables& tables);

  std::vector<std::uint8_t> storage_;  // what the views are of, unless they are somebody else's
  FlatTables tables_;
  Bpe bpe_;
  AddedTokens added_;
};

}  // namespace dormouse::text
