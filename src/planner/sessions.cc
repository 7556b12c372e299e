#include "planner/sessions.h"

#include "base/checked_int.h"

namespace dormouse::planner {
namespace {

// A day's increments of ten million sessions fit; what does not (a minimum of years for each) stays at the most.
std::int64_t sum(std::int64_t a, std::int64_t b) {
  return checked_add(a, b).value_or(std::numeric_limits<std::int64_t>::max());
}

}  // namespace

Sessions::Sessions(const Timer& timer, const Tariff& tariff, std::vector<std::int64_t>* paid_by_day)
    : tariff_(tariff),
      timeout_us_(to_us(timer.idle_timeout_s)),
      wake_us_(to_us(timer.wake_s)),
      is_prepaid_(tariff.increment == Increment::kPrepaid),
      paid_by_day_(paid_by_day) {}

std::int64_t Sessions::paid_from_us() const {
  return tariff_.waking == Paid::kYes ? on_us_ : on_us_ + wake_us_;
}

std::int64_t Sessions::off_us(std::int64_t free_us) const {
  const std::int64_t asleep_us = free_us + timeout_us_;
  if (!is_prepaid_) return asleep_us;
  return paid_from_us() + planner::paid_us(tariff_, asleep_us - paid_from_us());
}

void Sessions::begin(std::int64_t at_us, std::int64_t busy_us) {
  ++wakes_;
  on_us_ = at_us;
  busy_at_on_us_ = busy_us;
}

void Sessions::end(std::int64_t free_us, std::int64_t busy_us) {
  if (wakes_ == 0) return;
  const std::int64_t off = off_us(free_us);
  awake_us_ += off - on_us_;
  std::int64_t used_us = off - paid_from_us();
  if (!is_prepaid_ && tariff_.idle == Paid::kNo) {
    used_us -= off - on_us_ - wake_us_ - (busy_us - busy_at_on_us_);
  }
  const std::int64_t paid = planner::paid_us(tariff_, used_us);
  paid_us_ = sum(paid_us_, paid);
  if (paid_by_day_ == nullptr) return;
  std::int64_t& day = (*paid_by_day_)[static_cast<std::size_t>(on_us_ / kDayUs)];
  day = sum(day, paid);
}

}  // namespace dormouse::planner
