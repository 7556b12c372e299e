#include "planner/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "planner/arrivals.h"
#include "planner/closed_form.h"

namespace dormouse::planner {
namespace {

// Of the replay: a bill scatters by less than 0.1 % over 16 months of 20'000 requests. Fewer of more requests scatter
// as little, and take no longer.
constexpr int kMostMonths = 16;
constexpr double kReplayed = 1e6;
constexpr std::uint64_t kSeed = 1;
constexpr double kNeverSleepsS = 1e8;  // three years
constexpr double kMostWakeS = 86'400;
constexpr double kMostRequestS = 86'400;
constexpr double kMostRequests = 1e7;  // a month
constexpr int kMostSlots = 1'024;

Error wrong(std::string what) {
  return make_error(Code::kInvalidArgument, std::move(what));
}

// NaN fails every comparison that asks for a range.
[[nodiscard]] bool is_within(double value, double least, double most) {
  return value >= least && value <= most;
}

Status check_traffic(const Traffic& t) {
  if (!(t.requests_per_day > 0)) return wrong("requests per day: want more than 0");
  if (!(t.service_s > 0) || t.service_s > kMostRequestS) {
    return wrong(
        fmt::format("seconds per request: {:g} is not above 0 and up to a day; are they milliseconds?", t.service_s));
  }
  if (!is_within(t.active_days, 1, 31))
    return wrong(fmt::format("active days: {:g} are not 1 to 31 of a month", t.active_days));
  if (!(t.active_hours > 0) || t.active_hours > 24) {
    return wrong(fmt::format("active hours: {:g} are not above 0 and up to 24 of a day", t.active_hours));
  }
  if (!(t.requests() <= kMostRequests))
    return wrong("requests per day: more than 10,000,000 a month; replay a part of it");
  return {};
}

Status check(const Question& question) {
  const Timer& timer = question.timer;
  if (!is_within(timer.idle_timeout_s, 0, kNeverSleepsS)) return wrong("idle timeout: want 0 or more seconds");
  if (!is_within(timer.wake_s, 0, kMostWakeS)) return wrong("wake: want 0 seconds to a day");
  if (timer.slots < 0 || timer.slots > kMostSlots)
    return wrong(fmt::format("slots: want 1 to {}, or 0 for no limit", kMostSlots));
  if (question.tariff.hour_micros <= 0) return wrong("price: there is none by the hour, and nothing is not a price");
  if (question.profile.has_value()) TRY_STATUS(check(*question.profile));
  if (!question.traffic.has_value()) return {};
  const Traffic& t = *question.traffic;
  TRY_STATUS(check_traffic(t));
  if (timer.slots != 1 || t.load() < 1) return {};
  return wrong(
      fmt::format("{:.0f} requests of {:g} s do not fit into {:g} hours one after the other: they are {:.0f} % of "
                  "them; allow more at once (slots), or more instances",
                  t.requests_per_day, t.service_s, t.active_hours, t.load() * 100));
}

Tariff under(const Tariff& tariff, Rule rule) {
  Tariff out = tariff;
  out.increment = rule == Rule::kPrepaidHour ? Increment::kPrepaid : Increment::kArrears;
  switch (rule) {
    case Rule::kTime: out.increment_us = 0; break;
    case Rule::kSecond: out.increment_us = kSecondUs; break;
    case Rule::kMinute: out.increment_us = 60 * kSecondUs; break;
    case Rule::kHour:
    case Rule::kPrepaidHour: out.increment_us = kHourUs; break;
  }
  return out;
}

Row timer_row(const Question& question, const Timer& timer) {
  Row row;
  row.timer = timer;
  const Workload& workload = question.workload;
  const auto bill = [&](const Tariff& tariff) {
    const Outcome outcome = replay(workload.arrivals, timer, tariff);
    return std::pair(a_month_of(outcome, workload.months), month_micros(outcome, workload.months, tariff));
  };
  std::tie(row.forecast, row.micros) = bill(question.tariff);
  for (std::size_t rule = 0; rule < kRules; ++rule) {
    row.by_rule[rule] = bill(under(question.tariff, static_cast<Rule>(rule))).second;
  }
  return row;
}

// Hour by hour holds while the timeout is well below an hour; instant by instant where any number run at once.
std::optional<Expected> month_of(const Question& question, const Timer& timer) {
  if (question.traffic.has_value()) return expected_month(*question.traffic, timer);
  if (!question.profile.has_value()) return std::nullopt;
  constexpr double kWellBelowAnHourS = 900;
  if (timer.idle_timeout_s <= kWellBelowAnHourS) return expected_month(*question.profile, timer);
  return expected_month_by_instants(*question.profile, timer);
}

// The formula has no scatter: hours and what is paid by the time itself are its own, and by how much it differs there
// every other way of rounding is put right. Latencies are the replay's.
void use_formula(const Question& question, Row& row) {
  const std::optional<Expected> month = month_of(question, row.timer);
  if (!month.has_value()) return;
  const std::optional<std::int64_t> micros = expected_micros(*month, under(question.tariff, Rule::kTime));
  if (!micros.has_value()) return;
  Forecast& f = row.forecast;
  f.awake_s = month->awake_s;
  f.busy_s = month->busy_s;
  f.waking_s = month->waking_s;
  f.idle_s = month->idle_s;
  f.wakes = month->wakes;
  f.cold_share = month->cold_share;
  const std::int64_t scatter = row.by_rule[static_cast<std::size_t>(Rule::kTime)] - *micros;
  for (std::int64_t& bill : row.by_rule) bill -= scatter;
  row.micros -= scatter;
}

Row asked_row(const Question& question, const Timer& timer) {
  Row row = timer_row(question, timer);
  use_formula(question, row);
  return row;
}

std::int64_t hours_cost(const Tariff& tariff, double hours) {
  return std::llround(hours * static_cast<double>(tariff.hour_micros)) + tariff.fixed_month_micros;
}

Row naive_row(const Question& question) {
  Row row;
  row.kind = Row::Kind::kNaive;
  std::int64_t service_us = 0;
  for (const Arrival& arrival : question.workload.arrivals) service_us += arrival.service_us;
  row.forecast.busy_s = static_cast<double>(service_us) / kSecondUs / question.workload.months;
  row.forecast.awake_s = row.forecast.busy_s;
  row.micros = std::llround(row.forecast.busy_s / 3'600 * static_cast<double>(question.tariff.hour_micros));
  return row;
}

// Of one that is awake when anybody asks.
Row awake_row(const Question& question, Row::Kind kind, double awake_h) {
  Row row;
  row.kind = kind;
  Timer never = question.timer;
  never.idle_timeout_s = kNeverSleepsS;
  never.wake_s = 0;
  row.forecast = a_month_of(replay(question.workload.arrivals, never, question.tariff), question.workload.months);
  row.forecast.cold_share = 0;
  row.forecast.wakes = 0;
  row.forecast.waking_s = 0;
  row.forecast.awake_s = std::max(awake_h * 3'600, row.forecast.busy_s);
  row.forecast.idle_s = std::max(0.0, row.forecast.awake_s - row.forecast.busy_s);
  const double stopped = (kHoursOfMonth - awake_h) * static_cast<double>(question.tariff.stopped_hour_micros);
  row.micros = hours_cost(question.tariff, awake_h) + std::llround(std::max(0.0, stopped));
  if (kind == Row::Kind::kMonthly) row.micros = *question.tariff.month_micros + question.tariff.fixed_month_micros;
  return row;
}

void add_timers(Plan& plan) {
  const Question& q = plan.question;
  plan.rows.push_back(asked_row(q, q.timer));
  for (const double other : {600.0, 60.0, 0.0}) {
    if (std::abs(other - q.timer.idle_timeout_s) <= 0.5) continue;
    Timer timer = q.timer;
    timer.idle_timeout_s = other;
    plan.rows.push_back(asked_row(q, timer));
  }
  if (q.fast_wake_s >= q.timer.wake_s) return;
  Timer fast = q.timer;
  fast.idle_timeout_s = 0;
  fast.wake_s = q.fast_wake_s;
  plan.rows.push_back(asked_row(q, fast));
}

void add_break_even(Plan& plan) {
  const Question& q = plan.question;
  const std::optional<double> even_s = break_even_seconds(q.tariff);
  if (!even_s.has_value()) return;
  plan.break_even_hours = *even_s / 3'600;
  const Forecast& f = plan.rows[plan.asked].forecast;
  if (f.awake_s > 0) {
    plan.hourly_wins_below_hour_micros =
        std::llround(static_cast<double>(*q.tariff.month_micros) / (f.awake_s / 3'600));
  }
  if (!q.traffic.has_value()) return;
  plan.naive_break_even_requests = *even_s / (q.traffic->service_s * q.traffic->active_days);
  if (!expected_month(*q.traffic, q.timer).has_value()) return;
  plan.hourly_wins_below_s = longest_timeout(*q.traffic, q.timer.wake_s, *even_s, q.timer.slots);
  plan.hourly_wins_below_requests = requests_for(*q.traffic, q.timer, *even_s);
}

}  // namespace

const Row* find_row(const Plan& plan, Row::Kind kind) {
  const auto found =
      std::find_if(plan.rows.begin(), plan.rows.end(), [kind](const Row& row) { return row.kind == kind; });
  return found == plan.rows.end() ? nullptr : &*found;
}

Result<Plan> make_plan(Question question) {
  TRY_STATUS(check(question));
  if (question.traffic.has_value() && question.workload.arrivals.empty()) {
    const auto months =
        static_cast<int>(std::clamp(kReplayed / question.traffic->requests(), 1.0, double{kMostMonths}));
    question.workload = make_arrivals(*question.traffic, Pattern::kRandom, months, kSeed);
  }
  if (question.profile.has_value() && question.workload.arrivals.empty()) {
    constexpr int kProfileMonths = 4;  // a formula has the hours; percentiles need no more
    question.workload = make_arrivals(*question.profile, kProfileMonths, kSeed);
  }
  if (question.workload.arrivals.empty()) return wrong("requests: there are none");
  Plan plan;
  plan.question = std::move(question);
  const Question& q = plan.question;
  plan.rows.push_back(naive_row(q));
  add_timers(plan);
  if (q.traffic.has_value() && !q.traffic->is_round_the_clock()) {
    plan.rows.push_back(awake_row(q, Row::Kind::kWindow, q.traffic->active_days * q.traffic->active_hours));
  }
  plan.rows.push_back(awake_row(q, Row::Kind::kAlways, kHoursOfMonth));
  if (!q.tariff.month_micros.has_value()) return plan;
  plan.rows.push_back(awake_row(q, Row::Kind::kMonthly, kHoursOfMonth));
  add_break_even(plan);
  return plan;
}

}  // namespace dormouse::planner
