// Plans, advice and hindsight as JSON: what the admin API answers, the ledger keeps and `dormouse plan` prints and
// reads. Times are ISO 8601 and microseconds, money is micro-units of `currency`, durations are seconds. No I/O.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time_zone.h"
#include "gateway/plan_advice.h"
#include "ledger/report_records.h"
#include "planner/interval.h"
#include "planner/plan.h"

namespace dormouse::gateway {

// What a plan's numbers are of.
struct PlanTerms {
  std::string instance_type;
  std::string currency;
};
[[nodiscard]] std::string to_json(const planner::Plan& plan, const PlanTerms& terms);

// A plan as it was sent: without the arrivals it was made of.
struct PlanReport {
  planner::Plan plan;
  PlanTerms terms;
};

// What was measured, and what follows from it.
struct MeasuredPlan {
  std::string deployment;
  std::string time_zone;
  std::int64_t begin_us = 0;
  std::int64_t end_us = 0;
  double days = 0;
  std::int64_t requests = 0;
  std::int64_t input_tokens = 0;
  std::int64_t output_tokens = 0;
  std::int64_t refused = 0;         // for want of room; not in `requests`
  std::int64_t most_at_once = 0;    // requests
  std::int64_t most_instances = 0;  // at one time
  bool is_cut = false;              // of more requests only the latest were read
  MeasuredWake wake;
  catalog::DeploymentRules rules;
  PlanReport report;
  std::optional<planner::Interval> interval;  // of the asked row's bill; nullopt: too few whole days
  PlanAdvice advice;
};
[[nodiscard]] std::string to_json(const MeasuredPlan& plan, const TimeZone& zone);
// {"plan": ...} of assumptions: the same answer, with nothing measured.
[[nodiscard]] std::string assumed_json(const PlanReport& report);
// Either answer; of assumptions only `report` is filled in. Errors: kDataLoss.
[[nodiscard]] Result<MeasuredPlan> parse_measured_plan(std::string_view json);

// The body that the ledger keeps.
[[nodiscard]] std::string to_json(const PlanAdvice& advice);
[[nodiscard]] std::string to_json(const Hindsight& hindsight);
[[nodiscard]] Result<PlanAdvice> parse_advice(std::string_view json);    // kDataLoss
[[nodiscard]] Result<Hindsight> parse_hindsight(std::string_view json);  // kDataLoss
// What PATCH /admin/v1/deployments/{name} takes; "{}": there is nothing to change.
[[nodiscard]] std::string change_json(const PlanAdvice& advice);

// {"advice": [...]}: kept rows, newest first, each with its body as an object.
[[nodiscard]] std::string advice_list_json(const std::vector<ledger::AdviceRecord>& rows, const TimeZone& zone);
[[nodiscard]] Result<std::vector<ledger::AdviceRecord>> parse_advice_list(std::string_view json);  // kDataLoss

}  // namespace dormouse::gateway
