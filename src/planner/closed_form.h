// What random arrivals (a Poisson process) cost and wait, in closed form (docs/cost_model.md): one request at a time
// (slots 1), or all at once (slots 0: a batch far from its limit). PURE; each well below a millisecond.
// Of what lies between, of a batch that slows down, of a load near 1 or above (more than 1 - sqrt(10 service / window):
// its queue never becomes steady) and of a window shorter than wake, service and timeout together there is no formula:
// nullopt, and the replay's turn. So it is with increments: what a session rounds up to depends on the law of its
// length, which has no simple form.
#pragma once

#include <cstdint>
#include <optional>

#include "planner/tariff.h"
#include "planner/traffic.h"

namespace dormouse::planner {

// In the long run, of a time without beginning or end.
struct Steady {
  double awake_share = 0;
  double busy_share = 0;  // with at least one request
  double wakes_per_s = 0;
  double cold_share = 0;  // of requests: met it asleep or waking
  double wait_s = 0;      // mean, before service
};

// A month, with the beginning and the end of each day's window: it begins asleep, and stays for one timeout after its
// last request. A Forecast's fields without percentiles, which only the replay has.
struct Expected {
  double awake_s = 0;  // = busy + waking + idle
  double busy_s = 0;
  double waking_s = 0;
  double idle_s = 0;
  double wakes = 0;
  double cold_share = 0;
  double mean_s = 0;  // latency: wait and service
};

// Source: cost notes 2.1. `variation` is the service time's variance / its mean squared: 0 all alike, 1 exponential.
// With slots 0 it must be 0: only then is a stay of service + timeout one number.
[[nodiscard]] std::optional<Steady> steady_state(const Traffic& traffic, const Timer& timer, double variation = 0);
[[nodiscard]] std::optional<Expected> expected_month(const Traffic& traffic, const Timer& timer, double variation = 0);

// expected_month()'s seconds awake. Where it has none: the most there can be, its windows and what follows each.
[[nodiscard]] double awake_seconds(const Traffic& traffic, const Timer& timer);

// What an expected month costs: paid time, stopped time, what is fixed. nullopt: increments or a minimum.
[[nodiscard]] std::optional<std::int64_t> expected_micros(const Expected& month, const Tariff& tariff);

// Seconds awake of a month at which the hour's price has become the month's, stopped time counted. nullopt: there is
// no monthly price, or being awake costs no more than being stopped.
[[nodiscard]] std::optional<double> break_even_seconds(const Tariff& tariff);

// The longest timeout, a window at most, with at most so many seconds awake a month. nullopt: even sleeping at once
// takes more.
[[nodiscard]] std::optional<double> longest_timeout(const Traffic& traffic, double wake_s, double awake_s,
                                                    int slots = 1);

// The shortest timeout with at most this share of cold requests. nullopt: the first of each day are more already.
[[nodiscard]] std::optional<double> timeout_for_cold_share(const Traffic& traffic, const Timer& timer, double share);

// How many requests a day keep it awake for so many seconds a month; nullopt: none for which there is a formula.
[[nodiscard]] std::optional<double> requests_for(const Traffic& traffic, const Timer& timer, double awake_s);

// Ski rental: with nothing known of the traffic, stay as long as a wake costs (wake + price of a wake / price of a
// second), which is never more than twice the best bill where each gap is judged alone. 30 s at least.
[[nodiscard]] double timeout_without_data(double wake_s, double micros_a_wake, const Tariff& tariff);

// What waking is worth avoiding for, beyond its own time.
struct WakePenalty {
  double micros_a_wake = 0;
  double micros_a_cold_request = 0;
};

// Under random arrivals bill + penalties rise or fall with the timeout all the way, so that only its ends can be best.
// Source: cost notes 2.4. A timer pays where traffic comes in bursts, under increments, or for a goal of latency.
enum class BestUnderPoisson { kSleepAtOnce, kNeverSleep };
[[nodiscard]] BestUnderPoisson best_under_poisson(const Traffic& traffic, double wake_s, const Tariff& tariff,
                                                  const WakePenalty& penalty);

}  // namespace dormouse::planner
