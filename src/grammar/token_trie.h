// A vocabulary as a tree of bytes, laid out in the order of a walk: what a text may begin with is looked at once for
// all tokens that begin with it. One a model. Threads: const from any.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace dormouse::grammar {

using TokenId = std::int32_t;

class TokenTrie {
 public:
  struct Node {
    std::uint32_t subtree_end = 0;   // the first node that does not begin with this one's bytes
    std::uint32_t tokens_begin = 0;  // into tokens(): those that are exactly these bytes
    std::uint32_t tokens_end = 0;
    std::uint16_t depth = 0;  // bytes from the root; the root is not stored
    std::uint8_t byte = 0;
  };

  // bytes[id]: of each token; an empty text, or one over 64 KiB, is a token that no text contains. `end_tokens` end an
  // answer and have no text. Cost: a sort of the vocabulary, 60 ms at 151,936 tokens.
  TokenTrie(std::span<const std::string_view> bytes, std::span<const TokenId> end_tokens);

  [[nodiscard]] std::span<const Node> nodes() const { return nodes_; }
  [[nodiscard]] std::span<const TokenId> tokens() const { return tokens_; }
  [[nodiscard]] std::span<const TokenId> end_tokens() const { return end_tokens_; }
  [[nodiscard]] bool is_end(TokenId token) const;
  [[nodiscard]] std::size_t vocabulary_size() const { return text_begin_.size() - 1; }
  [[nodiscard]] std::size_t max_depth() const { return max_depth_; }
  // Empty for ids without a text and ids out of range.
  [[nodiscard]] std::string_view bytes(TokenId token) const;

 private:
  std::vector<Node> nodes_;
  std::vector<TokenId> tokens_;
  std::vector<TokenId> end_tokens_;
  std::vector<char> text_;                 // all tokens' bytes
  std::vector<std::uint32_t> text_begin_;  // [tokens + 1]
  std::size_t max_depth_ = 0;
};

}  // namespace dormouse::grammar
