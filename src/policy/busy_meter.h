// Who pays for an instance's busy time: each moment is split evenly among the requests that are on it, to the
// nanosecond and, under a price, to the micro-unit. Pure. Threads: one.
// Invariants: the shares of all requests add up to the busy time (some request on it), their money to
// floor(price of that time); both once the last one has left.
#pragma once

#include <cstdint>
#include <optional>

#include "base/clock.h"
#include "base/money.h"

namespace dormouse::policy {

class BusyMeter {
 public:
  explicit BusyMeter(std::optional<TimePrice> price) : price_(std::move(price)) {}

  struct Share {
    Nanoseconds time{0};
    std::optional<std::int64_t> micros;  // nullopt: no price
  };

  // A request comes. What it gets back is for leave() and so_far().
  [[nodiscard]] std::int64_t enter(MonoTime now);
  // It goes. Once for each enter().
  Share leave(std::int64_t mark, MonoTime now);
  // What leave() would say at least; money by itself, not as a part of the instance's.
  [[nodiscard]] Share so_far(std::int64_t mark, MonoTime now);

 private:
  void advance(MonoTime now);

  const std::optional<TimePrice> price_;
  std::int64_t running_ = 0;
  std::int64_t each_ns_ = 0;     // what a request that was there from the beginning would have
  std::int64_t carry_ns_ = 0;    // not yet divisible; the last one to leave gets it
  std::int64_t settled_ns_ = 0;  // sum of the shares so far
  MonoTime last_;
};

}  // namespace dormouse::policy
