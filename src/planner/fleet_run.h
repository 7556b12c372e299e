// Requests through a fleet of instances, decided by policy::Life itself: the very code that wakes, scales and stops
// instances in service. What replay.h has in one instance's exact arithmetic, this has for several: how long requests
// wait while a second instance loads, how many are refused, how many hours how many instances are up. PURE.
// Time is kept in whole nanoseconds there and told here in whole microseconds.
// Threads: any. Cost (fleet_run_bench.cc): one to three microseconds a request, and half a one for each second in which
// something runs or more than the minimum is up. Life looks at all who wait with each event: where thousands are
// allowed to, it is their number times that of the events, 0.75 s for 20,000 requests of which 10,000 wait.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.h"
#include "planner/queueing.h"
#include "planner/tariff.h"
#include "planner/traffic.h"
#include "policy/life.h"
#include "policy/simulation.h"

namespace dormouse::planner {

inline constexpr int kMostInstances = 1'000;
inline constexpr int kMostSlots = 4'096;

// What the fleet does (a prepaid increment is `life.billing_increment`, whatever the tariff says), and with what.
// world.lasts is not asked: the world lasts the workload's months.
struct FleetRules {
  policy::LifeConfig life;
  policy::SimulatedWorld world;
};

// Of those served; nearest rank.
struct Times {
  double mean_s = 0;
  double p50_s = 0;
  double p95_s = 0;
  double p99_s = 0;
};

// All that was simulated, counted.
struct FleetRun {
  std::int64_t requests = 0;  // = served + refused
  std::int64_t served = 0;
  // The queue was full, or they waited for max_wait: with a wake that takes as long, whoever wakes it is refused.
  std::int64_t refused = 0;
  std::int64_t cut = 0;   // of those served: not done within drain_deadline of a scale-down
  std::int64_t cold = 0;  // of those served: nothing was ready when they came
  std::int64_t starts = 0;
  int most_instances = 0;
  Times waited;            // from arrival to its beginning
  Times latency;           // from arrival to its end; of those that were not cut
  double kept_share = 1;   // of all requests: kept to the Slo, if one was asked for; refused and cut ones never do
  std::int64_t up_us = 0;  // of all instances = busy + waking + idle
  std::int64_t busy_us = 0;
  std::int64_t waking_us = 0;
  std::int64_t idle_us = 0;
  std::vector<std::int64_t> level_us;  // [k]: time with more than k instances up; their sum is up_us
  std::int64_t paid_us = 0;            // of each instance's session, by the tariff's rules
  std::int64_t paid_micros = 0;        // of it, without stopped time and what is fixed
};

// What any simulated fleet comes to; its waits and latencies are sorted.
[[nodiscard]] FleetRun counted(policy::SimulationResult result, const Tariff& tariff, const std::optional<Slo>& slo);

// Errors: kInvalidArgument naming the field: times out of order, below zero or beyond ten years, a service beyond a
// day, months outside 0 to 120, more than ten million requests, absurd tokens.
[[nodiscard]] Status check_workload(const Workload& workload);

// Each request takes its service time on an instance, stretched by what runs beside it (world.slowdown), and the mean
// of the workload's tokens. A session pays for its time up, less its waking where that is free, less its idle time
// where that is and increments are not prepaid. Errors: check_workload's; kInvalidArgument naming the field: nothing is
// asked; more than kMostInstances or kMostSlots; rules below zero, beyond a year, or such that a load or a stop would
// never end.
[[nodiscard]] Result<FleetRun> run_fleet(const Workload& workload, const FleetRules& rules, const Tariff& tariff,
                                         const std::optional<Slo>& slo = {});

// What a month of `months` costs: paid time, stopped time at its price (of each instance that was ever needed), and
// once what is fixed.
[[nodiscard]] std::int64_t month_micros(const FleetRun& run, double months, const Tariff& tariff);

enum class Kept {
  kByLoad,  // from min_instances up to n, as the load asks
  kAlways,  // n, all the time
};

struct FleetRow {
  int instances = 0;
  FleetRun run;
  std::int64_t micros = 0;  // a month
  bool keeps = false;       // the Slo
};

struct FleetAnswer {
  std::vector<FleetRow> rows;      // of 1, 2, ... instances, until one more is never wanted
  std::optional<int> instances{};  // the fewest that keep the Slo by simulation
  std::optional<int> guess{};      // by queueing, of the busiest hour; it knows neither sleep nor wake
};

// What each number of instances from one to `most` comes to, simulated, and the fewest that keep `slo`, if one is asked
// for. None do: not `most` either, or one more is never wanted (kByLoad: the autoscaler follows the load too late or
// too little for it; keep some up). Errors: as run_fleet's, and `most` outside 1 to kMostInstances.
[[nodiscard]] Result<FleetAnswer> size_for(const Workload& workload, const FleetRules& rules, const Tariff& tariff,
                                           const std::optional<Slo>& slo, Kept kept, int most);

}  // namespace dormouse::planner
