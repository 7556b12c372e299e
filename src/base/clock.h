// Time, injected. Durations come from CLOCK_BOOTTIME (monotonic, counts suspend); wall time is for display, the
// ledger's timestamps and billing periods only (reliability notes R-30). Tests use ManualClock and never sleep.
#pragma once

#include <chrono>
#include <cstdint>

namespace dormouse {

using Nanoseconds = std::chrono::nanoseconds;

// A point on the boot clock.
struct MonoTime {
  std::int64_t ns = 0;
  friend constexpr auto operator<=>(const MonoTime&, const MonoTime&) = default;
};
constexpr MonoTime operator+(MonoTime t, Nanoseconds d) {
  return {t.ns + d.count()};
}
constexpr Nanoseconds operator-(MonoTime a, MonoTime b) {
  return Nanoseconds{a.ns - b.ns};
}

// Microseconds since 1970-01-01T00:00:00Z.
struct WallTime {
  std::int64_t us = 0;
  friend constexpr auto operator<=>(const WallTime&, const WallTime&) = default;
};

class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual MonoTime now() const = 0;
  [[nodiscard]] virtual WallTime wall() const = 0;
};

// Threads: any.
class SystemClock final : public Clock {
 public:
  [[nodiscard]] MonoTime now() const override;
  [[nodiscard]] WallTime wall() const override;
};

// Stands still until told. Threads: one.
class ManualClock final : public Clock {
 public:
  [[nodiscard]] MonoTime now() const override { return mono_; }
  [[nodiscard]] WallTime wall() const override { return wall_; }
  void advance(Nanoseconds d) {
    mono_.ns += d.count();
    wall_.us += d.count() / 1000;
  }
  void jump_wall(std::int64_t us) { wall_.us += us; }

 private:
  MonoTime mono_{1'000'000'000};
  WallTime wall_{1'700'000'000'000'000};
};

}  // namespace dormouse
