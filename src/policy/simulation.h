// A Life over a trace of requests, in a world without surprises: what a deployment's configuration does to waiting and
// to the time instances are up. The same decisions as in the fleet, years in seconds; the planner asks it.
// Pure: no clock of its own, no threads. Cost: a few events a request.
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
  std::int64_t max_sequences = 1;  // of an instance; each request takes its service time whatever runs beside it
  std::int64_t kv_tokens = 0;      // 0: no bound
};

struct SimulationResult {
  std::int64_t served = 0;
  std::int64_t refused = 0;
  std::int64_t woke = 0;            // of those served: had to wait for a start
  std::vector<Nanoseconds> waited;  // of those served, in order of their grants
  std::int64_t starts = 0;
  std::vector<MonoTime> load_starts;  // of a second or later instance, for load
  int most_instances = 0;
  Nanoseconds up{0};    // sum over instances, from request to gone
  Nanoseconds busy{0};  // of it, with a request at least
};

// Until the last request is over and nothing is up any more; with min instances, until the last request is over.
[[nodiscard]] SimulationResult simulate(const LifeConfig& config, const SimulatedWorld& world,
                                        std::span<const SimulatedRequest> requests);

}  // namespace dormouse::policy
