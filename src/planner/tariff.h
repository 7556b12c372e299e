// How an offer turns time into money. One currency; what is written in another is converted before it comes here. PURE.
#pragma once

#include <cstdint>
#include <optional>

namespace dormouse::planner {

enum class Paid { kYes, kNo };
// kArrears: what was used is rounded up when it ends. kPrepaid: an increment is paid when it begins, so staying to its
// end is free, and an instance goes at such an end or not at all.
enum class Increment { kArrears, kPrepaid };

struct Spot {
  std::int64_t hour_micros = 0;
  double interruptions_per_hour = 0;
  friend bool operator==(const Spot&, const Spot&) = default;
};

// A session is the time from a wake to the sleep after it: waking, then serving and idling. Of it are paid
//  kArrears: its length, without the waking where that is free and without the idling where that is free,
//  kPrepaid: its length, without the waking where that is free; idling within paid time is paid, whatever `idle` says,
// through paid_us().
struct Tariff {
  std::int64_t hour_micros = 0;
  std::optional<std::int64_t> month_micros{};  // of an instance that never sleeps
  std::int64_t increment_us = 0;               // of each session, paid whole; 0: by the time itself
  std::int64_t minimum_us = 0;                 // of each session
  Increment increment = Increment::kArrears;
  Paid waking = Paid::kYes;
  Paid idle = Paid::kYes;
  std::int64_t stopped_hour_micros = 0;  // of a month's hours not awake: its disk, its address
  std::int64_t fixed_month_micros = 0;   // whatever runs: the gateway's host, an own card's purchase
  std::optional<Spot> spot{};
  double resume_failure = 0;  // of wakes: no machine was to be had
  friend bool operator==(const Tariff&, const Tariff&) = default;
};

// Money beyond this counts as this (4 million million of a currency): no sum of two overflows.
inline constexpr std::int64_t kMostMicros = 4'000'000'000'000'000'000;

// What a session of `us` (less what is free) is paid as: the minimum at least, in whole increments.
[[nodiscard]] std::int64_t paid_us(const Tariff& tariff, std::int64_t us);
// Of paid time, rounded down once.
[[nodiscard]] std::int64_t hours_micros(const Tariff& tariff, std::int64_t paid_us);

}  // namespace dormouse::planner
