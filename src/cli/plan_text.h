// What `dormouse plan` answers, as values, and as the table and the words a person reads. No I/O.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/money.h"
#include "base/result.h"
#include "catalog/instance_types.h"
#include "cli/words.h"
#include "planner/replay.h"
#include "planner/traffic.h"

namespace dormouse::cli {

struct PlanQuestion {
  planner::Traffic traffic;              // random arrivals; of no meaning with a trace
  std::vector<planner::Arrival> trace;   // measured ones; a month is as many times as long as it has days more
  std::string trace_note;                // what was assumed of it, for the reader; may be empty
  planner::Timer timer;
  catalog::InstanceType type;  // has an hourly price
};

struct PlanRow {
  enum class Kind { kNaive, kTimer, kMonthly };
  Kind kind = Kind::kTimer;
  planner::Timer timer;        // kTimer
  planner::Forecast forecast;  // kNaive: busy time only; kMonthly: of one that never sleeps
  std::int64_t micros = 0;
};

struct Plan {
  PlanQuestion question;
  planner::Prices prices;
  std::vector<PlanRow> rows;  // naive, the asked timer, other timers, by the month where it has such a price
  std::size_t asked = 1;      // the asked timer's
  // Of the monthly price, where there is one.
  std::optional<double> break_even_hours;
  std::optional<double> hourly_wins_below_s;         // the longest timeout; nullopt: none
  std::optional<double> hourly_wins_below_requests;  // a day, under the asked timer
};

// Errors: kInvalidArgument (nothing asked, more than one instance can serve one at a time).
[[nodiscard]] Result<Plan> make_plan(PlanQuestion question);

[[nodiscard]] std::string plan_table(const Plan& plan, Language language);
[[nodiscard]] std::string plan_json(const Plan& plan);

}  // namespace dormouse::cli
