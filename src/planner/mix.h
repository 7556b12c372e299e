// How many instances to rent by the month, and what the rest costs by the hour. PURE.
// The model: instances are levels, 1 below. A request goes to the lowest level that has a slot free when it comes, each
// running from its arrival on: who is needed is decided as if all were awake. Each level then lives by the timer on the
// requests that fell to it, wakes and queues of its own (replay.h). Costs separate by level, so that a level is
// rented by the month where that is less than its hours.
// What is fixed (Tariff::fixed_month_micros) is in none of these sums.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "planner/tariff.h"
#include "planner/traffic.h"

namespace dormouse::planner {

inline constexpr std::size_t kMostLevels = 64;  // the last one takes whatever comes
inline constexpr std::size_t kMostOffers = 8;

// The load-duration curve under the timer: hours of a month that each level is awake. Cost: O(requests x levels).
[[nodiscard]] std::vector<double> level_hours(const Workload& workload, const Timer& timer);

struct Reservation {
  std::size_t reserved = 0;  // levels 1 to this
  std::int64_t micros = 0;   // a month: these, and the others by the hour
  std::int64_t on_demand_micros = 0;
  std::optional<std::int64_t> monthly_micros;  // all by the month; nullopt: there is no such price
  bool is_spot = false;                        // the others, where that is cheaper
};

// `hours` of each level. Level 1 never runs on spot: one instance stays that nobody takes away. `wake_s` is what an
// interruption costs in time.
[[nodiscard]] Reservation reserve(std::span<const double> hours, const Tariff& tariff, double wake_s);

// What an hour of spot comes to with the wakes after its interruptions: P (1 + r w / 3600), as long as each is made up
// for at once. Source: cost notes 2.6.
[[nodiscard]] double spot_hour_micros(const Spot& spot, double wake_s);

// A product: requests take 1 / speed of the workload's seconds on it.
struct Offer {
  Tariff tariff;
  double speed = 1;  // above 0
  int slots = 1;     // requests at once; 0: without limit
};

struct Mix {
  std::size_t base = 0;      // of the offers: what is rented by the month
  std::size_t reserved = 0;  // so many
  std::size_t burst = 0;     // what the rest runs on by the hour, under the timer, increments and all
  std::int64_t micros = 0;   // a month
};

// Every pair and every number reserved. nullopt: no offer or more than kMostOffers. `timer`'s slots are not asked.
// Cost: a replay of what is left over for each, where the monthly prices alone are not dearer than the best so far;
// up to twice the workload's memory beside it.
[[nodiscard]] std::optional<Mix> cheapest_mix(const Workload& workload, const Timer& timer,
                                              std::span<const Offer> offers);

}  // namespace dormouse::planner
