// The answer to "by the hour or by the month?", as values: what `dormouse plan` prints, the admin API answers and the
// weekly advice is made of. PURE.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "planner/replay.h"
#include "planner/tariff.h"
#include "planner/traffic.h"

namespace dormouse::planner {

struct Question {
  // Random arrivals, where the question is one of assumptions: formulas hold then, with one slot. nullopt: `workload`
  // was measured, or follows a profile.
  std::optional<Traffic> traffic;
  Workload workload;  // what is replayed; made from `traffic` if that is there and this is empty
  Timer timer;
  Tariff tariff;
};

struct Row {
  enum class Kind { kNaive, kTimer, kMonthly };
  Kind kind = Kind::kTimer;
  Timer timer;        // kTimer
  Forecast forecast;  // kNaive: busy time only; kMonthly: of one that never sleeps
  std::int64_t micros = 0;
};

struct Plan {
  Question question;
  std::vector<Row> rows;  // naive, the asked timer, other timers, by the month where it has such a price
  std::size_t asked = 1;  // the asked timer's
  // Of the monthly price, where there is one.
  std::optional<double> break_even_hours;
  std::optional<double> hourly_wins_below_s;         // the longest timeout; nullopt: none
  std::optional<double> hourly_wins_below_requests;  // a day, under the asked timer
};

// Errors: kInvalidArgument naming the field (nothing asked, more than one instance can serve one at a time, no price).
[[nodiscard]] Result<Plan> make_plan(Question question);

}  // namespace dormouse::planner
