#include "planner/profile.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

namespace dormouse::planner {
namespace {

constexpr double kHourS = 3'600;
constexpr double kWeekS = kHoursOfWeek * kHourS;
constexpr double kWeeksOfMonth = kHoursOfMonth / kHoursOfWeek;

constexpr std::array<double, kHoursOfDay> kOfficeDay{0,  0,  0,   0,   0,   0,  1,  5,  21, 100, 100, 100,
                                                     44, 98, 100, 100, 100, 81, 21, 21, 21, 4,   0,   0};

double requests_of_week(const ProfileTraffic& traffic) {
  double days = 0;
  for (std::size_t day = 0; day < kDaysOfWeek; ++day) {
    const auto* const first = traffic.profile.weight.data() + day * kHoursOfDay;
    if (std::any_of(first, first + kHoursOfDay, [](double weight) { return weight > 0; })) days += 1;
  }
  return traffic.requests_per_day * days;
}

std::array<double, kHoursOfWeek> rates_of(const ProfileTraffic& traffic) {
  std::array<double, kHoursOfWeek> out = traffic.profile.weight;
  const double sum = std::accumulate(out.begin(), out.end(), 0.0);
  const double week = requests_of_week(traffic);
  for (double& hour : out) hour *= week / sum / kHourS;
  return out;
}

// Steps of the last so many instants: what came in at step i is asked for `delay` steps later.
class Delay {
 public:
  explicit Delay(std::size_t steps) : steps_(steps + 1) {}
  // What was put `steps` ago, 0 before that.
  double pass(double in) {
    steps_[at_] = in;
    at_ = at_ + 1 == steps_.size() ? 0 : at_ + 1;
    return steps_[at_];
  }

 private:
  std::vector<double> steps_;
  std::size_t at_ = 0;
};

// Expected arrivals from the beginning to an instant, week after week.
class Arrived {
 public:
  explicit Arrived(const std::array<double, kHoursOfWeek>& rates) : rates_(rates) {
    for (std::size_t hour = 0; hour < kHoursOfWeek; ++hour) until_[hour + 1] = until_[hour] + rates[hour] * kHourS;
  }
  [[nodiscard]] double before(double at_s) const {
    if (at_s <= 0) return 0;
    const double weeks = std::floor(at_s / kWeekS);
    const double in_week_s = at_s - weeks * kWeekS;
    const std::size_t hour = std::min(static_cast<std::size_t>(in_week_s / kHourS), kHoursOfWeek - 1);
    return weeks * until_.back() + until_[hour] + rates_[hour] * (in_week_s - static_cast<double>(hour) * kHourS);
  }

