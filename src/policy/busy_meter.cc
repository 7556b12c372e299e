#include "policy/busy_meter.h"

#include <algorithm>

#include "base/check.h"

namespace dormouse::policy {

void BusyMeter::advance(MonoTime now) {
  if (running_ > 0) {
    const std::int64_t shared_ns = std::max<std::int64_t>(0, now.ns - last_.ns) + carry_ns_;
    each_ns_ += shared_ns / running_;
    carry_ns_ = shared_ns % running_;
  }
  last_ = std::max(last_, now);
}

std::int64_t BusyMeter::enter(MonoTime now) {
  advance(now);
  ++running_;
  return each_ns_;
}

BusyMeter::Share BusyMeter::leave(std::int64_t mark, MonoTime now) {
  CHECK(running_ > 0);
  advance(now);
  --running_;
  const std::int64_t share_ns = each_ns_ - mark;
  Share out{Nanoseconds(share_ns), std::nullopt};
  if (price_.has_value()) {
    // Differences of rounded sums: they add up to the rounded whole.
    out.micros = cost_micros(*price_, settled_ns_ + share_ns) - cost_micros(*price_, settled_ns_);
  }
  settled_ns_ += share_ns;
  return out;
}

BusyMeter::Share BusyMeter::so_far(std::int64_t mark, MonoTime now) {
  advance(now);
  Share out{Nanoseconds(each_ns_ - mark), std::nullopt};
  if (price_.has_value()) out.micros = cost_micros(*price_, each_ns_ - mark);
  return out;
}

}  // namespace dormouse::policy
