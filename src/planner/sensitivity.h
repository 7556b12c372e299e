// How far an answer hangs on what was assumed, from closed forms; and prices that look like a slip. PURE; well below a
// millisecond.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "planner/tariff.h"
#include "planner/traffic.h"

namespace dormouse::planner {

enum class Cheaper { kByTheHour, kByTheMonth };

struct Case {
  double value = 0;                    // of what is changed: seconds, or a factor
  std::optional<std::int64_t> micros;  // a month by the hour; nullopt: there is no formula (overload, increments)
  std::optional<Cheaper> cheaper;      // nullopt: that, or no monthly price
};

struct Sensitivity {
  std::vector<Case> wake_s;      // 0, 5, 10, 30, 60, 120 s
  std::vector<Case> hour_price;  // x 0.5, 0.75, 1, 1.5, 2; the month's stays
  std::vector<Case> volume;      // x 0.5, 1, 2, 5
};

[[nodiscard]] Sensitivity sensitivity_of(const Traffic& traffic, const Timer& timer, const Tariff& tariff);

// What makes a price worth a second look. None of it is an error.
enum class PriceDoubt {
  kHourAbsurd,    // by the hour nothing, or more than 100,000 of any currency
  kMonthTooLow,   // less than 35 % of 730 hours: such discounts are not seen (a half is), a verdict hangs on this one
  kMonthTooHigh,  // more than 730 hours: nobody would rent it
  kSpotTooHigh,   // spot above the hour
};
// In this order.
[[nodiscard]] std::vector<PriceDoubt> price_doubts(const Tariff& tariff);

}  // namespace dormouse::planner
