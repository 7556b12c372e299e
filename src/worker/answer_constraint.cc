#include "worker/answer_constraint.h"

#include <algorithm>

namespace dormouse::worker {
namespace {

void set_bit(std::vector<std::uint64_t>& mask, text::TokenId token, bool value) {
  const auto id = static_cast<std::size_t>(token);
  if (id / 64 >= mask.size()) return;
  const std::uint64_t bit = std::uint64_t{1} << (id % 64);
  mask[id / 64] = value ? mask[id / 64] | bit : mask[id / 64] & ~bit;
}

}  // namespace

AnswerConstraint::AnswerConstraint(const AnswerFormat& format, Thinking thinking, ThinkingTokens tokens)
    : constraint_(format.matcher), trie_(*format.trie), tokens_(tokens), part_(Part::kContent) {
  if (!tokens.think.has_value() || !tokens.end_think.has_value()) return;
  switch (thinking) {
    case Thinking::kNone: break;
    case Thinking::kMay: part_ = Part::kStart; break;
    case Thinking::kInside: part_ = Part::kThinking; break;
  }
}

Result<grammar::TokenMask> AnswerConstraint::allowed() {
  if (part_ == Part::kContent) return constraint_.mask();
  if (part_ == Part::kThinking) {
    own_mask_.assign((trie_.vocabulary_size() + 63) / 64, ~std::uint64_t{0});
    for (const text::TokenId token : trie_.end_tokens()) set_bit(own_mask_, token, false);
    return grammar::TokenMask(own_mask_);
  }
  TRY(const grammar::TokenMask mask, constraint_.mask());
  own_mask_.assign(mask.begin(), mask.end());
  const std::optional<text::TokenId> more = part_ == Part::kStart ? tokens_.think : tokens_.gap;
  if (more.has_value()) set_bit(own_mask_, *more, true);
  return grammar::TokenMask(own_mask_);
}

Status AnswerConstraint::accept(text::TokenId token) {
  switch (part_) {
    case Part::kStart:
      if (tokens_.think == token) {
        part_ = Part::kThinking;
        return {};
      }
      break;
    case Part::kThinking:
      if (tokens_.end_think == token) part_ = Part::kGap;
      return {};
    case Part::kGap:
      if (tokens_.gap == token) {
        part_ = Part::kContent;
        return {};
      }
      break;
    case Part::kContent: break;
  }
  part_ = Part::kContent;
  return constraint_.accept(token);
}

bool AnswerConstraint::is_finished() {
  return part_ == Part::kContent && constraint_.is_finished();
}

}  // namespace dormouse::worker
