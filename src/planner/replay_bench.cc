// The planner's promise: ten million requests over a grid of twenty timeouts in two seconds on one core, with one slot
// and without limit. Requests come at random, 30 s apart on average, nine and a half years of them: at the grid's
// middle every other one finds the instance asleep, which is the hardest to predict. The other kinds of slots beside
// them, and reading as many lines of a trace. bytes_a_request: by how much the peak of memory in use grew, beside the
// arrivals or the text.
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <sys/resource.h>

#include <array>
#include <iterator>
#include <random>
#include <string>

#include "planner/replay.h"
#include "planner/trace.h"

namespace dormouse::planner {
namespace {

constexpr std::array kGridS = {0.0,  1.0,  2.0,  3.0,   5.0,   7.5,   10.0,  15.0,  20.0,  30.0,
                               45.0, 60.0, 90.0, 120.0, 180.0, 300.0, 450.0, 600.0, 900.0, 1'800.0};

const std::vector<Arrival>& arrivals() {
  static const std::vector<Arrival> all = [] {
    std::mt19937_64 random(1);
    std::exponential_distribution<double> gap_s(1 / 30.0);
    std::vector<Arrival> out(10'000'000);
    std::int64_t at_us = 0;
    for (Arrival& arrival : out) arrival = {at_us += to_us(gap_s(random)), 2 * kSecondUs};
    return out;
  }();
  return all;
}

double peak_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * 1024;
}

void grid(benchmark::State& state) {
  Timer timer;
  timer.slots = static_cast<int>(state.range(0));
  timer.slowdown = static_cast<double>(state.range(1)) / 100;
  const Tariff tariff{.hour_micros = 1'800'000, .increment_us = state.range(2) * kSecondUs};
  const std::vector<Arrival>& all = arrivals();
  const double before = peak_bytes();
  for (auto _ : state) benchmark::DoNotOptimize(replay_all(all, kGridS, timer, tariff));
  state.counters["bytes_a_request"] = (peak_bytes() - before) / static_cast<double>(all.size());
}
BENCHMARK(grid)
    ->ArgNames({"slots", "slowdown_percent", "increment_s"})
    ->Args({1, 0, 0})
    ->Args({0, 0, 0})
    ->Args({1, 0, 60})
    ->Args({8, 0, 0})
    ->Args({8, 10, 0})
    ->Unit(benchmark::kSecond);

void read_trace(benchmark::State& state) {
  std::string text = "t_s,service_s\n";
  text.reserve(32 * arrivals().size());
  for (const Arrival& arrival : arrivals()) {
    fmt::format_to(std::back_inserter(text), "{:.3f},{:.3f}\n", to_seconds(arrival.at_us),
                   to_seconds(arrival.service_us));
  }
  const double before = peak_bytes();
  for (auto _ : state) {
    if (!parse_trace(text, {}).has_value()) state.SkipWithError("refused");
  }
  state.counters["bytes_a_request"] = (peak_bytes() - before) / static_cast<double>(arrivals().size());
}
BENCHMARK(read_trace)->Unit(benchmark::kSecond);

}  // namespace
}  // namespace dormouse::planner

BENCHMARK_MAIN();
