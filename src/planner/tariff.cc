#include "planner/tariff.h"

#include <algorithm>

#include "base/money.h"
#include "planner/traffic.h"

namespace dormouse::planner {

std::int64_t paid_us(const Tariff& tariff, std::int64_t us) {
  const std::int64_t least = std::max(us, tariff.minimum_us);
  if (tariff.increment_us <= 0) return least;
  return (least + tariff.increment_us - 1) / tariff.increment_us * tariff.increment_us;
}

std::int64_t hours_micros(const Tariff& tariff, std::int64_t paid_us) {
  return proportion(tariff.hour_micros, paid_us, kHourUs);
}

}  // namespace dormouse::planner
