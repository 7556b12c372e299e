#include "worker/loop_guard.h"

#include <algorithm>

namespace dormouse::worker {

bool LoopGuard::is_circling(std::span<const text::TokenId> before, text::TokenId token) {
  const std::size_t periods = std::min(kMaxPeriod, before.size());
  bool circling = false;
  for (std::size_t period = 1; period <= periods; ++period) {
    std::uint32_t& equal = equal_[period - 1];
    equal = before[before.size() - period] == token ? equal + 1 : 0;
    // The first round equals nothing before it.
    circling = circling || equal + period >= std::max(kLeastTokens, kLeastRounds * period);
  }
  return circling;
}

}  // namespace dormouse::worker
