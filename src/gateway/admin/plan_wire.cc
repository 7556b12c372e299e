#include "gateway/admin/plan_wire.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <cmath>
#include <utility>

#include "gateway/admin/advice_json.h"
#include "gateway/admin/json_reader.h"
#include "gateway/rules_json.h"

namespace dormouse::gateway {
namespace {

namespace json = boost::json;
using planner::Forecast;
using planner::Row;

constexpr std::array<std::string_view, planner::kRules> kRuleNames = {"time", "second", "minute", "hour",
                                                                      "prepaid_hour"};
struct Seconds {
  const char* name;
  double Forecast::*member;
};
constexpr std::array<Seconds, 9> kLatencies = {{{"waking_s", &Forecast::waking_s},
                                                {"idle_s", &Forecast::idle_s},
                                                {"cold_share", &Forecast::cold_share},
                                                {"wakes", &Forecast::wakes},
                                                {"mean_s", &Forecast::mean_s},
                                                {"p50_s", &Forecast::p50_s},
                                                {"p95_s", &Forecast::p95_s},
                                                {"p99_s", &Forecast::p99_s},
                                                {"p999_s", &Forecast::p999_s}}};

json::value maybe(const std::optional<std::int64_t>& number) {
  return number.has_value() ? json::value(*number) : json::value(nullptr);
}
// JSON has no infinity: that many requests, which take no time, never come to a month's price.
json::value maybe(const std::optional<double>& number) {
  return number.has_value() && std::isfinite(*number) ? json::value(*number) : json::value(nullptr);
}

json::object row_json(const Row& row) {
  json::object out{{"kind", to_string(row.kind)},
                   {"micros", row.micros},
                   {"awake_s", row.forecast.awake_s},
                   {"busy_s", row.forecast.busy_s}};
  if (row.kind == Row::Kind::kNaive) return out;
  for (const Seconds& one : kLatencies) out[one.name] = row.forecast.*one.member;
  if (row.kind != Row::Kind::kTimer) return out;
  out["idle_timeout_s"] = row.timer.idle_timeout_s;
  out["wake_s"] = row.timer.wake_s;
  json::object by_rule;
  for (std::size_t i = 0; i < kRuleNames.size(); ++i) by_rule[kRuleNames.at(i)] = row.by_rule.at(i);
  out["by_rule"] = std::move(by_rule);
  return out;
}

Result<Row> read_row(const json::object& object, const planner::Timer& timer) {
  const JsonReader r(object);
  Row out;
  const std::optional<Row::Kind> kind = planner::row_kind_of(r.text("kind"));
  if (!kind.has_value()) return make_error(Code::kDataLoss, "plan: a row of an unknown kind");
  out.kind = *kind;
  out.micros = r.whole("micros");
  out.forecast.awake_s = r.number("awake_s");
  out.forecast.busy_s = r.number("busy_s");
  for (const Seconds& one : kLatencies) out.forecast.*one.member = r.number(one.name);
  out.timer = timer;
  if (out.kind != Row::Kind::kTimer) return out;
  out.timer.idle_timeout_s = r.number("idle_timeout_s");
  out.timer.wake_s = r.number("wake_s");
  if (const json::object* by_rule = r.object("by_rule")) {
    const JsonReader rules(*by_rule);
    for (std::size_t i = 0; i < kRuleNames.size(); ++i) out.by_rule.at(i) = rules.whole(kRuleNames.at(i));
  }
  return out;
}

json::object tariff_json(const planner::Tariff& t) {
  json::object out{{"hour_micros", t.hour_micros},
                   {"month_micros", maybe(t.month_micros)},
                   {"increment_us", t.increment_us},
                   {"minimum_us", t.minimum_us},
                   {"prepaid", t.increment == planner::Increment::kPrepaid},
                   {"waking_paid", t.waking == planner::Paid::kYes},
                   {"idle_paid", t.idle == planner::Paid::kYes},
                   {"stopped_hour_micros", t.stopped_hour_micros},
                   {"fixed_month_micros", t.fixed_month_micros},
                   {"resume_failure", t.resume_failure}};
  if (t.spot.has_value()) {
    out["spot"] =
        json::object{{"hour_micros", t.spot->hour_micros}, {"interruptions_per_hour", t.spot->interruptions_per_hour}};
  }
  return out;
}

planner::Tariff read_tariff(const json::object& object) {
  const JsonReader r(object);
  planner::Tariff out;
  out.hour_micros = r.whole("hour_micros");
  if (r.maybe_number("month_micros").has_value()) out.month_micros = r.whole("month_micros");
  out.increment_us = r.whole("increment_us");
  out.minimum_us = r.whole("minimum_us");
  out.increment = r.truth("prepaid") ? planner::Increment::kPrepaid : planner::Increment::kArrears;
  out.waking = r.truth("waking_paid") ? planner::Paid::kYes : planner::Paid::kNo;
  out.idle = r.truth("idle_paid") ? planner::Paid::kYes : planner::Paid::kNo;
  out.stopped_hour_micros = r.whole("stopped_hour_micros");
  out.fixed_month_micros = r.whole("fixed_month_micros");
  out.resume_failure = r.number("resume_failure");
  if (const json::object* spot = r.object("spot")) {
    const JsonReader s(*spot);
    out.spot = planner::Spot{s.whole("hour_micros"), s.number("interruptions_per_hour")};
  }
  return out;
}

// `requests_per_day` and its like are null where the question was no assumption.
json::object plan_json(const planner::Plan& plan, const PlanTerms& terms) {
  json::array rows;
  for (const Row& row : plan.rows) rows.push_back(row_json(row));
  const planner::Question& q = plan.question;
  const std::optional<planner::Traffic>& t = q.traffic;
  const auto assumed = [&t](double planner::Traffic::*member) {
    return t.has_value() ? json::value((*t).*member) : json::value(nullptr);
  };
  return {{"instance_type", terms.instance_type},
          {"currency", terms.currency},
          {"requests_per_day", assumed(&planner::Traffic::requests_per_day)},
          {"seconds_per_request", assumed(&planner::Traffic::service_s)},
          {"active_days", assumed(&planner::Traffic::active_days)},
          {"active_hours", assumed(&planner::Traffic::active_hours)},
          {"months", q.workload.months},
          {"idle_timeout_s", q.timer.idle_timeout_s},
          {"wake_s", q.timer.wake_s},
          {"slots", q.timer.slots},
          {"fast_wake_s", q.fast_wake_s},
          {"tariff", tariff_json(q.tariff)},
          {"asked", plan.asked},
          {"rows", std::move(rows)},
          {"break_even_hours", maybe(plan.break_even_hours)},
          {"naive_break_even_requests_per_day", maybe(plan.naive_break_even_requests)},
          {"hourly_wins_below_timeout_s", maybe(plan.hourly_wins_below_s)},
          {"hourly_wins_below_requests_per_day", maybe(plan.hourly_wins_below_requests)},
          {"hourly_wins_below_hour_micros", maybe(plan.hourly_wins_below_hour_micros)}};
}

Result<PlanReport> read_plan(const json::object& object) {
  const JsonReader r(object);
  PlanReport out;
  out.terms = {r.text("instance_type"), r.text("currency")};
  planner::Question& q = out.plan.question;
  if (r.maybe_number("requests_per_day").has_value()) {
    q.traffic = planner::Traffic{r.number("requests_per_day"), r.number("seconds_per_request"), r.number("active_days"),
                                 r.number("active_hours")};
  }
  q.workload.months = r.number("months");
  q.timer.idle_timeout_s = r.number("idle_timeout_s");
  q.timer.wake_s = r.number("wake_s");
  q.timer.slots = static_cast<int>(std::clamp<std::int64_t>(r.whole("slots"), 0, INT32_MAX));
  q.fast_wake_s = r.number("fast_wake_s");
  if (const json::object* tariff = r.object("tariff")) q.tariff = read_tariff(*tariff);
  for (const json::object* item : r.objects("rows")) {
    TRY(Row row, read_row(*item, q.timer));
    out.plan.rows.push_back(std::move(row));
  }
  out.plan.asked = static_cast<std::size_t>(std::max<std::int64_t>(r.whole("asked"), 0));
  if (out.plan.asked >= out.plan.rows.size()) return make_error(Code::kDataLoss, "plan: the asked row is not there");
  out.plan.break_even_hours = r.maybe_number("break_even_hours");
  out.plan.naive_break_even_requests = r.maybe_number("naive_break_even_requests_per_day");
  out.plan.hourly_wins_below_s = r.maybe_number("hourly_wins_below_timeout_s");
  out.plan.hourly_wins_below_requests = r.maybe_number("hourly_wins_below_requests_per_day");
  if (r.maybe_number("hourly_wins_below_hour_micros").has_value()) {
    out.plan.hourly_wins_below_hour_micros = r.whole("hourly_wins_below_hour_micros");
  }
  return out;
}

json::value interval_json(const std::optional<planner::Interval>& interval) {
  if (!interval.has_value()) return nullptr;
  return json::object{
      {"low_micros", interval->low_micros}, {"high_micros", interval->high_micros}, {"days", interval->days}};
}

}  // namespace

std::string to_json(const planner::Plan& plan, const PlanTerms& terms) {
  return json::serialize(plan_json(plan, terms));
}

std::string assumed_json(const PlanReport& report) {
  return json::serialize(json::object{{"plan", plan_json(report.plan, report.terms)}});
}

std::string to_json(const MeasuredPlan& m, const TimeZone& zone) {
  const bool is_wake_measured = m.wake.median_s > 0;
  json::object rules;
  write_rules(rules, m.rules, RuleMembers::kAll);
  const json::object out{
      {"deployment", m.deployment},
      {"time_zone", m.time_zone},
      {"begin", zone.iso({m.begin_us})},
      {"end", zone.iso({m.end_us})},
      {"begin_us", m.begin_us},
      {"end_us", m.end_us},
      {"days", m.days},
      {"requests", m.requests},
      {"input_tokens", m.input_tokens},
      {"output_tokens", m.output_tokens},
      {"refused", m.refused},
      {"most_at_once", m.most_at_once},
      {"most_instances", m.most_instances},
      {"is_cut", m.is_cut},
      {"wake", json::object{{"wakes", m.wake.wakes},
                            {"median_s", is_wake_measured ? json::value(m.wake.median_s) : json::value(nullptr)},
                            {"p95_s", is_wake_measured ? json::value(m.wake.p95_s) : json::value(nullptr)}}},
      {"rules", std::move(rules)},
      {"plan", plan_json(m.report.plan, m.report.terms)},
      {"interval", interval_json(m.interval)},
      {"advice", advice_object(m.advice)}};
  return json::serialize(out);
}

Result<MeasuredPlan> parse_measured_plan(std::string_view text) {
  TRY(const json::value root, parse_json_object(text));
  const JsonReader r(root.get_object());
  MeasuredPlan out;
  const json::object* const plan = r.object("plan");
  if (plan == nullptr) return make_error(Code::kDataLoss, "plan: the server's answer has none");
  TRY(out.report, read_plan(*plan));
  out.deployment = r.text("deployment");
  out.time_zone = r.text("time_zone");
  out.begin_us = r.whole("begin_us");
  out.end_us = r.whole("end_us");
  out.days = r.number("days");
  out.requests = r.whole("requests");
  out.input_tokens = r.whole("input_tokens");
  out.output_tokens = r.whole("output_tokens");
  out.refused = r.whole("refused");
  out.most_at_once = r.whole("most_at_once");
  out.most_instances = r.whole("most_instances");
  out.is_cut = r.truth("is_cut");
  if (const json::object* wake = r.object("wake")) {
    const JsonReader w(*wake);
    out.wake = {w.whole("wakes"), w.number("median_s"), w.number("p95_s")};
  }
  if (const json::object* rules = r.object("rules")) {
    TRY_STATUS(read_rules_text(json::serialize(*rules), out.rules));
  }
  if (const json::object* interval = r.object("interval")) {
    const JsonReader i(*interval);
    out.interval = planner::Interval{i.whole("low_micros"), i.whole("high_micros"),
                                     static_cast<std::size_t>(std::max<std::int64_t>(i.whole("days"), 0))};
  }
  if (const json::object* advice = r.object("advice")) {
    TRY(out.advice, read_advice(*advice));
  }
  return out;
}

}  // namespace dormouse::gateway
