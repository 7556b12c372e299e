// Requests one by one through an instance that sleeps and wakes: the reference that formulas are held against, and the
// only way to percentiles and to increments. PURE.
//  1. A request that comes later than the timeout after the last one's end finds it asleep and wakes it; what comes
//     until it is ready waits with it. Exactly at the timeout's end it is still awake.
//  2. Requests begin in the order they came, each on the slot that is free first. An end comes before an arrival of the
//     same microsecond.
//  3. With Increment::kPrepaid it goes when what is paid ends: at the first end of a paid increment, counted from the
//     session's first paid moment, that lies neither before the timeout's end nor before the minimum's.
//  4. With several slots and a slowdown those in service share the instance alike; each end is rounded to the
//     microsecond and the others go on from there (slots.h says how exact that is). All else is exact.
// Bounds: ten million requests within those of traffic.h; increments and minimum up to kMostUs.
// Threads: any. Cost: O(requests x timeouts), with slots between 2 and the limit or with a slowdown O(log slots) more;
// no memory per request but 8 or 16 bytes for each slot in use then.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "planner/tariff.h"
#include "planner/traffic.h"

namespace dormouse::planner {

// All that was replayed, counted: to the microsecond and the micro-unit.
struct Outcome {
  std::int64_t requests = 0;
  std::int64_t cold_requests = 0;  // met it asleep or waking
  std::int64_t wakes = 0;
  std::int64_t awake_us = 0;  // = busy + waking + idle
  std::int64_t busy_us = 0;   // with at least one request in service
  std::int64_t waking_us = 0;
  std::int64_t idle_us = 0;
  std::int64_t paid_us = 0;      // of its sessions, by the tariff's rules
  std::int64_t paid_micros = 0;  // of them, without stopped time and what is fixed
  // Latency, from arrival to end: the mean is exact, p99 that of the request behind 99 % of them, within 0.2 %.
  double mean_s = 0;
  double p50_s = 0;
  double p95_s = 0;
  double p99_s = 0;
  double p999_s = 0;
};

[[nodiscard]] Outcome replay(std::span<const Arrival> arrivals, const Timer& timer, const Tariff& tariff);

// The same for each of these timeouts; `timer`'s own is not asked.
[[nodiscard]] std::vector<Outcome> replay_all(std::span<const Arrival> arrivals, std::span<const double> timeouts_s,
                                              const Timer& timer, const Tariff& tariff);

// The paid microseconds of the sessions that began on each day, from day 0 to the last arrival's. Their sum is
// replay()'s paid_us.
[[nodiscard]] std::vector<std::int64_t> paid_by_day(std::span<const Arrival> arrivals, const Timer& timer,
                                                    const Tariff& tariff);

// As `timer`, but ready before the first request and never asleep: what callers feel of an instance that is always up.
[[nodiscard]] Timer never_sleeping(Timer timer);

// The time that these requests take, each alone.
[[nodiscard]] std::int64_t service_us_of(std::span<const Arrival> arrivals);

// One month of `months`.
[[nodiscard]] Forecast a_month_of(const Outcome& outcome, double months);
// What a month of `months` costs: its paid time, stopped time at its price, what is fixed.
[[nodiscard]] std::int64_t month_micros(const Outcome& outcome, double months, const Tariff& tariff);

}  // namespace dormouse::planner
