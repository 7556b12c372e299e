#include "planner/replay.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <queue>
#include <random>

namespace dormouse::planner {
namespace {

constexpr double kDayS = 86'400;

// Of the whole increments a session is paid for.
double billed_s(double session_s, double increment_s) {
  return increment_s <= 0 ? session_s : std::ceil(session_s / increment_s) * increment_s;
}

double at_share(const std::vector<double>& sorted, double share) {
  if (sorted.empty()) return 0;
  const double place = share * static_cast<double>(sorted.size() - 1);
  return sorted[static_cast<std::size_t>(std::lround(place))];
}

}  // namespace

std::vector<Arrival> random_months(const Traffic& traffic, int months, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> within(0, traffic.window_s());
  const auto a_day = static_cast<std::size_t>(std::lround(traffic.requests_per_day));
  const auto days = static_cast<int>(std::lround(traffic.active_days)) * months;
  std::vector<Arrival> out;
  out.reserve(a_day * static_cast<std::size_t>(days));
  double day_begin_s = 0;
  for (int day = 0; day < days; ++day) {
    const std::size_t begin = out.size();
    for (std::size_t i = 0; i < a_day; ++i) out.push_back({day_begin_s + within(random), traffic.service_s});
    // A night, or a month's end, is longer than any timeout.
    const bool ends_month = (day + 1) % (days / months) == 0;
    day_begin_s += traffic.is_round_the_clock() && !ends_month ? kDayS : 3 * kDayS;
    std::sort(out.begin() + static_cast<std::ptrdiff_t>(begin), out.end(),
              [](const Arrival& a, const Arrival& b) { return a.at_s < b.at_s; });
  }
  return out;
}

Forecast replay(std::span<const Arrival> arrivals, const Timer& timer, const Prices& prices, double months) {
  Forecast out;
  std::vector<double> latencies;
  latencies.reserve(arrivals.size());
  double billed = 0;
  double cold = 0;
  double on_s = 0;
  double ready_s = 0;
  double free_s = -std::numeric_limits<double>::infinity();  // of its last request; before the first: asleep
  // When each slot is free, the soonest on top. Requests begin in the order they came: busy time is one pass.
  std::priority_queue<double, std::vector<double>, std::greater<>> slots;
  const auto end_session = [&] {
    if (!std::isfinite(free_s)) return;
    const double session_s = free_s + timer.idle_timeout_s - on_s;
    out.awake_s += session_s;
    billed += billed_s(session_s, prices.increment_s);
  };
  for (const Arrival& arrival : arrivals) {
    if (arrival.at_s > free_s + timer.idle_timeout_s) {  // asleep
      end_session();
      on_s = arrival.at_s;
      ready_s = arrival.at_s + timer.wake_s;
      free_s = ready_s;
      out.wakes += 1;
      slots = {};
      for (int i = 0; i < std::max(timer.slots, 1); ++i) slots.push(ready_s);
    }
    const double begin_s = std::max(arrival.at_s, slots.top());
    const double end_s = begin_s + arrival.service_s;
    slots.pop();
    slots.push(end_s);
    out.busy_s += std::max(0.0, end_s - std::max(begin_s, free_s));
    free_s = std::max(free_s, end_s);
    cold += arrival.at_s < ready_s ? 1 : 0;
    latencies.push_back(end_s - arrival.at_s);
  }
  end_session();
  const double a_month = 1.0 / months;
  for (double* const sum : {&out.awake_s, &out.busy_s, &out.wakes}) *sum *= a_month;
  out.waking_s = out.wakes * timer.wake_s;
  out.idle_s = std::max(0.0, out.awake_s - out.busy_s - out.waking_s);
  const auto count = static_cast<double>(latencies.size());
  out.cold_share = count > 0 ? cold / count : 0;
  double sum = 0;
  for (const double latency : latencies) sum += latency;
  out.mean_s = count > 0 ? sum / count : 0;
  std::sort(latencies.begin(), latencies.end());
  out.p50_s = at_share(latencies, 0.50);
  out.p95_s = at_share(latencies, 0.95);
  out.p99_s = at_share(latencies, 0.99);
  const double hour_micros = static_cast<double>(prices.hour_micros);
  out.bill_micros = std::llround(out.awake_s / 3'600 * hour_micros);
  out.rounded_bill_micros = std::llround(billed * a_month / 3'600 * hour_micros);
  return out;
}

}  // namespace dormouse::planner
