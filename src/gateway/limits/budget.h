// What may be spent in a day or a month. Money is reserved when a request is let in and exchanged for what it cost at
// its end, so that the sum of both never passes the limit. Threads: one.
// Invariants: spent + reserved <= limit after every reserve that succeeded; a period never goes back: a wall clock set
// back stays in the period it was in (and spends from that), one set ahead begins the next one at most once.
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "gateway/caller.h"

namespace dormouse::gateway {

// Counts the days or months of local time since 1970; `utc_offset_s` is the zone's at that moment.
[[nodiscard]] std::int64_t period_number(BudgetPeriod period, WallTime now, std::int64_t utc_offset_s);

class Budget {
 public:
  Budget() = default;  // none

  // Another limit or period: what was spent in the same period stays spent.
  void configure(std::int64_t limit_micros, BudgetPeriod period);
  [[nodiscard]] bool is_limited() const { return limit_micros_ > 0; }
  [[nodiscard]] BudgetPeriod period() const { return period_; }
  // To be called before anything below: begins the next period where it is time.
  void enter(std::int64_t period_number);
  // What the ledger knows was spent in this period before this program started; counts once, beside what came since.
  void add_spent(std::int64_t micros) { spent_micros_ += micros; }

  enum class Room {
    kEnough,
    kHeldByOthers,  // the requests now running may leave enough
    kNone,          // not in this period
  };
  [[nodiscard]] Room room_for(std::int64_t micros) const;
  void reserve(std::int64_t micros) { reserved_micros_ += micros; }
  // The cost counts in the period in which the request ends.
  void settle(std::int64_t reserved_micros, std::int64_t cost_micros);

  [[nodiscard]] std::int64_t limit_micros() const { return limit_micros_; }
  [[nodiscard]] std::int64_t spent_micros() const { return spent_micros_; }
  [[nodiscard]] std::int64_t reserved_micros() const { return reserved_micros_; }

 private:
  std::int64_t limit_micros_ = 0;
  BudgetPeriod period_ = BudgetPeriod::kMonth;
  std::int64_t number_ = 0;
  std::int64_t spent_micros_ = 0;
  std::int64_t reserved_micros_ = 0;
};

}  // namespace dormouse::gateway
