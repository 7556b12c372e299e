// Hours awake, in closed form (docs/cost_model.md): exact for random arrivals, one request at a time. PURE.
#pragma once

#include <optional>

#include "planner/traffic.h"

namespace dormouse::planner {

// The share of time awake in the long run: A = 1 - (1 - load) / (e^(rate * timeout) + rate * wake).
[[nodiscard]] double awake_share(const Traffic& traffic, const Timer& timer);

// A month's seconds awake, with what each day's window adds at its end: the instance starts asleep and stays awake for
// one timeout after the last request. Exact without wake time, to 0.1 % with it.
[[nodiscard]] double awake_seconds(const Traffic& traffic, const Timer& timer);

// The share of requests that meet a sleeping or waking instance, at least one a night.
[[nodiscard]] double cold_share(const Traffic& traffic, const Timer& timer);

// The longest timeout with at most so many seconds awake a month. nullopt: even sleeping at once takes more.
[[nodiscard]] std::optional<double> longest_timeout(const Traffic& traffic, double wake_s, double awake_s);

// The shortest timeout with at most this share of cold requests, apart from the first of a day.
[[nodiscard]] double timeout_for_cold_share(const Traffic& traffic, double wake_s, double share);

// How many requests a day keep it awake for so many seconds a month; nullopt: not before it is always busy.
[[nodiscard]] std::optional<double> requests_for(const Traffic& traffic, const Timer& timer, double awake_s);

}  // namespace dormouse::planner
