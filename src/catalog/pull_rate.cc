#include "catalog/pull_rate.h"

#include <algorithm>

namespace dormouse::catalog {

double PullRate::bytes_per_second(std::int64_t done) {
  const MonoTime now = clock_.now();
  samples_.push_back({now, done});
  while (samples_.size() > 2 && now - samples_.front().at > window_) samples_.pop_front();
  const Nanoseconds span = now - samples_.front().at;
  if (span.count() <= 0) return 0;
  const std::int64_t more = std::max<std::int64_t>(0, done - samples_.front().done);
  return static_cast<double>(more) * 1e9 / static_cast<double>(span.count());
}

}  // namespace dormouse::catalog
