#include "gateway/tariff_of.h"

#include <chrono>

namespace dormouse::gateway {
namespace {

planner::Paid paid_of(catalog::Paid paid) {
  switch (paid) {
    case catalog::Paid::kYes: return planner::Paid::kYes;
    case catalog::Paid::kNo: return planner::Paid::kNo;
  }
  return planner::Paid::kYes;
}

planner::Increment increment_of(catalog::Increment increment) {
  switch (increment) {
    case catalog::Increment::kArrears: return planner::Increment::kArrears;
    case catalog::Increment::kPrepaid: return planner::Increment::kPrepaid;
  }
  return planner::Increment::kArrears;
}

}  // namespace

planner::Tariff tariff_of(const catalog::InstanceType& type) {
  planner::Tariff out;
  out.hour_micros = type.hour_micros.value_or(0);
  out.month_micros = type.month_micros;
  // A second is what such platforms count in, not a block to be filled: at 0.0005 CNY each (1.80 an hour) rounding a
  // session up costs half of that on average, 0.05 CNY a hundred wakes.
  if (type.increment > std::chrono::seconds(1)) out.increment_us = std::chrono::microseconds(type.increment).count();
  out.minimum_us = std::chrono::microseconds(type.minimum).count();
  out.increment = increment_of(type.increment_kind);
  out.waking = paid_of(type.boot);
  out.idle = paid_of(type.idle);
  out.stopped_hour_micros = type.stopped_hour_micros.value_or(0);
  out.fixed_month_micros = type.fixed_month_micros.value_or(0);
  if (type.spot_hour_micros.has_value() && type.interruptions_per_hour.has_value()) {
    out.spot = planner::Spot{*type.spot_hour_micros, *type.interruptions_per_hour};
  }
  out.resume_failure = type.resume_failure.value_or(0);
  return out;
}

}  // namespace dormouse::gateway
