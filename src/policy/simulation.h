// A Life over a trace of requests, in a world without surprises: what a deployment's configuration does to waiting and
// to the time instances are up. The same decisions as in the fleet, years in seconds; the planner asks it.
// Pure: no clock of its own, no threads. Cost: a few events a request; with max or min above 1 also one a second while
// anything runs or more than min is up.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/clock.h"
#include "policy/life.h"

namespace dormouse::policy {

struct SimulatedRequest {
  Nanoseconds at{0};       // from the beginning, in order
  Nanoseconds service{0};  // once it has a place
  std::int64_t tokens = 0;
};

struct SimulatedWorld {
  Nanoseconds load_time = std::chrono::seconds(30);  // start to ready
  Nanoseconds exit_time{0};                          // stop to gone
  std::int64_t max_sequences = 1;                    // of an instance; 0: without bound
  std::int64_t kv_tokens = 0;                        // 0: no bound
  // Each of b requests on an instance runs at 1 / (1 + slowdown (b - 1)) of its speed alone (processor sharing), from
  // the moment that b changes; exact to a nanosecond each time it does. 0: whatever runs beside it.
  double slowdown = 0;
  Nanoseconds lasts{0};  // at least: what min keeps is up as long
};

// One instance from its request to its end, or to the end of the world.
struct SimulatedSession {
  Nanoseconds from{0};
  Nanoseconds to{0};
  Nanoseconds waking{0};  // until it was ready
  Nanoseconds busy{0};    // with a request at least
};

struct SimulationResult {
  std::int64_t served = 0;
  std::int64_t refused = 0;
  std::int64_t cut = 0;             // of those served: their instance drained and went before they were done
  std::int64_t woke = 0;            // of those served: had to wait for a start
  std::vector<Nanoseconds> waited;  // of those served, in order of their grants
  std::vector<Nanoseconds> took;    // of those served, from arrival to end, in order of their ends
  std::int64_t starts = 0;
  std::vector<MonoTime> load_starts;  // of a second or later instance, for load
  int most_instances = 0;
  std::vector<SimulatedSession> sessions;  // in order of their ends
  Nanoseconds up{0};                       // sum over sessions
  Nanoseconds busy{0};                     // of it, with a request at least
};

// Until the last request is over, nothing is up but what min keeps, and the world has lasted.
[[nodiscard]] SimulationResult simulate(const LifeConfig& config, const SimulatedWorld& world,
                                        std::span<const SimulatedRequest> requests);

}  // namespace dormouse::policy
