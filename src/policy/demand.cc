#include "policy/demand.h"

#include <algorithm>
#include <cmath>

namespace dormouse::policy {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

// A load of exactly two instances asks for two, whatever the sum of its parts rounds to.
int whole_instances(double load) {
  constexpr double kSlack = 1e-9;
  constexpr double kMost = 1e6;
  return static_cast<int>(std::ceil(std::clamp(load - kSlack, 0.0, kMost)));
}

}  // namespace

Demand::Second& Demand::at(std::int64_t number) {
  Second& slot = seconds_[static_cast<std::size_t>(number % kHoldSeconds)];
  if (slot.number != number) slot = {.number = number};
  return slot;
}

double Demand::average(std::int64_t end, int seconds) const {
  double sum = 0;
  for (std::int64_t n = std::max<std::int64_t>(0, end - seconds + 1); n <= end; ++n) {
    const Second& slot = seconds_[static_cast<std::size_t>(n % kHoldSeconds)];
    if (slot.number == n) sum += slot.load_seconds;
  }
  return sum / seconds;
}

int Demand::wanted_at(std::int64_t second) const {
  return whole_instances(std::max(average(second, kStableSeconds), average(second, kPanicSeconds)));
}

// Accounts for the load up to now, second by second. Seconds that nobody looked at before the ring began anew are over.
void Demand::advance(MonoTime now) {
  const std::int64_t to = now.ns;
  if (!has_begun_) {
    has_begun_ = true;
    since_ = now;
    last_ = to / kSecond;
    return;
  }
  std::int64_t from = std::max(since_.ns, to - (kHoldSeconds - 1) * kSecond);
  while (from < to) {
    const std::int64_t second = from / kSecond;
    const std::int64_t end = std::min(to, (second + 1) * kSecond);
    Second& slot = at(second);
    slot.load_seconds += load_ * static_cast<double>(end - from) / static_cast<double>(kSecond);
    if (end == (second + 1) * kSecond) slot.desired = wanted_at(second);
    from = end;
  }
  since_ = std::max(since_, now);
  last_ = to / kSecond;
}

void Demand::set(double load, MonoTime now) {
  advance(now);
  load_ = std::max(0.0, load);
}

int Demand::desired(MonoTime now) {
  advance(now);
  return wanted_at(last_);
}

int Demand::most_desired(MonoTime now, Nanoseconds hold) {
  int out = desired(now);
  const std::int64_t held = std::min<std::int64_t>(kHoldSeconds, hold.count() / kSecond);
  for (const Second& slot : seconds_) {
    if (slot.number >= 0 && last_ - slot.number < held) out = std::max(out, slot.desired);
  }
  return out;
}

}  // namespace dormouse::policy