 private:
  const std::array<double, kHoursOfWeek> rates_;
  std::array<double, kHoursOfWeek + 1> until_{};
};

}  // namespace

Profile office_profile() {
  constexpr std::size_t kWorkdays = 5;
  Profile out;
  for (std::size_t hour = 0; hour < kWorkdays * kHoursOfDay; ++hour) out.weight[hour] = kOfficeDay[hour % kHoursOfDay];
  return out;
}

Profile always_profile() {
  Profile out;
  out.weight.fill(1);
  return out;
}

Status check(const ProfileTraffic& traffic) {
  const std::array<double, kHoursOfWeek>& weight = traffic.profile.weight;
  const auto is_wrong = [](double value) { return !(value >= 0) || value > kMostWeight; };
  if (std::any_of(weight.begin(), weight.end(), is_wrong) ||
      std::all_of(weight.begin(), weight.end(), [](double value) { return value <= 0; })) {
    return make_error(Code::kInvalidArgument, "profile: want weights from 0 to 1e12, one above 0");
  }
  if (!(traffic.requests_per_day > 0) || requests_of_week(traffic) * kWeeksOfMonth > kMostRequestsOfMonth) {
    return make_error(Code::kInvalidArgument, "requests a day: want more than 0, at most 10,000,000 a month");
  }
  if (!(traffic.service_s > 0) || traffic.service_s > kHourS * kHoursOfDay) {
    return make_error(Code::kInvalidArgument, "seconds a request: want more than 0, at most a day");
  }
  return {};
}

double rate_in(const ProfileTraffic& traffic, std::size_t hour_of_week) {
  return rates_of(traffic)[hour_of_week];
}

std::optional<Expected> expected_month(const ProfileTraffic& traffic, const Timer& timer) {
  Expected out;
  double cold = 0;
  double wait_s = 0;
  for (const double rate : rates_of(traffic)) {
    if (rate <= 0) continue;
    // A month of such hours.
    const Traffic lasting{.requests_per_day = rate * kHourS * kHoursOfDay,
                          .service_s = traffic.service_s,
                          .active_days = 30,
                          .active_hours = kHoursOfDay};
    const std::optional<Steady> steady = steady_state(lasting, timer);
    if (!steady.has_value()) return std::nullopt;
    const double hours_s = kHourS * kWeeksOfMonth;
    out.awake_s += hours_s * steady->awake_share;
    out.wakes += hours_s * steady->wakes_per_s;
    out.busy_s += hours_s * steady->busy_share;
    cold += hours_s * rate * steady->cold_share;
    wait_s += hours_s * rate * steady->wait_s;
  }
  const double requests = requests_of_week(traffic) * kWeeksOfMonth;
  out.waking_s = out.wakes * timer.wake_s;
  out.idle_s = std::max(0.0, out.awake_s - out.busy_s - out.waking_s);
  out.cold_share = cold / requests;
  out.mean_s = traffic.service_s + wait_s / requests;
  return out;
}

std::optional<Expected> expected_month_by_instants(const ProfileTraffic& traffic, const Timer& timer) {
  constexpr double kLeastStepS = 0.1;  // 6,048,000 instants a week
  const double stay_s = traffic.service_s + timer.idle_timeout_s;
  if (timer.slots != 0 || timer.slowdown > 0 || !(timer.wake_s >= 0) || !(timer.idle_timeout_s >= 0) ||
      timer.wake_s + stay_s > kWeekS || stay_s < kLeastStepS) {
    return std::nullopt;
  }
  // What happens in a step happens in its middle, but falling asleep at its end: from a request to that it is a stay.
  // So each spell awake ends exactly once, whatever the step: a share too much would add up night after night.
  const double stay_steps = std::ceil(stay_s / std::max(traffic.service_s / 10, kLeastStepS));
  const double step_s = stay_s / (stay_steps + 0.5);
  // A wake ends between two steps, and is shared out among them.
  const double wake_steps = std::floor(timer.wake_s / step_s);
  const double later = timer.wake_s / step_s - wake_steps;  // the part that is ready one step later
  const auto week_steps = static_cast<std::size_t>(std::ceil(kWeekS / step_s));

  const std::array<double, kHoursOfWeek> rates = rates_of(traffic);
  const Arrived arrived(rates);
  Delay last_asked(static_cast<std::size_t>(stay_steps));
  Delay woken(static_cast<std::size_t>(wake_steps));
  double ready_next = 0;
  double asleep = 1;
  double waking = 0;
  double wake_left_s = 0;  // expected, of all that are waking
  Expected week;
  double cold = 0;
  double wait_s = 0;
  double before = 0;
  // The first week only finds out in what state a week begins.
  for (std::size_t i = 0; i < 2 * week_steps; ++i) {
    if (i == week_steps) week = {}, cold = wait_s = 0;
    const double at_s = static_cast<double>(i) * step_s;
    const double until = arrived.before(at_s + step_s);
    const double asked = until - before;
    before = until;
    const double any = -std::expm1(-asked);
    const double wakes = asleep * any;
    const double through = woken.pass(wakes);
    const double ready = (1 - later) * through + ready_next;
    ready_next = later * through;
    const double serving = 1 - asleep - waking;
    const double starts = serving * any + ready;
    const double since = until - arrived.before(at_s - (stay_steps - 1) * step_s);
    const double falls = last_asked.pass(starts) * std::exp(-since);
    const double of_service = asked * traffic.service_s / step_s;  // arrivals expected in one
    const double covers = of_service > 0 ? -std::expm1(-of_service) / of_service : 1;
    week.awake_s += (1 - asleep + wakes / 2) * step_s;
    week.busy_s += ((serving + ready / 2) * asked + ready) * traffic.service_s * covers;
    week.wakes += wakes;
    const double waking_between = waking + (wakes - ready) / 2;
    const double left_more_s = wakes * timer.wake_s - waking_between * step_s;
    cold += asked * waking_between + wakes;
    wait_s += asked * (wake_left_s + left_more_s / 2) + wakes * timer.wake_s;
    wake_left_s += left_more_s;
    asleep += falls - wakes;
    waking += wakes - ready;
  }
  const double requests = requests_of_week(traffic);
  Expected out;
  out.awake_s = week.awake_s * kWeeksOfMonth;
  out.wakes = week.wakes * kWeeksOfMonth;
  out.busy_s = week.busy_s * kWeeksOfMonth;
  out.waking_s = out.wakes * timer.wake_s;
  out.idle_s = std::max(0.0, out.awake_s - out.busy_s - out.waking_s);
  out.cold_share = std::min(1.0, cold / requests);
  out.mean_s = traffic.service_s + wait_s / requests;
  return out;
}

Workload make_arrivals(const ProfileTraffic& traffic, int months, std::uint64_t seed) {
  Workload out;
  out.months = months;
  const std::array<double, kHoursOfWeek> rates = rates_of(traffic);
  const std::int64_t service_us = to_us(traffic.service_s);
  std::mt19937_64 random(seed);
  std::uniform_int_distribution<std::int64_t> within(0, kHourUs - 1);
  const auto hours = static_cast<std::int64_t>(kHoursOfMonth) * months;
  for (std::int64_t hour = 0; hour < hours; ++hour) {
    const double mean = rates[static_cast<std::size_t>(hour) % kHoursOfWeek] * kHourS;
    if (mean <= 0) continue;
    const auto begin = static_cast<std::ptrdiff_t>(out.arrivals.size());
    std::poisson_distribution<std::int64_t> count(mean);
    for (std::int64_t i = count(random); i > 0; --i) {
      out.arrivals.push_back({hour * kHourUs + within(random), service_us});
    }
    std::sort(out.arrivals.begin() + begin, out.arrivals.end(),
              [](const Arrival& a, const Arrival& b) { return a.at_us < b.at_us; });
  }
  return out;
}

}  // namespace dormouse::planner
