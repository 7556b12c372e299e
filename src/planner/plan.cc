#include "planner/plan.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "planner/arrivals.h"
#include "planner/closed_form.h"

namespace dormouse::planner {
namespace {

constexpr int kMonths = 16;  // of the replay: a bill scatters by less than 0.1 % then
constexpr std::uint64_t kSeed = 1;
constexpr double kNeverSleepsS = 1e7;

Status check_traffic(const Traffic& t) {
  if (!(t.requests_per_day > 0) || !(t.service_s > 0) || !(t.active_days > 0) || !(t.active_hours > 0) ||
      t.active_days > 31 || t.active_hours > 24 || t.requests() > 1e7) {
    return make_error(Code::kInvalidArgument,
                      "want requests and seconds above 0, 1 to 31 days of up to 24 hours, at most 10,000,000 requests");
  }
  if (t.load() < 1) return {};
  return make_error(Code::kInvalidArgument,
                    fmt::format("{:.0f} requests of {:g} s do not fit into {:g} hours one after the other",
                                t.requests_per_day, t.service_s, t.active_hours));
}

[[nodiscard]] bool has_formula(const Question& question) {
  return question.traffic.has_value() && question.timer.slots == 1;
}

Row timer_row(const Question& question, const Timer& timer) {
  Row row;
  row.timer = timer;
  const Workload& workload = question.workload;
  const Outcome outcome = replay(workload.arrivals, timer, question.tariff);
  row.forecast = a_month_of(outcome, workload.months);
  row.micros = month_micros(outcome, workload.months, question.tariff);
  if (!has_formula(question)) return row;
  // The formula has no scatter. What is left of the replay's split goes to idling.
  Forecast& f = row.forecast;
  f.awake_s = awake_seconds(*question.traffic, timer);
  f.idle_s = std::max(0.0, f.awake_s - f.busy_s - f.waking_s);
  if (question.tariff.increment_us > 0) return row;
  row.micros = std::llround(f.awake_s / 3'600 * static_cast<double>(question.tariff.hour_micros));
  return row;
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

Row monthly_row(const Question& question) {
  Row row;
  row.kind = Row::Kind::kMonthly;
  Timer never = question.timer;
  never.idle_timeout_s = kNeverSleepsS;
  never.wake_s = 0;
  row.forecast = a_month_of(replay(question.workload.arrivals, never, question.tariff), question.workload.months);
  row.micros = *question.tariff.month_micros + question.tariff.fixed_month_micros;
  return row;
}

}  // namespace

Result<Plan> make_plan(Question question) {
  if (question.traffic.has_value()) TRY_STATUS(check_traffic(*question.traffic));
  if (question.tariff.hour_micros <= 0) return make_error(Code::kInvalidArgument, "no hourly price");
  if (question.traffic.has_value() && question.workload.arrivals.empty()) {
    question.workload = make_arrivals(*question.traffic, Pattern::kRandom, kMonths, kSeed);
  }
  Plan plan;
  plan.question = std::move(question);
  const Question& q = plan.question;
  plan.rows.push_back(naive_row(q));
  plan.rows.push_back(timer_row(q, q.timer));
  for (const double other : {600.0, 60.0, 0.0}) {
    if (std::abs(other - q.timer.idle_timeout_s) <= 0.5) continue;
    Timer timer = q.timer;
    timer.idle_timeout_s = other;
    plan.rows.push_back(timer_row(q, timer));
  }
  if (!q.tariff.month_micros.has_value()) return plan;
  plan.rows.push_back(monthly_row(q));
  plan.break_even_hours = static_cast<double>(*q.tariff.month_micros) / static_cast<double>(q.tariff.hour_micros);
  if (!has_formula(q)) return plan;
  const double even_s = *plan.break_even_hours * 3'600;
  plan.hourly_wins_below_s = longest_timeout(*q.traffic, q.timer.wake_s, even_s);
  plan.hourly_wins_below_requests = requests_for(*q.traffic, q.timer, even_s);
  return plan;
}

}  // namespace dormouse::planner
