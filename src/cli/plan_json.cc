#include "cli/plan_json.h"

#include <boost/json.hpp>

#include "gateway/admin/plan_wire.h"

namespace dormouse::cli {
namespace {

namespace json = boost::json;

template <typename T>
json::value maybe(const std::optional<T>& number) {
  return number.has_value() ? json::value(*number) : json::value(nullptr);
}

json::object search_json(const planner::TimeoutSearch& search) {
  json::array rows;
  for (const planner::TimeoutRow& row : search.rows) {
    rows.push_back(json::object{{"idle_timeout_s", row.timeout_s},
                                {"micros", row.micros},
                                {"cold_share", row.forecast.cold_share},
                                {"p50_s", row.forecast.p50_s},
                                {"p95_s", row.forecast.p95_s},
                                {"p99_s", row.forecast.p99_s},
                                {"pareto", row.is_on_front}});
  }
  return {{"rows", std::move(rows)}, {"best", maybe(search.best)}, {"nearest", search.nearest}};
}

json::object sizing_json(const planner::Sizing& sizing) {
  json::array rows;
  for (const planner::FleetRow& row : sizing.rows) {
    rows.push_back(json::object{{"instances", row.instances},
                                {"most_instances", row.run.most_instances},
                                {"p50_s", row.run.latency.p50_s},
                                {"p95_s", row.run.latency.p95_s},
                                {"p99_s", row.run.latency.p99_s},
                                {"refused", row.run.refused},
                                {"up_s", static_cast<double>(row.run.up_us) / planner::kSecondUs},
                                {"day_micros", row.micros},
                                {"meets_goal", sizing.has_goal ? json::value(row.keeps) : json::value(nullptr)}});
  }
  const char* const names[] = {"knative", "hpa", "skyserve"};
  json::array others;
  for (const planner::OtherScaler& other : sizing.others) {
    others.push_back(json::object{{"scaler", names[static_cast<std::size_t>(other.scaler)]},
                                  {"most_instances", other.run.most_instances},
                                  {"p99_s", other.run.latency.p99_s},
                                  {"day_micros", other.run.paid_micros}});
  }
  return {{"others", std::move(others)}, {"queueing_instances", maybe(sizing.guess)},
          {"requests", sizing.requests}, {"hours", sizing.hours},
          {"load", sizing.load},         {"rows", std::move(rows)}};
}

json::array quants_json(const std::vector<planner::QuantRow>& quants) {
  const char* const bases[] = {"measured", "roofline", "listed"};
  json::array out;
  for (const planner::QuantRow& row : quants) {
    json::object one{{"quantisation", to_string(row.fit.quant)},
                     {"weight_bytes", row.fit.weight_bytes},
                     {"kv_bytes", row.fit.kv_bytes},
                     {"left_bytes", row.fit.left_bytes},
                     {"most_sequences", row.fit.most_sequences},
                     {"capacity_micros", maybe(row.prices.capacity)},
                     {"busy_micros", maybe(row.prices.busy)},
                     {"real_micros", maybe(row.prices.real)}};
    if (row.speeds.has_value()) {
      one["tokens_per_second"] = row.speeds->line.tokens_per_s(1);
      one["speed"] = bases[static_cast<std::size_t>(row.speeds->basis)];
    }
    out.push_back(std::move(one));
  }
  return out;
}

json::array cases_json(const std::vector<planner::Case>& cases) {
  json::array out;
  for (const planner::Case& one : cases) {
    json::value cheaper(nullptr);
    if (one.cheaper.has_value()) cheaper = *one.cheaper == planner::Cheaper::kByTheHour ? "hour" : "month";
    out.push_back(json::object{{"value", one.value}, {"micros", maybe(one.micros)}, {"cheaper", cheaper}});
  }
  return out;
}

json::object details_json(const planner::Details& details) {
  json::object out{{"timeouts", search_json(details.search)}, {"instances", sizing_json(details.sizing)}};
  if (details.interval.has_value()) {
    out["interval"] = json::object{{"low_micros", details.interval->low_micros},
                                   {"high_micros", details.interval->high_micros},
                                   {"days", details.interval->days}};
  }
  if (!details.quants.empty()) out["quantisations"] = quants_json(details.quants);
  out["level_hours"] = json::array(details.level_hours.begin(), details.level_hours.end());
  if (details.reservation.has_value()) {
    out["mixed"] = json::object{{"reserved", details.reservation->reserved},
                                {"micros", details.reservation->micros},
                                {"on_demand_micros", details.reservation->on_demand_micros},
                                {"monthly_micros", maybe(details.reservation->monthly_micros)},
                                {"spot", details.reservation->is_spot}};
  }
  if (details.sensitivity.has_value()) {
    out["sensitivity"] = json::object{{"wake_s", cases_json(details.sensitivity->wake_s)},
                                      {"hour_price", cases_json(details.sensitivity->hour_price)},
                                      {"volume", cases_json(details.sensitivity->volume)}};
  }
  if (details.deferred.has_value()) {
    out["deferred"] = json::object{{"requests", details.deferred->gathered.deferred},
                                   {"late", details.deferred->gathered.late},
                                   {"micros", details.deferred->gathered_micros},
                                   {"at_once_micros", details.deferred->at_once_micros}};
  }
  return out;
}

}  // namespace

std::string plan_json(const PlanView& view, const std::optional<planner::Details>& details) {
  std::string out = "{\"plan\":" + gateway::to_json(view.plan, {view.type.name, view.currency});
  if (details.has_value()) out += ",\"details\":" + json::serialize(details_json(*details));
  return out + "}";
}

}  // namespace dormouse::cli
