// Which timeout is the cheapest that is quick enough, by replay of each. The bill is not monotone in the timeout: a
// short stay may catch the request behind the wake, and increments make valleys; nor can gaps alone tell, since a
// request that was woken for brings those behind it. So all of a grid is replayed, and then what lies around the best.
// PURE. Threads: any. Cost: about 55 replays of the workload, 26 of them in one pass.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "planner/replay.h"
#include "planner/tariff.h"
#include "planner/traffic.h"

namespace dormouse::planner {

// Where a search begins: between two neighbours a bill changes by less than it scatters. Source: cost notes 2.4.
inline constexpr std::array kTimeoutGridS{0.0,  1.0,  2.0,  3.0,   5.0,   7.5,   10.0,  15.0,  20.0,   30.0,
                                          45.0, 60.0, 90.0, 120.0, 180.0, 300.0, 600.0, 900.0, 1'800.0};

// What must hold; nothing given: the bill alone counts.
struct Goal {
  std::optional<double> cold_share_max{};
  std::optional<double> p99_s_max{};
};

struct TimeoutRow {
  double timeout_s = 0;
  Forecast forecast;
  std::int64_t micros = 0;   // a month
  bool is_on_front = false;  // no other is both as cheap and as quick (p99), and better in one
};

struct TimeoutSearch {
  std::vector<TimeoutRow> rows;     // by timeout, the asked one among them
  std::optional<std::size_t> best;  // the cheapest that meets the goal; nullopt: none does
  std::size_t nearest = 0;          // the best, or the one that misses the goal by least
};

// `timer` as it is now; what wakes, slots and slowdown are stays.
[[nodiscard]] TimeoutSearch search_timeouts(const Workload& workload, const Timer& timer, const Tariff& tariff,
                                            const Goal& goal);

}  // namespace dormouse::planner
