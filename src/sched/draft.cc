#include "sched/draft.h"

#include <algorithm>

namespace dormouse::sched {
namespace {

constexpr std::size_t kShortestMatch = 2;
constexpr std::size_t kLongestMatch = 4;
constexpr double kNewest = 0.25;

// How many tokens before `end` equal the last ones, at most kLongestMatch.
std::size_t match_length(const std::vector<TokenId>& tokens, std::size_t end) {
  const std::size_t most = std::min(kLongestMatch, end);
  std::size_t length = 0;
  while (length < most && tokens[end - 1 - length] == tokens[tokens.size() - 1 - length]) ++length;
  return length;
}

}  // namespace

std::int32_t append_draft(std::vector<TokenId>& tokens, std::int32_t count) {
  if (count <= 0 || tokens.empty()) return 0;
  std::size_t best = kShortestMatch - 1;
  std::size_t from = 0;
  for (std::size_t end = tokens.size() - 1; end >= kShortestMatch && best < kLongestMatch; --end) {
    const std::size_t length = match_length(tokens, end);
    if (length <= best) continue;
    best = length;
    from = end;
  }
  if (best < kShortestMatch) return 0;
  for (std::int32_t i = 0; i < count; ++i) {
    const TokenId next = tokens[from + static_cast<std::size_t>(i)];
    tokens.push_back(next);
  }
  return count;
}

std::int32_t DraftLength::next() {
  if (rest_ == 0) return length_;
  rest_ -= 1;
  return 0;
}

void DraftLength::learn(std::int32_t drafted, std::int32_t accepted, double cost) {
  rate_ += kNewest * (static_cast<double>(accepted) / drafted - rate_);
  length_ = std::min(accepted == drafted ? 2 * drafted : accepted + 1, kMaxDraft);
  if (rate_ > cost) {
    if (accepted > 0) next_rest_ = kShortestRest;
    return;
  }
  rest_ = next_rest_;
  next_rest_ = std::min(2 * next_rest_, kLongestRest);
}

}  // namespace dormouse::sched
