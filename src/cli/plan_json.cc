#include "cli/plan_json.h"

#include <boost/json.hpp>
#include <optional>

namespace dormouse::cli {
namespace {

namespace json = boost::json;
using planner::Row;

json::object object_of(const Row& row) {
  const planner::Forecast& f = row.forecast;
  const char* const kinds[] = {"naive", "timer", "window", "always", "monthly"};
  json::object out{{"kind", kinds[static_cast<std::size_t>(row.kind)]}, {"micros", row.micros}};
  out["awake_s"] = f.awake_s;
  out["busy_s"] = f.busy_s;
  if (row.kind == Row::Kind::kNaive) return out;
  out["waking_s"] = f.waking_s;
  out["idle_s"] = f.idle_s;
  if (row.kind == Row::Kind::kTimer) {
    out["idle_timeout_s"] = row.timer.idle_timeout_s;
    out["wake_s"] = row.timer.wake_s;
    out["wakes"] = f.wakes;
    out["by_rule"] = json::object{{"time", row.by_rule[0]},
                                  {"second", row.by_rule[1]},
                                  {"minute", row.by_rule[2]},
                                  {"hour", row.by_rule[3]},
                                  {"prepaid_hour", row.by_rule[4]}};
  }
  out["cold_share"] = f.cold_share;
  out["mean_s"] = f.mean_s;
  out["p50_s"] = f.p50_s;
  out["p95_s"] = f.p95_s;
  out["p99_s"] = f.p99_s;
  return out;
}

template <typename T>
json::value maybe(const std::optional<T>& number) {
  return number.has_value() ? json::value(*number) : json::value(nullptr);
}

}  // namespace

std::string plan_json(const PlanView& view) {
  const planner::Plan& plan = view.plan;
  json::array rows;
  for (const Row& row : plan.rows) rows.push_back(object_of(row));
  const planner::Question& q = plan.question;
  json::object out{{"instance_type", view.type.name}, {"currency", view.currency}};
  if (q.traffic.has_value()) {
    out["requests_per_day"] = q.traffic->requests_per_day;
    out["seconds_per_request"] = q.traffic->service_s;
    out["active_days"] = q.traffic->active_days;
    out["active_hours"] = q.traffic->active_hours;
  }
  out["idle_timeout_s"] = q.timer.idle_timeout_s;
  out["wake_s"] = q.timer.wake_s;
  out["slots"] = q.timer.slots;
  out["rows"] = std::move(rows);
  out["break_even_hours"] = maybe(plan.break_even_hours);
  out["naive_break_even_requests_per_day"] = maybe(plan.naive_break_even_requests);
  out["hourly_wins_below_timeout_s"] = maybe(plan.hourly_wins_below_s);
  out["hourly_wins_below_requests_per_day"] = maybe(plan.hourly_wins_below_requests);
  out["hourly_wins_below_hour_micros"] = maybe(plan.hourly_wins_below_hour_micros);
  return json::serialize(out);
}

}  // namespace dormouse::cli
