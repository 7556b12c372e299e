// How sure a month's bill is, from the days that were measured. PURE.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace dormouse::planner {

inline constexpr std::size_t kFewestDays = 5;

// Of a month's bill, 90 %: one true bill in twenty is below, one above.
struct Interval {
  std::int64_t low_micros = 0;
  std::int64_t high_micros = 0;
  std::size_t days = 0;  // that it was made of
};

// `day_micros`: what each whole day cost, the first of them a Monday (0) or another weekday; a month is 730 h of such
// days. Costs that are the same every month are added to both ends by the caller. nullopt: fewer than kFewestDays, of
// which nothing can be said. Method: day-block bootstrap (cost notes 2.3), 1,000 draws from `seed`: weekdays and
// weekends are drawn for themselves (where there are two of each at least; else all days together), since an office's
// are not alike.
[[nodiscard]] std::optional<Interval> bill_interval(std::span<const std::int64_t> day_micros, std::uint64_t seed,
                                                    std::size_t first_weekday = 0);

}  // namespace dormouse::planner
