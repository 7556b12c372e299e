// What a planner is asked: how much is asked of a model, on what, and how long it stays awake. PURE: no I/O, no clock.
// Times are seconds, money is micro-units of one currency.
#pragma once

#include <cstdint>
#include <optional>

namespace dormouse::planner {

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

// How an instance lives: asleep until asked, awake until nobody has asked for so long. Waking and idling are paid.
struct Timer {
  double idle_timeout_s = 600;
  double wake_s = 30;
  int slots = 1;  // requests at once, each at its own speed
};

struct Prices {
  std::int64_t hour_micros = 0;
  std::optional<std::int64_t> month_micros;
  double increment_s = 1;  // what is paid whole
};

// A month under a timer.
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
  std::int64_t bill_micros = 0;          // by the time awake
  std::int64_t rounded_bill_micros = 0;  // by whole increments of each session
};

}  // namespace dormouse::planner
