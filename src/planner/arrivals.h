// Requests made up by a rule and a seed, so that the same question has the same answer. PURE.
#pragma once

#include <cstdint>

#include "planner/traffic.h"

namespace dormouse::planner {

enum class Pattern {
  kRandom,  // uniform over the window
  kEven,    // equally spaced
  // Users of eight requests each, exp(20 s) from one's arrival to the next's. They come at any time up to ten minutes
  // before the window's end (at most half of the window); requests that fall behind that end are kept. It is the rule
  // that reproduces the cost notes' tables: thought counted from an answer's end, or users to the end, does not.
  kSessions,
};

// Active days follow each other from the beginning of each month, their windows from the day's beginning; a month is
// 730 h, or its active days if they are more. requests_per_day is rounded.
[[nodiscard]] Workload make_arrivals(const Traffic& traffic, Pattern pattern, int months, std::uint64_t seed);

}  // namespace dormouse::planner
