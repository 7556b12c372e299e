// A token bucket for limits of the form "N a minute": it holds N at most and fills at N a minute. Integers only.
// Threads: one; it has no clock of its own, `now` is the boot clock's (it counts a suspended machine's time).
// Invariants:
//  1. Any span of W minutes lets at most N + N * W through. The whole minute's worth may be taken at once: a limit of
//     100 then means that 100 requests at the same moment pass and the 101st does not, which is what the headers say.
//  2. No drift: a fraction of a token stays in the level, a fraction of a microsecond in the time of the last refill.
//  3. A clock that stands still or goes back gives nothing; one that jumps ahead fills the bucket and no more.
//  4. A refused take changes nothing.
#pragma once

#include <cstdint>

#include "base/clock.h"

namespace dormouse::gateway {

class Bucket {
 public:
  // Past it a level in millionths of a second would leave 63 bits. A larger limit is taken for this one.
  static constexpr std::int64_t kMostPerMinute = 10'000'000'000;

  Bucket() = default;  // no limit
  // Full. 0: no limit.
  Bucket(std::int64_t per_minute, MonoTime now);

  [[nodiscard]] bool is_limited() const { return per_minute_ > 0; }
  [[nodiscard]] std::int64_t limit() const { return per_minute_; }
  // Whole tokens, never negative. Of no meaning without a limit.
  [[nodiscard]] std::int64_t available(MonoTime now) const;
  [[nodiscard]] bool can_take(std::int64_t count, MonoTime now) const;
  // Until can_take(count) holds if nobody else takes; 0: now. `count` above the limit: until full.
  [[nodiscard]] Nanoseconds wait_for(std::int64_t count, MonoTime now) const;
  [[nodiscard]] Nanoseconds wait_until_full(MonoTime now) const { return wait_for(per_minute_, now); }

  // False: nothing was taken.
  bool take(std::int64_t count, MonoTime now);
  // What was used without asking first: the level may fall below nothing, by one minute's worth at most.
  void charge(std::int64_t count, MonoTime now);
  // Of what was taken. More than fits is lost: a bucket is never over-full.
  void give_back(std::int64_t count, MonoTime now);
  // Another limit: what was taken stays taken. A bucket that had no limit starts full.
  void resize(std::int64_t per_minute, MonoTime now);

  // For limits.state: how much is missing to full, rounded up.
  [[nodiscard]] std::int64_t missing(MonoTime now) const;

 private:
  static constexpr std::int64_t kMicrosPerMinute = 60'000'000;  // one token in units of level_

  [[nodiscard]] std::int64_t level_at(MonoTime now) const;
  void refill(MonoTime now);
  [[nodiscard]] std::int64_t capacity() const { return per_minute_ * kMicrosPerMinute; }

  std::int64_t per_minute_ = 0;
  std::int64_t level_ = 0;  // tokens * kMicrosPerMinute: a microsecond adds exactly per_minute_
  MonoTime refilled_;
};

}  // namespace dormouse::gateway
