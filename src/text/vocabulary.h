// The tables behind a Tokenizer, checked and turned into what encoding and decoding need; nothing of the file is kept.
// Invariants: (1) all 256 bytes are tokens; (2) every merge's parts and result are normal tokens and the result is the
// concatenation; so (3) merging can never yield an added token; (4) added tokens are not empty and not twice there.
// Owner: Tokenizer. Threads: const from any.
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/bpe.h"
#include "text/token_id.h"
#include "text/tokenizer.h"

namespace dormouse::text {

// The numbers are GGUF's (llama.cpp's llama_token_type).
enum class TokenType : std::uint8_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
};

// Finds added tokens in a text: leftmost, then longest. A position costs at most the length of the longest token times
// the logarithm of their number, whatever the text.
class AddedTokens {
 public:
  // Errors: kDataLoss (the same text twice).
  Status assign(std::vector<std::pair<std::string, TokenId>> tokens);
  [[nodiscard]] std::optional<AddedToken> next(std::string_view text, std::size_t from) const;
  [[nodiscard]] std::optional<TokenId> find(std::string_view text) const;

 private:
  [[nodiscard]] const std::pair<std::string, TokenId>* longest_at(std::string_view text) const;

  std::vector<std::pair<std::string, TokenId>> tokens_;  // by text
  std::bitset<256> first_bytes_;
};

class Vocabulary {
 public:
  // Errors: kInvalidArgument (a tokenizer we do not implement), kDataLoss (damaged tables).
  static Result<std::unique_ptr<const Vocabulary>> build(const VocabularyTables& tables);

  [[nodiscard]] std::size_t size() const { return types_.size(); }
  [[nodiscard]] bool has(TokenId id) const { return id >= 0 && static_cast<std::size_t>(id) < types_.size(); }
  // For an id that has(): its type, and its bytes (special tokens: their text).
  [[nodiscard]] TokenType type(TokenId id) const { return types_[static_cast<std::size_t>(id)]; }
  [[nodiscard]] std::string_view bytes(TokenId id) const;
  [[nodiscard]] const Bpe& bpe() const { return bpe_; }
  [[nodiscard]] const AddedTokens& added() const { return added_; }
  [[nodiscard]] TokenId first_padding_id() const { return first_padding_id_; }
  [[nodiscard]] const std::vector<TokenId>& end_tokens() const { return end_tokens_; }

 private:
  Vocabulary(std::size_t token_count, std::size_t merge_count) : bpe_(token_count, merge_count) {}

  class TextIndex;
  struct Parts {
    std::string_view left;
    std::string_view right;
  };
  Status read_tokens(const VocabularyTables& tables, TextIndex& index);
  Status index_normal(const VocabularyTables& tables, TextIndex& index) const;
  Status read_bytes(const TextIndex& index);
  Status read_merges(const VocabularyTables& tables, const TextIndex& index);
  // The normal token whose text is left + right; `guess` is tried first.
  [[nodiscard]] std::optional<TokenId> find_joined(const VocabularyTables& tables, const TextIndex& index,
                                                   const Parts& parts, TokenId guess) const;
  Status read_ends(const VocabularyTables& tables);

  std::string arena_;                   // every token's bytes, by id
  std::vector<std::uint32_t> offsets_;  // size() + 1, into arena_
  std::vector<TokenType> types_;
  Bpe bpe_;
  AddedTokens added_;
  TokenId first_padding_id_ = 0;
  std::vector<TokenId> end_tokens_;
};

}  // namespace dormouse::text
