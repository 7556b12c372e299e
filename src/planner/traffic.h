// What a planner is asked: how much is asked of a model, and how long it stays awake. PURE: no I/O, no clock.
// People speak of seconds and hours (double); what is counted and paid is whole microseconds (int64).
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

namespace dormouse::planner {

inline constexpr double kHoursOfMonth = 730;  // 8,760 / 12, as prices mean a month
inline constexpr std::int64_t kSecondUs = 1'000'000;
inline constexpr std::int64_t kHourUs = 3'600 * kSecondUs;
inline constexpr std::int64_t kDayUs = 24 * kHourUs;

// What may be asked: sums over ten million requests of a day each, over ten years, stay below 2^60 us then. Whoever
// reads arrivals (a trace, the ledger) refuses what is beyond; a duration beyond ten years counts as ten years.
inline constexpr std::int64_t kMostServiceUs = kDayUs;
inline constexpr std::int64_t kMostUs = 3'650 * kDayUs;

// Rounded to the next microsecond; below zero and no number: 0.
[[nodiscard]] inline std::int64_t to_us(double seconds) {
  const double us = seconds * static_cast<double>(kSecondUs);
  if (!(us > 0)) return 0;
  return us < static_cast<double>(kMostUs) ? std::llround(us) : kMostUs;
}

[[nodiscard]] inline double to_seconds(std::int64_t us) {
  return static_cast<double>(us) / static_cast<double>(kSecondUs);
}

// Requests that arrive at random (a Poisson process) in a window of each active day, one served at a time.
struct Traffic {
  double requests_per_day = 0;
  double service_s = 0;     // one request, alone
  double active_days = 0;   // of a month
  double active_hours = 0;  // of an active day

  [[nodiscard]] double window_s() const { return active_hours * 3'600; }
  [[nodiscard]] double rate() const { return requests_per_day / window_s(); }  // a second
  [[nodiscard]] double load() const { return rate() * service_s; }             // below 1, or it never catches up
  // Days without a night between them are one stretch of time.
  [[nodiscard]] bool is_round_the_clock() const { return active_hours >= 24; }
  [[nodiscard]] double requests() const { return requests_per_day * active_days; }  // a month
};

// One request as it came. 16 bytes: ten million of them are 160 MB.
struct Arrival {
  std::int64_t at_us = 0;       // >= 0
  std::int64_t service_us = 0;  // alone; 0 to kMostServiceUs
};
static_assert(sizeof(Arrival) == 16);

// Requests to be replayed, and how many months they stand for.
struct Workload {
  std::vector<Arrival> arrivals;  // ascending by at_us; day d is [d, d + 1) x kDayUs, day 0 a Monday
  double months = 1;
  std::int64_t input_tokens = 0;  // of all of them; 0: not known
  std::int64_t output_tokens = 0;
};

// How an instance lives: asleep until asked, awake until nobody has asked for so long.
struct Timer {
  double idle_timeout_s = 600;
  double wake_s = 30;
  int slots = 1;  // requests at once; 0: without limit
  // Each of b requests at once runs at 1 / (1 + slowdown (b - 1)) of its speed alone, 0 to 1: k / (a + k) of a measured
  // decode step a + k b (speeds.h); at 1 nothing is won by serving several at once, and more counts as 1.
  double slowdown = 0;
};

// A month under a timer, as people read it.
struct Forecast {
  double awake_s = 0;
  double busy_s = 0;  // with at least one request
  double waking_s = 0;
  double idle_s = 0;  // awake = busy + waking + idle
  double wakes = 0;
  double cold_share = 0;  // of requests: met it asleep or waking
  double mean_s = 0;      // latency
  double p50_s = 0;
  double p95_s = 0;
  double p99_s = 0;
  double p999_s = 0;
};

}  // namespace dormouse::planner
