// The quarter of an hour, in which the ledger sums requests and instances. Zones differ by whole quarters, so a day of
// any zone is made of them. Microseconds since the epoch, not negative.
#pragma once

#include <cstdint>

namespace dormouse::ledger {

inline constexpr std::int64_t kQuarterUs = 900'000'000;

// When the quarter of `at_us` began.
[[nodiscard]] constexpr std::int64_t slot_of(std::int64_t at_us) {
  return at_us / kQuarterUs * kQuarterUs;
}

}  // namespace dormouse::ledger
