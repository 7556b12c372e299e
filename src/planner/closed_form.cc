#include "planner/closed_form.h"

#include <algorithm>
#include <cmath>

namespace dormouse::planner {
namespace {

// e^700 is near the end of double; above it nothing ever sleeps.
constexpr double kMostExponent = 700;

double growth(double rate, double timeout_s) {
  return std::exp(std::min(rate * timeout_s, kMostExponent));
}

}  // namespace

double awake_share(const Traffic& traffic, const Timer& timer) {
  const double asleep =
      (1 - traffic.load()) / (growth(traffic.rate(), timer.idle_timeout_s) + traffic.rate() * timer.wake_s);
  return std::clamp(1 - asleep, 0.0, 1.0);
}

double awake_seconds(const Traffic& traffic, const Timer& timer) {
  const double rate = traffic.rate();
  const double stay_s = traffic.service_s + timer.idle_timeout_s;
  const double decay = std::exp(-std::min(rate * stay_s, kMostExponent));
  const double edge_s = stay_s * (1 + decay) - 2 * (1 - decay) / rate;
  const double edges = traffic.is_round_the_clock() ? 1 : traffic.active_days;
  return traffic.active_days * traffic.window_s() * awake_share(traffic, timer) + edges * std::max(edge_s, 0.0);
}

double cold_share(const Traffic& traffic, const Timer& timer) {
  const double met = 1 + traffic.rate() * timer.wake_s;  // the one that wakes it, and those that come meanwhile
  const double share =
      met * (1 - traffic.load()) / (growth(traffic.rate(), timer.idle_timeout_s) + traffic.rate() * timer.wake_s);
  const double mornings = traffic.is_round_the_clock() ? 1 : traffic.active_days;
  return std::clamp(std::max(share, mornings * met / traffic.requests()), 0.0, 1.0);
}

std::optional<double> longest_timeout(const Traffic& traffic, double wake_s, double awake_s) {
  // The formula without the day's edge is a first guess from above; awake_seconds grows with the timeout.
  if (awake_seconds(traffic, {0, wake_s}) > awake_s) return std::nullopt;
  double low = 0;
  double high = traffic.window_s();
  if (awake_seconds(traffic, {high, wake_s}) <= awake_s) return high;
  constexpr int kHalvings = 60;
  for (int i = 0; i < kHalvings; ++i) {
    const double middle = (low + high) / 2;
    (awake_seconds(traffic, {middle, wake_s}) <= awake_s ? low : high) = middle;
  }
  return low;
}

double timeout_for_cold_share(const Traffic& traffic, double wake_s, double share) {
  const double rate = traffic.rate();
  const double argument = (1 + rate * wake_s) * (1 - traffic.load()) / share - rate * wake_s;
  return argument <= 1 ? 0 : std::log(argument) / rate;
}

std::optional<double> requests_for(const Traffic& traffic, const Timer& timer, double awake_s) {
  Traffic changed = traffic;
  double low = 0;
  double high = traffic.window_s() / traffic.service_s;  // a load of one
  changed.requests_per_day = high * 0.999'999;
  if (awake_seconds(changed, timer) < awake_s) return std::nullopt;
  constexpr int kHalvings = 60;
  for (int i = 0; i < kHalvings; ++i) {
    const double middle = (low + high) / 2;
    changed.requests_per_day = middle;
    (awake_seconds(changed, timer) < awake_s ? low : high) = middle;
  }
  return low;
}

}  // namespace dormouse::planner
