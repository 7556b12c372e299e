#include "planner/details.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "planner/arrivals.h"

namespace dormouse::planner {
namespace {

constexpr std::uint64_t kSeed = 1;
constexpr double kMostSpike = 1e6;  // requests of a day: a second of simulation
// A caller's own timeout is the most anybody waits, and as many as the gateway holds may.
constexpr Nanoseconds kMaxWait = std::chrono::minutes(10);
constexpr int kMaxWaiters = 1'024;

Nanoseconds ns(double seconds) {
  return Nanoseconds(std::llround(seconds * 1e9));
}

struct Day {
  Workload workload;
  double hours = 24;
};

std::span<const Arrival> fullest_day(const Workload& workload) {
  const std::span<const Arrival> all(workload.arrivals);
  std::span<const Arrival> out;
  for (std::size_t begin = 0; begin < all.size();) {
    const std::int64_t day = all[begin].at_us / kDayUs;
    std::size_t end = begin;
    while (end < all.size() && all[end].at_us / kDayUs == day) ++end;
    if (end - begin > out.size()) out = all.subspan(begin, end - begin);
    begin = end;
  }
  return out;
}

Result<Day> day_of(const Question& question, const std::optional<Spike>& spike) {
  Day out;
  if (!spike.has_value()) {
    const std::span<const Arrival> day = fullest_day(question.workload);
    const std::int64_t begin_us = day.front().at_us / kDayUs * kDayUs;
    for (const Arrival& arrival : day) {
      out.workload.arrivals.push_back({arrival.at_us - begin_us, arrival.service_us});
    }
    if (question.traffic.has_value()) out.hours = question.traffic->active_hours;
  } else {
    if (!(spike->requests >= 1) || spike->requests > kMostSpike) {
      return make_error(Code::kInvalidArgument, "spike: want 1 to 1,000,000 requests of a day");
    }
    if (!(spike->hours > 0) || spike->hours > 24) {
      return make_error(Code::kInvalidArgument, "spike: want it within more than 0 and up to 24 hours");
    }
    double service_us = 0;
    for (const Arrival& arrival : question.workload.arrivals) service_us += static_cast<double>(arrival.service_us);
    const double mean_s = service_us / kSecondUs / static_cast<double>(question.workload.arrivals.size());
    out.hours = spike->hours;
    out.workload = make_arrivals({spike->requests, mean_s, 1, spike->hours}, Pattern::kRandom, 1, kSeed);
  }
  out.workload.months = 24 / kHoursOfMonth;
  return out;
}

FleetRules rules_of(const Question& question) {
  FleetRules out;
  out.life.idle_timeout = ns(question.timer.idle_timeout_s);
  out.life.max_wait = kMaxWait;
  out.life.max_waiters = kMaxWaiters;
  if (question.tariff.increment == Increment::kPrepaid) {
    out.life.billing_increment = std::chrono::microseconds(question.tariff.increment_us);
  }
  out.world.load_time = ns(question.timer.wake_s);
  out.world.max_sequences = question.timer.slots;
  out.world.slowdown = question.timer.slowdown;
  return out;
}

Result<std::vector<OtherScaler>> others_of(const Workload& day, const Question& question, int most) {
  std::vector<OtherScaler> out;
  if (question.timer.slots < 1 || question.timer.slowdown > 0) return out;
  for (const Scaler scaler : {Scaler::kKnative, Scaler::kHpa, Scaler::kSkyServe}) {
    const ScalerRules rules{.scaler = scaler,
                            .max_instances = most,
                            .wake_us = to_us(question.timer.wake_s),
                            .slots = question.timer.slots};
    TRY(FleetRun run, run_scaler(day, rules, question.tariff));
    out.push_back({scaler, std::move(run)});
  }
  return out;
}

Result<Sizing> sizing_of(const Question& question, const Wishes& wishes) {
  TRY(const Day day, day_of(question, wishes.spike));
  Sizing out;
  out.requests = static_cast<std::int64_t>(day.workload.arrivals.size());
  out.hours = day.hours;
  double service_us = 0;
  for (const Arrival& arrival : day.workload.arrivals) service_us += static_cast<double>(arrival.service_us);
  const int slots = std::max(question.timer.slots, 1);
  // All slots in use, each is slower; together they do this much.
  const double at_once = slots / (1 + question.timer.slowdown * (slots - 1));
  out.load = question.timer.slots == 0 ? 0 : service_us / (day.hours * kHourUs) / at_once;
  std::optional<Slo> slo;
  if (wishes.goal.p99_s_max.has_value()) {
    out.has_goal = true;
    slo = Slo{};
    slo->seconds = *wishes.goal.p99_s_max;
  }
  TRY(out.others, others_of(day.workload, question, wishes.most_instances));
  TRY(FleetAnswer answer,
      size_for(day.workload, rules_of(question), question.tariff, slo, Kept::kByLoad, wishes.most_instances));
  for (FleetRow& row : answer.rows) row.micros = row.run.paid_micros;
  out.rows = std::move(answer.rows);
  out.guess = answer.guess;
  return out;
}

Result<std::vector<QuantRow>> quants_of(const Plan& plan, const ModelWish& wish) {
  TRY(const std::vector<Fit> fits, fits_of(wish.shape, wish.card.vram_bytes, wish.wanted));
  std::vector<QuantRow> out;
  for (const Fit& fit : fits) {
    QuantRow row;
    row.fit = fit;
    const bool is_asked = fit.quant == wish.quant;
    if (fit.left_bytes >= 0) {
      const Result<Speeds> speeds = roofline(wish.shape, fit.quant, wish.card, wish.wanted);
      if (speeds.has_value()) row.speeds = *speeds;
    }
    if (is_asked && wish.speeds.has_value()) row.speeds = wish.speeds;
    TokenUse use;
    use.hour_micros = plan.question.tariff.hour_micros;
    if (row.speeds.has_value() && row.speeds->is_of_batch) {
      use.tokens_per_s_full = row.speeds->line.tokens_per_s(static_cast<double>(wish.wanted.sequences));
    }
    if (is_asked) {
      const Workload& workload = plan.question.workload;
      use.tokens = std::llround(static_cast<double>(workload.output_tokens) / workload.months);
      use.busy_h = plan.rows[plan.asked].forecast.busy_s / 3'600;
      use.bill_micros = plan.rows[plan.asked].micros;
    }
    row.prices = token_prices(use);
    out.push_back(std::move(row));
  }
  return out;
}

}  // namespace

std::optional<Interval> interval_of(const Question& question) {
  const Tariff& tariff = question.tariff;
  const std::vector<Arrival>& arrivals = question.workload.arrivals;
  if (arrivals.empty()) return std::nullopt;
  const std::vector<std::int64_t> paid = paid_by_day(arrivals, question.timer, tariff);
  const auto first = static_cast<std::size_t>(arrivals.front().at_us / kDayUs) + 1;
  std::vector<std::int64_t> day_micros;
  for (std::size_t day = first; day + 1 < paid.size(); ++day) day_micros.push_back(hours_micros(tariff, paid[day]));
  std::optional<Interval> out = bill_interval(day_micros, kSeed, first % static_cast<std::size_t>(kDaysOfWeek));
  if (!out.has_value()) return out;
  out->low_micros += tariff.fixed_month_micros;
  out->high_micros += tariff.fixed_month_micros;
  return out;
}

Result<Details> make_details(const Plan& plan, const Wishes& wishes) {
  const Question& question = plan.question;
  if (question.workload.arrivals.empty()) return make_error(Code::kInvalidArgument, "requests: there are none");
  if (wishes.most_instances < 1 || wishes.most_instances > kMostInstances) {
    return make_error(Code::kInvalidArgument, fmt::format("instances: want 1 to {}", kMostInstances));
  }
  Details out;
  out.search = search_timeouts(question.workload, question.timer, question.tariff, wishes.goal);
  if (!question.traffic.has_value()) out.interval = interval_of(question);
  TRY(out.sizing, sizing_of(question, wishes));
  if (wishes.model.has_value()) {
    TRY(out.quants, quants_of(plan, *wishes.model));
  }
  out.level_hours = level_hours(question.workload, question.timer);
  // Below half of what one instance can do its queue is short, and a second one for each pair that meets a waste.
  constexpr double kBusyDay = 0.5;
  if (out.sizing.load >= kBusyDay && out.level_hours.size() > 1 && out.level_hours[1] > 0) {
    out.reservation = reserve(out.level_hours, question.tariff, question.timer.wake_s);
  }
  if (question.traffic.has_value()) {
    out.sensitivity = sensitivity_of(*question.traffic, question.timer, question.tariff);
  }
  if (wishes.deferred.has_value()) {
    TRY(DeferredEffect effect, defer(question.workload, *wishes.deferred, question.timer, question.tariff));
    out.deferred = std::move(effect);
  }
  return out;
}

}  // namespace dormouse::planner
