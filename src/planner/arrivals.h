// Requests made up by a rule and a seed, so that the same question has the same answer. PURE.
#pragma once

#include <cstdint>

#include "planner/traffic.h"

namespace dormouse::planner {

enum class Pattern {
  kRandom,  // uniform over the window
  kEven,    // equally spaced
  // Users of eight requests each, exp(20 s) from one's arrival to the next's. A user comes at any time up to ten
  // minutes (in short windows: half of it) before the window's end, and whose requests go on beyond that end is served.
  kSessions,
};

// Active days follow each other from the beginning of each month, their windows from the day's beginning; a month is
// 730 h, or its active days if they are more. requests_per_day is rounded.
[[nodiscard]] Workload make_arrivals(const Traffic& traffic, Pattern pattern, int months, std::uint64_t seed);

}  // namespace dormouse::planner
