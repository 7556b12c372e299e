// The answer to "by the hour or by the month?", as values: what `dormouse plan` prints, the admin API answers and the
// weekly advice is made of. PURE.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "planner/profile.h"
#include "planner/replay.h"
#include "planner/tariff.h"
#include "planner/traffic.h"

namespace dormouse::planner {

struct Question {
  // Random arrivals, where the question is one of assumptions: formulas hold then, with one slot. nullopt: `workload`
  // was measured, or follows a profile.
  std::optional<Traffic> traffic;
  std::optional<ProfileTraffic> profile{};  // likewise, by the hours of a week; `workload` is made of it
  Workload workload{};                      // what is replayed; made from `traffic` if that is there and this is empty
  Timer timer;
  Tariff tariff;
  double fast_wake_s = 1;  // what the last row of timers wakes in: how far waking alone can bring the bill
};

// How a session's time may be rounded, whatever the tariff's own way is.
enum class Rule { kTime, kSecond, kMinute, kHour, kPrepaidHour };
inline constexpr std::size_t kRules = 5;

struct Row {
  enum class Kind {
    kNaive,    // busy time only
    kTimer,    // under `timer`
    kWindow,   // awake through the hours of activity, asleep outside them: a schedule. Of random arrivals only.
    kAlways,   // by the hour, never asleep
    kMonthly,  // the same, at the month's price
  };
  Kind kind = Kind::kTimer;
  Timer timer;                                 // of kTimer
  Forecast forecast;                           // kNaive has no waking, idling or latency
  std::int64_t micros = 0;                     // a month, under the tariff
  std::array<std::int64_t, kRules> by_rule{};  // of kTimer
};

struct Plan {
  Question question;
  // Naive, the asked timer, other timers, one that wakes in fast_wake_s and sleeps at once, a window, always, by the
  // month where there is such a price.
  std::vector<Row> rows;
  std::size_t asked = 1;  // the asked timer's
  // Of the monthly price, where there is one.
  std::optional<double> break_even_hours;            // awake
  std::optional<double> naive_break_even_requests;   // a day, by busy time alone: what is wrong with the naive rule
  std::optional<double> hourly_wins_below_s;         // the longest timeout; nullopt: none
  std::optional<double> hourly_wins_below_requests;  // a day, under the asked timer
  std::optional<std::int64_t> hourly_wins_below_hour_micros;  // at the asked timer's hours
};

// nullopt: the plan has none.
[[nodiscard]] const Row* find_row(const Plan& plan, Row::Kind kind);

// Errors: kInvalidArgument naming the field (nothing asked, more than one instance can serve one at a time, no price).
[[nodiscard]] Result<Plan> make_plan(Question question);

}  // namespace dormouse::planner
