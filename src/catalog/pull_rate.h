// Bytes a second over the last moments, for a progress line. Threads: one.
#pragma once

#include <cstdint>
#include <deque>

#include "base/clock.h"

namespace dormouse::catalog {

class PullRate {
 public:
  PullRate(const Clock& clock, Nanoseconds window) : clock_(clock), window_(window) {}
  // `done`: bytes so far. 0: not known yet. Bytes that were lost again count as none.
  double bytes_per_second(std::int64_t done);

 private:
  struct Sample {
    MonoTime at;
    std::int64_t done = 0;
  };
  const Clock& clock_;
  const Nanoseconds window_;
  std::deque<Sample> samples_;  // of the window, oldest first
};

}  // namespace dormouse::catalog
