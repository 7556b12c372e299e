#include "base/clock.h"

#include <ctime>

namespace dormouse {

MonoTime SystemClock::now() const {
  timespec ts{};
  clock_gettime(CLOCK_BOOTTIME, &ts);
  return {std::int64_t{ts.tv_sec} * 1'000'000'000 + ts.tv_nsec};
}

WallTime SystemClock::wall() const {
  timespec ts{};
  clock_gettime(CLOCK_REALTIME, &ts);
  return {std::int64_t{ts.tv_sec} * 1'000'000 + ts.tv_nsec / 1000};
}

}  // namespace dormouse
