// What a fleet's simulation costs. The shape of a public trace (19,366 requests in 3,502 s, about 8 s each at 8 at
// once) on 1 to 8 instances, and 20,000 requests that nobody carries: a queue of thousands.
#include <benchmark/benchmark.h>

#include "planner/arrivals.h"
#include "planner/fleet_run.h"

namespace dormouse::planner {
namespace {

const Tariff kT4{.hour_micros = 1'800'000};

Workload hour_of(double requests, double service_s) {
  const Traffic traffic{.requests_per_day = requests, .service_s = service_s, .active_days = 1, .active_hours = 1};
  Workload out = make_arrivals(traffic, Pattern::kRandom, 1, 1);
  out.months = 24 / kHoursOfMonth;
  return out;
}

void run(benchmark::State& state, const Workload& workload, const FleetRules& rules) {
  FleetRun last;
  for (auto _ : state) last = run_fleet(workload, rules, kT4).value();
  state.counters["served"] = static_cast<double>(last.served);
  state.counters["refused"] = static_cast<double>(last.refused);
  state.counters["instances"] = last.most_instances;
  state.SetItemsProcessed(state.iterations() * last.requests);
}

void hour_of_a_trace(benchmark::State& state) {
  FleetRules rules;
  rules.life.max_instances = static_cast<int>(state.range(0));
  rules.world.max_sequences = 16;
  rules.world.slowdown = 0.05;
  run(state, hour_of(19'366, 8), rules);
}
BENCHMARK(hour_of_a_trace)->Arg(1)->Arg(4)->Arg(8)->Unit(benchmark::kMillisecond);

void everybody_waits(benchmark::State& state) {
  FleetRules rules;
  rules.life.max_waiters = 20'000;
  rules.life.max_wait = std::chrono::hours(24);
  run(state, hour_of(20'000, 2), rules);
}
BENCHMARK(everybody_waits)->Unit(benchmark::kMillisecond);

void month_of_an_office(benchmark::State& state) {
  const Traffic traffic{.requests_per_day = 800, .service_s = 2, .active_days = 25, .active_hours = 8};
  FleetRules rules;
  rules.life.max_instances = static_cast<int>(state.range(0));
  rules.life.min_instances = static_cast<int>(state.range(1));
  run(state, make_arrivals(traffic, Pattern::kRandom, 1, 1), rules);
}
BENCHMARK(month_of_an_office)->Args({1, 0})->Args({4, 0})->Args({4, 2})->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace dormouse::planner

BENCHMARK_MAIN();
