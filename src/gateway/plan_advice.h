// Advice that acts, and the regret of a month, out of what was measured. PURE. Threads: any; takes seconds for millions
// of requests, so never the loop's.
//  1. Money is a month's, of one instance by its type's own price; nothing is advised where a price is not known, where
//     less than kLeastDays were measured, or where more than one instance ran at a time (a replay has one).
//  2. Advice keeps what callers have: at most kColdMargin more of the requests are cold, the 99th percentile of latency
//     is at most kLatencyMargin longer, or what the goal says.
//  3. A saving below kLeastSaving of the bill is none: less than what a replay scatters by.
#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time_zone.h"
#include "catalog/deployment_rules.h"
#include "catalog/instance_types.h"
#include "ledger/report_records.h"
#include "planner/plan.h"
#include "planner/search.h"

namespace dormouse::gateway {

inline constexpr double kLeastDays = 5;
inline constexpr double kColdMargin = 0.01;
inline constexpr double kLatencyMargin = 0.05;
inline constexpr double kLeastSaving = 0.01;

// What is known of a period: begins where the deployment was made, or where single requests are still there.
struct MeasuredPeriod {
  std::string deployment;
  TimeZone zone;
  std::int64_t begin_us = 0;
  std::int64_t end_us = 0;
  ledger::MeasuredWorkload workload;
  catalog::DeploymentRules rules;  // as they are now
  catalog::InstanceType type;      // whose price is asked about
  std::optional<double> wake_s{};  // instead of the measured one

  [[nodiscard]] double days() const;
  [[nodiscard]] double months() const;  // of 730 h
};

// Parts of a period, each later than the one before, as one.
[[nodiscard]] ledger::MeasuredWorkload join(std::vector<ledger::MeasuredWorkload> parts);

// How long an instance took to be ready.
struct MeasuredWake {
  std::int64_t wakes = 0;
  double median_s = 0;  // these two: 0 where none became ready
  double p95_s = 0;
};
[[nodiscard]] MeasuredWake wake_of(const ledger::MeasuredWorkload& workload);
// What a replay is told: the rules' idle timeout, the wake it is given or the median one (30 s where none was
// seen), as many slots as were in
// use at once.
[[nodiscard]] planner::Timer timer_of(const MeasuredPeriod& period);
// Arrivals on the zone's own clock, day 0 a Monday. Where the clocks change within the period its later part is off by
// that hour, which only a day's beginning would tell.
[[nodiscard]] planner::Workload workload_of(const MeasuredPeriod& period);

// One way to live, and what a month of it comes to.
struct Choice {
  enum class Kind { kTimer, kMonthly };
  Kind kind = Kind::kTimer;
  double idle_timeout_s = 0;
  std::vector<std::string> awake;  // windows, as the rules have them
  std::int64_t micros = 0;
  double awake_s = 0;
  double idle_s = 0;
  double cold_share = 0;
  double p99_s = 0;  // with windows the larger of what those inside and those outside have: not less than the true one
};

enum class Verdict {
  kChange,       // there is something to change
  kBest,         // as it is is best
  kUnreachable,  // no setting reaches the goal
  kTooFewDays,   // less than kLeastDays were measured
  kNoRequests,
  kUnpriced,          // nobody knows what an hour of its type costs
  kSeveralInstances,  // more than one at a time
};
[[nodiscard]] std::string_view to_string(Verdict verdict);
[[nodiscard]] std::optional<Verdict> verdict_of(std::string_view text);

enum class Reason {
  kWaiting,          // number: the share of time awake that is waiting, as it is
  kOfficeHours,      // number: the share of requests inside the window
  kGoal,             // number: the share of cold requests, as it is
  kUnusedInstances,  // number: the most that were awake at once
};
[[nodiscard]] std::string_view to_string(Reason reason);
[[nodiscard]] std::optional<Reason> reason_of(std::string_view text);
struct Why {
  Reason reason = Reason::kWaiting;
  double number = 0;
};

struct PlanAdvice {
  Verdict verdict = Verdict::kNoRequests;
  double days = 0;
  std::int64_t requests = 0;
  std::string currency;
  std::optional<Choice> now;       // these two: where there was something to compare
  std::optional<Choice> then;      // with the change; the same as `now` if there is none
  std::optional<Choice> monthly;   // by the month, where its type has such a price
  std::int64_t saving_micros = 0;  // a month, of the change; below zero where a goal costs more
  // What PATCH /admin/v1/deployments/{name} is told; nullopt: stays.
  std::optional<std::string> idle_timeout;
  std::optional<std::int64_t> max;
  std::optional<std::vector<std::string>> awake;
  std::vector<Why> why;
};

// `goal`: what it does not say is as it is now, with the margins above. Errors: kCancelled (told to stop).
[[nodiscard]] Result<PlanAdvice> advise(const MeasuredPeriod& period, const planner::Goal& goal,
                                        const std::stop_token& stop);

// A calendar month in hindsight. `best` is the cheapest of all timeouts and the month's rent that would have kept what
// the rules promise now. What no bill has (a stopped disk, a bought card) is in neither sum.
struct Hindsight {
  Verdict verdict = Verdict::kNoRequests;  // kChange: `best` was cheaper
  std::string month;                       // "2026-11"
  std::int64_t requests = 0;
  std::string currency;
  std::optional<std::int64_t> paid_micros;  // by the bill
  std::optional<Choice> best;
};
// `bill`: of the month, of this deployment. Errors: kCancelled.
[[nodiscard]] Result<Hindsight> look_back(const MeasuredPeriod& period, const ledger::Bill& bill,
                                          const std::stop_token& stop);

}  // namespace dormouse::gateway
