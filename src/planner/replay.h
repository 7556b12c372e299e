// Requests one by one through an instance that sleeps and wakes: the reference that formulas are held against, and the
// only way to percentiles. PURE; random arrivals from a fixed seed, so that the same question has the same answer.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "planner/traffic.h"

namespace dormouse::planner {

struct Arrival {
  double at_s = 0;  // ascending
  double service_s = 0;
};

// Months of `traffic` at random. Each day begins asleep: nights are longer than any timeout; round the clock each
// month.
[[nodiscard]] std::vector<Arrival> random_months(const Traffic& traffic, int months, std::uint64_t seed);

// One request at a time, in order. Everything is a month's, of `months`.
// Cost: O(n log n) for the percentiles.
[[nodiscard]] Forecast replay(std::span<const Arrival> arrivals, const Timer& timer, const Prices& prices, int months);

}  // namespace dormouse::planner
