#include "gateway/limits/bucket.h"

#include <algorithm>

#include "base/check.h"

namespace dormouse::gateway {
namespace {

// Of numbers that are not negative.
std::int64_t divide_up(std::int64_t a, std::int64_t b) {
  return a / b + (a % b != 0 ? 1 : 0);
}

}  // namespace

Bucket::Bucket(std::int64_t per_minute, MonoTime now)
    : per_minute_(std::clamp<std::int64_t>(per_minute, 0, kMostPerMinute)), level_(capacity()), refilled_(now) {
  // A level lies between minus and plus the capacity; twice that is added to it at most.
  static_assert(kMostPerMinute <= INT64_MAX / kMicrosPerMinute / 4);
}

std::int64_t Bucket::level_at(MonoTime now) const {
  const std::int64_t elapsed_us = (now - refilled_).count() / 1'000;
  if (elapsed_us <= 0) return level_;
  // Compared before it is multiplied: after a long sleep the product would not fit.
  if (elapsed_us >= divide_up(capacity() - level_, std::max<std::int64_t>(per_minute_, 1))) return capacity();
  return level_ + elapsed_us * per_minute_;
}

void Bucket::refill(MonoTime now) {
  if (!is_limited() || now <= refilled_) return;
  level_ = level_at(now);
  const std::int64_t elapsed_us = (now - refilled_).count() / 1'000;
  refilled_ = level_ == capacity() ? now : refilled_ + std::chrono::microseconds(elapsed_us);
}

std::int64_t Bucket::available(MonoTime now) const {
  return std::max<std::int64_t>(level_at(now), 0) / kMicrosPerMinute;
}

bool Bucket::can_take(std::int64_t count, MonoTime now) const {
  return !is_limited() || count <= available(now);
}

Nanoseconds Bucket::wait_for(std::int64_t count, MonoTime now) const {
  if (!is_limited()) return Nanoseconds(0);
  const std::int64_t short_of = std::min(count, per_minute_) * kMicrosPerMinute - level_at(now);
  if (short_of <= 0) return Nanoseconds(0);
  // A clock that went back has the way to the last refill before it, too.
  const Nanoseconds behind = std::max(refilled_ - now, Nanoseconds(0));
  const Nanoseconds since = std::max(now - refilled_, Nanoseconds(0)) % std::chrono::microseconds(1);
  return std::chrono::microseconds(divide_up(short_of, per_minute_)) - since + behind;
}

bool Bucket::take(std::int64_t count, MonoTime now) {
  DCHECK(count >= 0);
  if (!is_limited()) return true;
  refill(now);
  if (count > std::max<std::int64_t>(level_, 0) / kMicrosPerMinute) return false;
  level_ -= count * kMicrosPerMinute;
  return true;
}

void Bucket::charge(std::int64_t count, MonoTime now) {
  DCHECK(count >= 0);
  if (!is_limited()) return;
  refill(now);
  const std::int64_t most = (level_ + capacity()) / kMicrosPerMinute;
  level_ -= std::min(count, most) * kMicrosPerMinute;
}

void Bucket::give_back(std::int64_t count, MonoTime now) {
  DCHECK(count >= 0);
  if (!is_limited()) return;
  refill(now);
  level_ = std::min(capacity(), level_ + std::min(count, 2 * per_minute_) * kMicrosPerMinute);
}

void Bucket::resize(std::int64_t per_minute, MonoTime now) {
  if (std::clamp<std::int64_t>(per_minute, 0, kMostPerMinute) == per_minute_) return;
  const std::int64_t taken = is_limited() ? missing(now) : 0;
  *this = Bucket(per_minute, now);
  if (!is_limited()) return;
  level_ = (per_minute_ - std::min(taken, per_minute_)) * kMicrosPerMinute;
}

std::int64_t Bucket::missing(MonoTime now) const {
  return divide_up(capacity() - level_at(now), kMicrosPerMinute);
}

}  // namespace dormouse::gateway
