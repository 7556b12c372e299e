#include "planner/tariff.h"

#include <algorithm>

#include "planner/traffic.h"

namespace dormouse::planner {

std::int64_t paid_us(const Tariff& tariff, std::int64_t us) {
  const std::int64_t least = std::max(us, tariff.minimum_us);
  if (tariff.increment_us <= 1) return least;
  return (least + tariff.increment_us - 1) / tariff.increment_us * tariff.increment_us;
}

std::int64_t hours_micros(const Tariff& tariff, std::int64_t paid_us) {
  __extension__ using Wide = __int128;  // GCC's and clang's own; ISO C++ has none
  const Wide micros = static_cast<Wide>(tariff.hour_micros) * paid_us / kHourUs;
  return static_cast<std::int64_t>(std::min<Wide>(micros, kMostMicros));
}

}  // namespace dormouse::planner
