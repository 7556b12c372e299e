// How many instances the load of the last minute asks for. Load is counted in instances' worth of work (1.0: one
// instance at its target), whatever the caller makes of that. Pure; time comes with each call, and never goes back.
// Averages as Knative's autoscaler has them: 60 s, and 6 s so that a spike is seen at once; the larger counts.
#pragma once

#include <array>
#include <cstdint>

#include "base/clock.h"

namespace dormouse::policy {

class Demand {
 public:
  // The load from now on.
  void set(double load, MonoTime now);
  // Whole instances that the averages ask for now; 0 when nothing was there for the last minute.
  [[nodiscard]] int desired(MonoTime now);
  // The largest value desired() had within `hold`, five minutes at most: what may not be scaled below (requirement
  //
  [[nodiscard]] int most_desired(MonoTime now, Nanoseconds hold);

 private:
  static constexpr int kStableSeconds = 60;
  static constexpr int kPanicSeconds = 6;
  static constexpr int kHoldSeconds = 300;

  struct Second {
    std::int64_t number = -1;  // since the clock's beginning
    double load_seconds = 0;   // of it
    int desired = 0;           // at its end
  };
  void advance(MonoTime now);
  [[nodiscard]] double average(std::int64_t end, int seconds) const;
  Second& at(std::int64_t number);
  [[nodiscard]] int wanted_at(std::int64_t second) const;

  std::array<Second, kHoldSeconds> seconds_{};
  double load_ = 0;
  MonoTime since_{};       // load_ is accounted for up to here
  std::int64_t last_ = 0;  // second that since_ lies in
  bool has_begun_ = false;
};

}  // namespace dormouse::policy
