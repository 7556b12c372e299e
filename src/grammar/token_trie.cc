#include "grammar/token_trie.h"

#include <algorithm>
#include <limits>

namespace dormouse::grammar {

TokenTrie::TokenTrie(std::span<const std::string_view> bytes, std::span<const TokenId> end_tokens)
    : end_tokens_(end_tokens.begin(), end_tokens.end()) {
  text_begin_.push_back(0);
  for (const std::string_view text : bytes) {
    if (text.size() <= std::numeric_limits<std::uint16_t>::max()) text_.insert(text_.end(), text.begin(), text.end());
    text_begin_.push_back(static_cast<std::uint32_t>(text_.size()));
  }
  for (TokenId id = 0; static_cast<std::size_t>(id) < vocabulary_size(); ++id) {
    if (!this->bytes(id).empty()) tokens_.push_back(id);
  }
  std::sort(tokens_.begin(), tokens_.end(), [this](TokenId a, TokenId b) {
    const int order = this->bytes(a).compare(this->bytes(b));
    return order != 0 ? order < 0 : a < b;
  });
  std::vector<std::uint32_t> open;  // nodes from the root to the last one
  std::string_view last;
  for (std::uint32_t i = 0; i < tokens_.size(); ++i) {
    const std::string_view text = this->bytes(tokens_[i]);
    const auto common = static_cast<std::size_t>(
        std::mismatch(text.begin(), text.end(), last.begin(), last.end()).first - text.begin());
    for (; open.size() > common; open.pop_back()) {
      nodes_[open.back()].subtree_end = static_cast<std::uint32_t>(nodes_.size());
    }
    for (std::size_t depth = common; depth < text.size(); ++depth) {
      open.push_back(static_cast<std::uint32_t>(nodes_.size()));
      nodes_.push_back({.subtree_end = 0,
                        .tokens_begin = i,
                        .tokens_end = i,
                        .depth = static_cast<std::uint16_t>(depth + 1),
                        .byte = static_cast<std::uint8_t>(text[depth])});
    }
    nodes_[open.back()].tokens_end = i + 1;
    max_depth_ = std::max(max_depth_, text.size());
    last = text;
  }
  for (const std::uint32_t node : open) nodes_[node].subtree_end = static_cast<std::uint32_t>(nodes_.size());
}

bool TokenTrie::is_end(TokenId token) const {
  return std::find(end_tokens_.begin(), end_tokens_.end(), token) != end_tokens_.end();
}

std::string_view TokenTrie::bytes(TokenId token) const {
  if (token < 0 || static_cast<std::size_t>(token) >= vocabulary_size()) return {};
  const auto id = static_cast<std::size_t>(token);
  return std::string_view(text_.data(), text_.size()).substr(text_begin_[id], text_begin_[id + 1] - text_begin_[id]);
}

}  // namespace dormouse::grammar
