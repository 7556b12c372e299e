// The part of Gateway that answers what a deployment would cost under other rules: from what was measured, or from
// assumptions; and what was advised. A wrong parameter is a 400 that names it. None of it wakes an instance.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <charconv>
#include <optional>
#include <utility>

#include "api/fields.h"
#include "api/strict_json.h"
#include "catalog/config_file.h"
#include "gateway/admin/period.h"
#include "gateway/admin/plan_wire.h"
#include "gateway/admin/query_string.h"
#include "gateway/error_response.h"
#include "gateway/gateway.h"
#include "gateway/one_shot.h"
#include "gateway/tariff_of.h"

namespace dormouse::gateway {
namespace {

constexpr std::int64_t kDefaultDays = 30;
constexpr std::int64_t kMostDays = 366;
constexpr std::int64_t kMostAdvice = 10'000;
constexpr double kMostSeconds = 1e6;

Error wrong(std::string what) {
  return make_error(Code::kInvalidArgument, std::move(what));
}

// nullopt: absent.
Result<std::optional<double>> seconds_of(const QueryString& query, const char* name) {
  const std::optional<std::string> text = query.text(name);
  if (!text.has_value()) return std::optional<double>();
  const Result<std::chrono::milliseconds> parsed = catalog::parse_duration(*text);
  if (!parsed.has_value()) return wrong(fmt::format("{}: {}", name, parsed.error().message));
  return std::optional<double>(std::chrono::duration<double>(*parsed).count());
}

Result<std::optional<double>> share_of(const QueryString& query, const char* name) {
  const std::optional<std::string> text = query.text(name);
  if (!text.has_value()) return std::optional<double>();
  double value = -1;
  const auto [end, ec] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (ec != std::errc() || end != text->data() + text->size() || !(value >= 0 && value <= 1)) {
    return wrong(fmt::format("{}: a share from 0 to 1, such as 0.05", name));
  }
  return std::optional<double>(value);
}

Error no_type(const char* parameter, const std::string& name, const catalog::InstanceTypes& types) {
  return wrong(fmt::format("{}: no instance type '{}'; there are: {}", parameter, name, types.names()));
}

Result<PlanWish> read_wish(const QueryString& query, const Deployment& deployment, const TimeZone& zone, WallTime now,
                           const PlanService& plans) {
  PlanWish out{deployment, zone, 0, now.us + 1, plans.type_of(deployment.rules)};  // what settled this moment counts
  TRY(out.zone, zone_of(query, zone));
  TRY(const std::int64_t days, query.number("days", kDefaultDays, {1, kMostDays}));
  out.begin_us = std::max<std::int64_t>(0, out.end_us - days * planner::kDayUs);
  if (const std::optional<std::string> on = query.text("on"); on.has_value()) {
    const catalog::InstanceType* const type = plans.types().find(*on);
    if (type == nullptr) return no_type("on", *on, plans.types());
    out.type = *type;
  }
  TRY(out.idle_timeout_s, seconds_of(query, "idle_timeout"));
  TRY(out.wake_s, seconds_of(query, "wake"));
  TRY(out.goal.cold_share_max, share_of(query, "cold_share"));
  TRY(out.goal.p99_s_max, seconds_of(query, "p99"));
  return out;
}

// A duration as rules have it, or a number of seconds.
std::optional<double> duration_member(const api::Fields& fields, std::string_view key) {
  const boost::json::value* const value = fields.find(key);
  if (value == nullptr || !value->is_string()) return fields.number(key, {0, kMostSeconds});
  const std::string_view text(value->get_string().data(), value->get_string().size());
  const Result<std::chrono::milliseconds> parsed = catalog::parse_duration(text);
  if (!parsed.has_value()) {
    fields.refuse(key, parsed.error().message);
    return std::nullopt;
  }
  return std::chrono::duration<double>(*parsed).count();
}

struct Assumption {
  planner::Question question;
  PlanTerms terms;
};

// A misspelt member would be answered with a default, and nobody would see it.
std::optional<std::string> unknown_member(const boost::json::object& object) {
  constexpr std::array<std::string_view, 8> kMembers = {"requests_per_day", "seconds_per_request",
                                                        "active_days",      "active_hours",
                                                        "idle_timeout",     "wake",
                                                        "instance_type",    "slots"};
  for (const auto& member : object) {
    const std::string_view key(member.key().data(), member.key().size());
    if (std::find(kMembers.begin(), kMembers.end(), key) == kMembers.end()) return std::string(key);
  }
  return std::nullopt;
}

api::ApiResult<Assumption> read_assumption(const std::string& body, const catalog::InstanceTypes& types) {
  const api::ApiResult<boost::json::value> root = api::parse_strict_json(body);
  if (!root.has_value()) return tl::unexpected(root.error());
  const auto refuse = [](std::string param, std::string message) {
    return tl::unexpected(api::ApiError{api::ErrorCode::kInvalidValue, std::move(message), std::move(param)});
  };
  if (!root->is_object()) return refuse("", "want a JSON object");
  if (std::optional<std::string> key = unknown_member(root->get_object())) {
    return refuse(*std::move(key),
                  "no such member; there are requests_per_day, seconds_per_request, active_days, active_hours, "
                  "idle_timeout, wake, instance_type and slots");
  }
  api::Problem problem;
  const api::Fields fields(root->get_object(), "", problem);
  using api::LowerBound;
  planner::Traffic traffic{0, 2, 25, 8};  // as `dormouse plan` takes it where nothing is said
  traffic.requests_per_day =
      fields.number("requests_per_day", {0, kMostAssumedRequests, LowerBound::kExclusive}).value_or(0);
  traffic.service_s = fields.number("seconds_per_request", {0, 86'400, LowerBound::kExclusive}).value_or(2);
  traffic.active_days = fields.number("active_days", {1, 31}).value_or(25);
  traffic.active_hours = fields.number("active_hours", {0, 24, LowerBound::kExclusive}).value_or(8);
  Assumption out;
  out.question.timer.idle_timeout_s = duration_member(fields, "idle_timeout").value_or(600);
  out.question.timer.wake_s = duration_member(fields, "wake").value_or(30);
  out.question.timer.slots = static_cast<int>(fields.integer("slots", {1, 1'024}).value_or(1));
  const std::string name = fields.string("instance_type", 256).value_or("");
  if (problem.found()) return tl::unexpected(problem.error());
  if (traffic.requests_per_day <= 0) return refuse("requests_per_day", "how many a day?");
  if (traffic.requests() > kMostAssumedRequests) {
    return refuse("requests_per_day",
                  fmt::format("more than {:.0f} a month: ask `dormouse plan`", kMostAssumedRequests));
  }
  const catalog::InstanceType* const type = types.find(name);
  if (type == nullptr) return refuse("instance_type", no_type("instance_type", name, types).message);
  if (!type->hour_micros.has_value()) return refuse("instance_type", name + " has no price by the hour");
  out.question.traffic = traffic;
  out.question.tariff = tariff_of(*type);
  out.terms = {type->name, type->currency};
  return out;
}

}  // namespace

Task<void> Gateway::admin_plan(Call& call) {
  const Result<QueryString> query = QueryString::parse(call.request().query);
  if (plans_ == nullptr) {
    co_await reply_error(call, api::ErrorCode::kNotFound);
    co_return;
  }
  if (!query.has_value()) {
    co_await reply_failure(call, query.error());
    co_return;
  }
  const std::optional<std::string> name = query->text("deployment");
  if (!name.has_value() || name->empty()) {
    const Error error = wrong("deployment: whose requests?");
    co_await reply_failure(call, error);
    co_return;
  }
  const Deployment* const deployment = deployments_.resolve(*name);
  if (deployment == nullptr) {
    co_await reply_error(call, api::ErrorCode::kModelNotFound, "deployment");
    co_return;
  }
  Result<PlanWish> wish = read_wish(*query, *deployment, options_.time_zone, services_.clock.wall(), *plans_);
  if (!wish.has_value()) {
    co_await reply_failure(call, wish.error());
    co_return;
  }
  const TimeZone zone = wish->zone;
  const Result<MeasuredPlan> plan = co_await plans_->measured(*std::move(wish));
  if (!plan.has_value()) {
    co_await reply_failure(call, plan.error());
    co_return;
  }
  const std::string body = to_json(*plan, zone);
  co_await reply_json(call, 200, body);
}

Task<void> Gateway::admin_assumed_plan(Call& call) {
  if (plans_ == nullptr) {
    co_await reply_error(call, api::ErrorCode::kNotFound);
    co_return;
  }
  api::ApiResult<Assumption> asked = read_assumption(call.request().body, plans_->types());
  if (!asked.has_value()) {
    co_await reply_error(call, asked.error());
    co_return;
  }
  planner::Question question = std::move(asked->question);
  PlanTerms terms = std::move(asked->terms);
  const Result<PlanReport> report = co_await plans_->assumed(std::move(question), std::move(terms));
  if (!report.has_value()) {
    co_await reply_failure(call, report.error());
    co_return;
  }
  const std::string body = assumed_json(*report);
  co_await reply_json(call, 200, body);
}

Task<void> Gateway::admin_advice(Call& call) {
  const Result<QueryString> query = QueryString::parse(call.request().query);
  const Result<std::int64_t> limit = query.has_value() ? query->number("limit", 100, {1, kMostAdvice}) : query.error();
  const Result<TimeZone> zone = query.has_value() ? zone_of(*query, options_.time_zone) : query.error();
  if (!limit.has_value() || !zone.has_value()) {
    const Error error = limit.has_value() ? zone.error() : limit.error();
    co_await reply_failure(call, error);
    co_return;
  }
  ledger::AdviceQuery wish{query->text("deployment"), std::nullopt, *limit};
  const std::string kind = query->text("kind").value_or("");
  if (kind == "weekly") wish.kind = ledger::AdviceKind::kWeekly;
  if (kind == "regret") wish.kind = ledger::AdviceKind::kRegret;
  if (!kind.empty() && !wish.kind.has_value()) {
    const Error error = wrong("kind: weekly or regret");
    co_await reply_failure(call, error);
    co_return;
  }
  using Rows = Result<std::vector<ledger::AdviceRecord>>;
  const OneShot<Rows> answer(services_.io);
  services_.ledger.advice(wish, [answer](Rows got) { answer.set(std::move(got)); });
  const Rows rows = co_await answer.get();
  if (!rows.has_value()) {
    co_await reply_failure(call, rows.error());
    co_return;
  }
  const std::string body = advice_list_json(*rows, *zone);
  co_await reply_json(call, 200, body);
}

}  // namespace dormouse::gateway
