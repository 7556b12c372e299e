#include "planner/closed_form.h"

#include <algorithm>
#include <cmath>

namespace dormouse::planner {
namespace {

// e^-700 is near the smallest double; with more than that nothing ever sleeps.
constexpr double kMostExponent = 700;
constexpr double kDayS = 86'400;
constexpr double kMostRequestsADay = 1e9;  // beyond what anything is asked about
constexpr int kHalvings = 60;              // of a window: to less than a nanosecond

// The windows of a month: days without a night between them are one.
struct Windows {
  double count;
  double length_s;
};

Windows windows_of(const Traffic& traffic) {
  if (traffic.is_round_the_clock()) return {1, traffic.active_days * traffic.window_s()};
  return {traffic.active_days, traffic.window_s()};
}

// Above it a window is over before the queue has reached its steady state: that takes about s / (1 - load)^2, and a
// tenth of the window is what is left for it.
double most_load(const Traffic& traffic) {
  return 1 - std::sqrt(10 * traffic.service_s / windows_of(traffic).length_s);
}

bool has_formula(const Traffic& traffic, const Timer& timer, double variation) {
  const bool is_one = timer.slots == 1 && traffic.load() <= most_load(traffic) && variation >= 0;
  const bool is_batch = timer.slots == 0 && timer.slowdown == 0 && variation == 0;
  const double stay_s = timer.wake_s + traffic.service_s + timer.idle_timeout_s;
  return (is_one || is_batch) && std::isfinite(traffic.rate()) && traffic.rate() > 0 && traffic.service_s >= 0 &&
         timer.wake_s >= 0 && timer.idle_timeout_s >= 0 && stay_s <= windows_of(traffic).length_s;
}

// Being asleep for Exp(rate), then awake for Y, and so on. Awake it stays through each gap up to `stay_s` and ends with
// the first longer one: N further rounds, P(N = n) = (1 - q)^n q with q = e^(-rate stay), on top of a first part.
struct Cycle {
  double q;            // a gap longer than the stay
  double asleep;       // share of time in the long run: 1 / (1 + rate E[Y])
  double slump_s;      // how much longer than that it sleeps in all, having begun asleep: the first morning
  double after_s;      // E[time until it sleeps] if arrivals stop: the evening
  double wait_s;       // E[wait] in the long run without wakes
  double wait_a_wake;  // what each wake adds to the waiting of all
};

// E[x; x < end] and E[x^2; x < end] of an exponential gap x.
struct Gaps {
  double first;
  double second;
};

Gaps gaps_within(double rate, double end_s) {
  const double q = std::exp(-std::min(rate * end_s, kMostExponent));
  const double within = -std::expm1(-std::min(rate * end_s, kMostExponent));
  return {within / rate - end_s * q, 2 * within / (rate * rate) - (end_s * end_s + 2 * end_s / rate) * q};
}

// Renewal theory: P(asleep at t) has the transform 1 / (rate + z - rate E[e^(-zY)]); its value at 0, less the pole, is
// rate E[Y^2] / (2 (1 + rate E[Y])^2). Taken times q^2 above and below, so that e^700 is never squared.
double slump(double rate, double q, double asleep, double part_mean_s, double part_variance, const Gaps& round) {
  const double mean_q = part_mean_s * q + round.first;
  const double variance_q = part_variance * q * q + round.second * q + round.first * round.first;
  const double asleep_by_q = asleep / q;
  return rate / 2 * (mean_q * mean_q + variance_q) * asleep_by_q * asleep_by_q;
}

// All at once: awake from the wake until no request has come for service + timeout.
Cycle batch_cycle(const Traffic& traffic, const Timer& timer) {
  const double rate = traffic.rate();
  const double stay_s = traffic.service_s + timer.idle_timeout_s;
  Cycle out{};
  out.q = std::exp(-std::min(rate * stay_s, kMostExponent));
  const double sleeps = 1 / (1 + rate * timer.wake_s * out.q);
  out.asleep = out.q * sleeps;
  const Gaps gaps = gaps_within(rate, stay_s);
  out.slump_s = slump(rate, out.q, out.asleep, timer.wake_s + stay_s, 0, gaps);
  const double within = -std::expm1(-std::min(rate * stay_s, kMostExponent));
  out.after_s = rate * timer.wake_s * out.asleep * (timer.wake_s / 2 + stay_s) + (stay_s - within / rate) * sleeps;
  out.wait_a_wake = timer.wake_s + rate * timer.wake_s * timer.wake_s / 2;
  return out;
}

// Those that wait for one wake run together; each of these starts covers at most the gap to the next. In units of 1 /
// rate.
double batch_busy(double starts, const Traffic& traffic) {
  return std::max(0.0, starts) * -std::expm1(-traffic.load());
}

// One at a time: awake is a wake, the busy period of all who came meanwhile, then gaps shorter than the timeout with a
// busy period behind each. Moments of busy periods: M/G/1, E[B] = s / (1 - load), E[B^2] = E[S^2] / (1 - load)^3.
Cycle single_cycle(const Traffic& traffic, const Timer& timer, double variation) {
  const double rate = traffic.rate();
  const double wake_s = timer.wake_s;
  const double service_s = traffic.service_s;
  const double square = service_s * service_s * (1 + variation);  // E[S^2]
  const double free = 1 - traffic.load();
  const double timeout_s = timer.idle_timeout_s;
  Cycle out{};
  out.q = std::exp(-std::min(rate * timeout_s, kMostExponent));
  const double within = -std::expm1(-std::min(rate * timeout_s, kMostExponent));
  out.asleep = free * out.q / (1 + rate * wake_s * out.q);
  const Gaps gaps = gaps_within(rate, timeout_s);
  const double busy_s = service_s / free;
  const Gaps round{gaps.first + within * busy_s,
                   gaps.second + 2 * gaps.first * busy_s + within * square / (free * free * free)};
  // The first busy period begins with 1 + Poisson(rate wake) requests.
  const double work_s = service_s * (1 + rate * wake_s);
  const double work_variance = rate * wake_s * square + variation * service_s * service_s;
  const double part_s = wake_s + work_s / free + timeout_s;
  const double part_variance = work_variance / (free * free) + rate * square * work_s / (free * free * free);
  out.slump_s = slump(rate, out.q, out.asleep, part_s, part_variance, round);
  out.wait_s = rate * square / (2 * free);
  out.wait_a_wake = (wake_s + rate * wake_s * wake_s / 2) / free;
  // What is left to do is what a request that came now would wait for (PASTA), except where it would wake it first.
  const double wait_s = out.wait_s + out.asleep * out.wait_a_wake;
  const double idle_starts = rate * out.asleep / out.q;  // a second
  out.after_s = wait_s - out.asleep * wake_s + timeout_s * (rate * wake_s * out.asleep + traffic.load()) +
                idle_starts * (timeout_s - within / rate) / rate;
  return out;
}

Cycle cycle_of(const Traffic& traffic, const Timer& timer, double variation) {
  return timer.slots == 0 ? batch_cycle(traffic, timer) : single_cycle(traffic, timer, variation);
}

// The least x of [low, high] at which `is_enough`, which once true stays true.
template <typename Predicate>
double least(double low, double high, Predicate is_enough) {
  for (int i = 0; i < kHalvings; ++i) {
    const double middle = (low + high) / 2;
    (is_enough(middle) ? high : low) = middle;
  }
  return high;
}

}  // namespace

std::optional<Steady> steady_state(const Traffic& traffic, const Timer& timer, double variation) {
  if (!has_formula(traffic, timer, variation)) return std::nullopt;
  const Cycle cycle = cycle_of(traffic, timer, variation);
  const double rate = traffic.rate();
  const double met = rate * timer.wake_s;
  return Steady{.awake_share = 1 - cycle.asleep,
                .busy_share = timer.slots == 0 ? batch_busy(1 - met * cycle.asleep, traffic) : traffic.load(),
                .wakes_per_s = rate * cycle.asleep,
                .cold_share = std::min(1.0, (1 + met) * cycle.asleep),
                .wait_s = cycle.wait_s + cycle.asleep * cycle.wait_a_wake};
}

std::optional<Expected> expected_month(const Traffic& traffic, const Timer& timer, double variation) {
  if (!has_formula(traffic, timer, variation)) return std::nullopt;
  const Cycle cycle = cycle_of(traffic, timer, variation);
  const Windows windows = windows_of(traffic);
  const double rate = traffic.rate();
  const double asleep_s = std::min(cycle.asleep * windows.length_s + cycle.slump_s, windows.length_s);
  const double requests = traffic.requests();
  Expected out;
  out.awake_s = windows.count * (windows.length_s - asleep_s + cycle.after_s);
  out.wakes = std::min(windows.count * rate * asleep_s, requests);
  out.waking_s = out.wakes * timer.wake_s;
  // With a wake come those who ask meanwhile, but for a wake that the window's end cuts short.
  const double met = rate * timer.wake_s;
  const double waiting = std::max(0.0, met * (out.wakes - windows.count * cycle.asleep * met / 2));
  out.cold_share = std::min(1.0, (out.wakes + waiting) / requests);
  out.mean_s = traffic.service_s + cycle.wait_s + out.wakes / requests * cycle.wait_a_wake;
  out.busy_s = timer.slots == 0 ? batch_busy(requests - waiting, traffic) / rate : requests * traffic.service_s;
  out.idle_s = std::max(0.0, out.awake_s - out.busy_s - out.waking_s);
  return out;
}

double awake_seconds(const Traffic& traffic, const Timer& timer) {
  const std::optional<Expected> month = expected_month(traffic, timer);
  if (month.has_value()) return month->awake_s;
  const double stay_s = traffic.service_s + timer.wake_s + timer.idle_timeout_s;
  return traffic.active_days * std::min(traffic.window_s() + stay_s, kDayS);
}

std::optional<std::int64_t> expected_micros(const Expected& month, const Tariff& tariff) {
  if (tariff.increment_us > 0 || tariff.minimum_us > 0) return std::nullopt;
  double paid_s = month.busy_s;
  if (tariff.waking == Paid::kYes) paid_s += month.waking_s;
  if (tariff.idle == Paid::kYes) paid_s += month.idle_s;
  const double stopped_s = std::max(0.0, kHoursOfMonth * 3'600 - month.awake_s);
  const double micros = paid_s * static_cast<double>(tariff.hour_micros) / 3'600 +
                        stopped_s * static_cast<double>(tariff.stopped_hour_micros) / 3'600;
  return std::llround(std::min(micros, static_cast<double>(kMostMicros))) + tariff.fixed_month_micros;
}

std::optional<double> break_even_seconds(const Tariff& tariff) {
  if (!tariff.month_micros.has_value() || tariff.hour_micros <= tariff.stopped_hour_micros) return std::nullopt;
  const auto stopped = static_cast<double>(tariff.stopped_hour_micros);
  const double rest = static_cast<double>(*tariff.month_micros) - stopped * kHoursOfMonth;
  return std::max(0.0, rest / (static_cast<double>(tariff.hour_micros) - stopped) * 3'600);
}

std::optional<double> longest_timeout(const Traffic& traffic, double wake_s, double awake_s, int slots) {
  const auto is_more = [&](double timeout_s) { return awake_seconds(traffic, {timeout_s, wake_s, slots}) > awake_s; };
  if (is_more(0)) return std::nullopt;
  const double most_s = traffic.window_s();
  return is_more(most_s) ? least(0, most_s, is_more) : most_s;
}

std::optional<double> timeout_for_cold_share(const Traffic& traffic, const Timer& timer, double share) {
  const auto is_enough = [&](double timeout_s) {
    Timer tried = timer;
    tried.idle_timeout_s = timeout_s;
    const std::optional<Expected> month = expected_month(traffic, tried);
    return month.has_value() && month->cold_share <= share;
  };
  const double most_s = traffic.window_s() - traffic.service_s - timer.wake_s;
  if (is_enough(0)) return 0;
  if (!is_enough(most_s)) return std::nullopt;
  return least(0, most_s, is_enough);
}

std::optional<double> requests_for(const Traffic& traffic, const Timer& timer, double awake_s) {
  const auto is_enough = [&](double requests_per_day) {
    Traffic changed = traffic;
    changed.requests_per_day = requests_per_day;
    const std::optional<Expected> month = expected_month(changed, timer);
    return month.has_value() && month->awake_s >= awake_s;
  };
  const double load = timer.slots == 0 ? kMostExponent : most_load(traffic) * (1 - 1e-9);  // and not by rounding above
  const double most = std::min(load * traffic.window_s() / traffic.service_s, kMostRequestsADay);
  return is_enough(most) ? std::optional(least(0, most, is_enough)) : std::nullopt;
}

double timeout_without_data(double wake_s, double micros_a_wake, const Tariff& tariff) {
  constexpr double kLeastS = 30;
  const double micros_a_second = static_cast<double>(tariff.hour_micros) / 3'600;
  const double of_wakes_s = tariff.hour_micros > 0 ? micros_a_wake / micros_a_second : 0;
  return std::max(kLeastS, wake_s + of_wakes_s);
}

BestUnderPoisson best_under_poisson(const Traffic& traffic, double wake_s, const Tariff& tariff,
                                    const WakePenalty& penalty) {
  const double rate = traffic.rate();
  const double price = static_cast<double>(tariff.hour_micros - tariff.stopped_hour_micros) / 3'600;  // a second
  const double of_cold = penalty.micros_a_cold_request * (1 + rate * wake_s);
  return price > rate * (penalty.micros_a_wake + of_cold) ? BestUnderPoisson::kSleepAtOnce
                                                          : BestUnderPoisson::kNeverSleep;
}

}  // namespace dormouse::planner
