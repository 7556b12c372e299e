#include "gateway/limits/budget.h"

#include <algorithm>
#include <chrono>

#include "base/check.h"

namespace dormouse::gateway {

std::int64_t period_number(BudgetPeriod period, WallTime now, std::int64_t utc_offset_s) {
  using std::chrono::days;
  const std::chrono::sys_seconds local{std::chrono::floor<std::chrono::seconds>(std::chrono::microseconds(now.us)) +
                                       std::chrono::seconds(utc_offset_s)};
  const std::chrono::sys_days day = std::chrono::floor<days>(local);
  if (period == BudgetPeriod::kDay) return day.time_since_epoch().count();
  const std::chrono::year_month_day date(day);
  constexpr std::int64_t kMonths = 12;
  return (static_cast<int>(date.year()) - 1970) * kMonths + static_cast<unsigned>(date.month()) - 1;
}

void Budget::configure(std::int64_t limit_micros, BudgetPeriod period) {
  limit_micros_ = std::max<std::int64_t>(limit_micros, 0);
  if (period == period_) return;
  period_ = period;
  number_ = 0;  // days and months are numbered apart
  spent_micros_ = 0;
}

void Budget::enter(std::int64_t period_number) {
  if (period_number <= number_) return;
  number_ = period_number;
  spent_micros_ = 0;
}

Budget::Room Budget::room_for(std::int64_t micros) const {
  if (!is_limited()) return Room::kEnough;
  if (spent_micros_ >= limit_micros_ || micros > limit_micros_ - spent_micros_) return Room::kNone;
  return micros > limit_micros_ - spent_micros_ - reserved_micros_ ? Room::kHeldByOthers : Room::kEnough;
}

void Budget::settle(std::int64_t reserved_micros, std::int64_t cost_micros) {
  DCHECK(reserved_micros <= reserved_micros_);
  reserved_micros_ -= reserved_micros;
  spent_micros_ += cost_micros;
}

}  // namespace dormouse::gateway
