// Goal: a replay is right to the microsecond and the micro-unit. Method: 1,000 random configurations against a
// simulation of its own (replay_events.h), which shares no code with it; the cost notes' numbers for prepaid hours; the
// ends of every rule by hand. Seeds are printed on failure; DORMOUSE_SEED repeats a run.
#include "planner/replay.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <numeric>
#include <random>
#include <sstream>

#include "planner/arrivals.h"
#include "planner/replay_events.h"

namespace dormouse::planner {
namespace {

const Tariff kT4{.hour_micros = 1'800'000, .month_micros = 300'000'000};

std::uint64_t seed_from_environment() {
  if (const char* text = std::getenv("DORMOUSE_SEED"); text != nullptr) return std::strtoull(text, nullptr, 10);
  return std::random_device{}();
}

// Requests, timer and tariff at random: whole seconds, so that much falls together, or microseconds; alone or in
// bursts; nothing, a second, minutes of each duration.
class Chance {
 public:
  explicit Chance(std::uint64_t seed) : random_(seed) {}

  int below(int end) { return std::uniform_int_distribution<int>(0, end - 1)(random_); }
  bool one_in(int n) { return below(n) == 0; }
  double uniform(double end) { return std::uniform_real_distribution<double>(0, end)(random_); }

  std::int64_t duration_us(double mean_s) {
    if (one_in(4)) return 0;
    const double s = std::exponential_distribution<double>(1 / mean_s)(random_);
    return is_coarse_ ? std::llround(s) * kSecondUs : to_us(s);
  }
  double duration_s(double mean_s) { return to_seconds(duration_us(mean_s)); }

  std::vector<Arrival> arrivals() {
    is_coarse_ = one_in(2);
    std::vector<Arrival> out(static_cast<std::size_t>(below(200)));
    const double gap_s = std::pow(10.0, uniform(3.5));
    const double service_s = std::pow(10.0, uniform(2));
    std::int64_t at_us = 0;
    for (Arrival& arrival : out) {
      if (!one_in(4)) at_us += duration_us(gap_s);
      arrival = {at_us, duration_us(service_s)};
    }
    return out;
  }

  Timer timer() {
    Timer out{.idle_timeout_s = duration_s(60), .wake_s = duration_s(30)};
    constexpr std::array kSlots = {1, 1, 0, 2, 3, 5};
    out.slots = kSlots[static_cast<std::size_t>(below(kSlots.size()))];
    return out;
  }

  Tariff tariff() {
    Tariff out{.hour_micros = 1 + below(20'000'000)};
    out.increment_us = one_in(3) ? 0 : duration_us(100);
    if (one_in(4)) out.increment_us = 60 * kSecondUs;
    out.minimum_us = one_in(2) ? 0 : duration_us(200);
    out.increment = one_in(2) ? Increment::kArrears : Increment::kPrepaid;
    out.waking = one_in(2) ? Paid::kYes : Paid::kNo;
    out.idle = one_in(2) ? Paid::kYes : Paid::kNo;
    return out;
  }

 private:
  std::mt19937_64 random_;
  bool is_coarse_ = false;
};

std::string words(const Timer& timer, const Tariff& tariff) {
  std::ostringstream out;
  out << "timeout " << timer.idle_timeout_s << " wake " << timer.wake_s << " slots " << timer.slots << " slowdown "
      << timer.slowdown << " increment " << tariff.increment_us << " minimum " << tariff.minimum_us << " prepaid "
      << (tariff.increment == Increment::kPrepaid) << " waking free " << (tariff.waking == Paid::kNo) << " idle free "
      << (tariff.idle == Paid::kNo);
  return out.str();
}

void expect_latencies(const Outcome& got, std::vector<std::int64_t> exact_us, double slack_s) {
  if (exact_us.empty()) return;
  std::sort(exact_us.begin(), exact_us.end());
  const double n = static_cast<double>(exact_us.size());
  const auto near = [&](double got_s, double share) {
    const double exact_s = to_seconds(exact_us[static_cast<std::size_t>(share * n)]);
    EXPECT_NEAR(got_s, exact_s, 0.002 * exact_s + slack_s) << share;
  };
  near(got.p50_s, 0.50);
  near(got.p95_s, 0.95);
  near(got.p99_s, 0.99);
  near(got.p999_s, 0.999);
  const double mean_s = to_seconds(std::accumulate(exact_us.begin(), exact_us.end(), std::int64_t{0})) / n;
  EXPECT_NEAR(got.mean_s, mean_s, 1e-12 * mean_s + slack_s);
}

TEST(Replay, IsWhatHappensEventByEvent) {
  const std::uint64_t seed = seed_from_environment();
  Chance chance(seed);
  for (int i = 0; i < 1'000; ++i) {
    const std::vector<Arrival> arrivals = chance.arrivals();
    const Timer timer = chance.timer();
    const Tariff tariff = chance.tariff();
    SCOPED_TRACE("DORMOUSE_SEED=" + std::to_string(seed) + ", " + std::to_string(i) + ": " + words(timer, tariff));
    const Outcome got = replay(arrivals, timer, tariff);
    const Happened want = happen(arrivals, timer, tariff);
    EXPECT_EQ(got.requests, static_cast<std::int64_t>(arrivals.size()));
    EXPECT_EQ(got.cold_requests, want.cold_requests);
    EXPECT_EQ(got.wakes, want.wakes);
    EXPECT_EQ(got.awake_us, want.awake_us);
    EXPECT_EQ(got.busy_us, want.busy_us);
    EXPECT_EQ(got.waking_us, want.waking_us);
    EXPECT_EQ(got.idle_us, want.idle_us);
    EXPECT_EQ(got.paid_us, want.paid_us);
    EXPECT_EQ(got.paid_micros, want.paid_micros);
    expect_latencies(got, want.latencies_us, 0);
    std::vector<std::int64_t> days = paid_by_day(arrivals, timer, tariff);
    EXPECT_EQ(days.size(), arrivals.empty() ? 0 : static_cast<std::size_t>(arrivals.back().at_us / kDayUs) + 1);
    for (const auto& [day, paid_us] : want.paid_by_day) days.at(static_cast<std::size_t>(day)) -= paid_us;
    EXPECT_TRUE(std::all_of(days.begin(), days.end(), [](std::int64_t rest) { return rest == 0; }));
    if (HasFailure()) return;
  }
}

// Both round each end to the microsecond, after sums of doubles in another order. Where they disagree about a half, all
// that follows in the same busy time is off by one more microsecond: one a request at most.
TEST(Replay, SharedSlotsAreWhatHappensEventByEventToAMicrosecondAnEvent) {
  const std::uint64_t seed = seed_from_environment();
  Chance chance(seed);
  for (int i = 0; i < 1'000; ++i) {
    const std::vector<Arrival> arrivals = chance.arrivals();
    Timer timer = chance.timer();
    timer.slowdown = chance.uniform(1);
    const Tariff tariff = chance.tariff();
    SCOPED_TRACE("DORMOUSE_SEED=" + std::to_string(seed) + ", " + std::to_string(i) + ": " + words(timer, tariff));
    const Outcome got = replay(arrivals, timer, tariff);
    const Happened want = happen(arrivals, timer, tariff);
    const auto events = static_cast<double>(arrivals.size());
    EXPECT_EQ(got.wakes, want.wakes);
    EXPECT_EQ(got.cold_requests, want.cold_requests);
    EXPECT_EQ(got.waking_us, want.waking_us);
    EXPECT_NEAR(static_cast<double>(got.awake_us), static_cast<double>(want.awake_us), events);
    EXPECT_NEAR(static_cast<double>(got.busy_us), static_cast<double>(want.busy_us), events);
    EXPECT_NEAR(static_cast<double>(got.paid_us), static_cast<double>(want.paid_us), events);
    EXPECT_EQ(got.awake_us, got.busy_us + got.waking_us + got.idle_us);
    expect_latencies(got, want.latencies_us, events * 1e-6);
    if (HasFailure()) return;
  }
}

TEST(Replay, AGridIsItsTimeoutsOneByOne) {
  const Workload month = make_arrivals({800, 2, 25, 8}, Pattern::kSessions, 1, 5);
  const std::array timeouts_s = {0.0, 30.0, 600.0, 1e7};
  for (const int slots : {1, 0, 4}) {
    const Timer timer{.idle_timeout_s = 77, .wake_s = 30, .slots = slots};
    const std::vector<Outcome> all = replay_all(month.arrivals, timeouts_s, timer, kT4);
    ASSERT_EQ(all.size(), timeouts_s.size());
    for (std::size_t i = 0; i < timeouts_s.size(); ++i) {
      const Outcome one = replay(month.arrivals, {timeouts_s[i], 30, slots}, kT4);
      EXPECT_EQ(all[i].awake_us, one.awake_us);
      EXPECT_EQ(all[i].wakes, one.wakes);
      EXPECT_EQ(all[i].p99_s, one.p99_s);
    }
    EXPECT_EQ(all.back().wakes, 1) << "what never sleeps wakes once";
  }
}

// Cost notes 2.5, to a simulation's scatter: 64 months of ours beside 16 of theirs.
TEST(Replay, PrepaidHoursAreUsedToTheirEnd) {
  struct Row {
    double requests_per_day;
    double hours;
    double bill;
    double cold_percent;
    double naive_bill;  // sleeping after 60 s on the same platform
  };
  for (const Row& row : {Row{20, 151, 271, 31, 850}, Row{50, 181, 325, 15, 1'938}, Row{100, 198, 357, 9, 3'365},
                         Row{200, 200, 360, 5, 5'176}, Row{800, 200, 360, 2, 5'571}}) {
    const Workload months = make_arrivals({row.requests_per_day, 2, 25, 8}, Pattern::kRandom, 64, 1);
    Tariff hours = kT4;
    hours.increment_us = kHourUs;
    const Outcome naive = replay(months.arrivals, {60, 30}, hours);
    hours.increment = Increment::kPrepaid;
    const Outcome got = replay(months.arrivals, {0, 30}, hours);
    const Forecast month = a_month_of(got, months.months);
    EXPECT_NEAR(month.awake_s / 3'600, row.hours, 0.01 * row.hours);
    EXPECT_NEAR(static_cast<double>(got.paid_micros) / 64e6, row.bill, 0.01 * row.bill);
    EXPECT_NEAR(month.cold_share * 100, row.cold_percent, 0.5 + 0.01 * row.cold_percent);
    EXPECT_NEAR(static_cast<double>(naive.paid_micros) / 64e6, row.naive_bill, 0.01 * row.naive_bill);
  }
}

TEST(Replay, ExactlyAtTheTimeoutsEndItIsAwake) {
  const std::vector<Arrival> just = {{0, kSecondUs}, {11 * kSecondUs, kSecondUs}};
  EXPECT_EQ(replay(just, {10, 0}, kT4).wakes, 1);
  const std::vector<Arrival> late = {{0, kSecondUs}, {11 * kSecondUs + 1, kSecondUs}};
  EXPECT_EQ(replay(late, {10, 0}, kT4).wakes, 2);
}

TEST(Replay, WhoWakesAnInstanceThatNeedsNoTimeIsColdAndNobodyElse) {
  const std::vector<Arrival> two = {{0, kSecondUs}, {0, kSecondUs}};
  EXPECT_EQ(replay(two, {10, 0}, kT4).cold_requests, 1);
  EXPECT_EQ(replay(two, {10, 1}, kT4).cold_requests, 2);
}

TEST(Replay, TwoSlotsServeTwoAtOnceInOneBusyTime) {
  const std::vector<Arrival> arrivals = {
      {0, 2 * kSecondUs}, {0, 2 * kSecondUs}, {0, 2 * kSecondUs}, {100 * kSecondUs, kSecondUs}};
  const Outcome one = replay(arrivals, {10, 0, 1}, kT4);
  EXPECT_EQ(one.busy_us, 7 * kSecondUs);
  EXPECT_EQ(one.awake_us, (6 + 10 + 1 + 10) * kSecondUs);
  const Outcome two = replay(arrivals, {10, 0, 2}, kT4);
  EXPECT_EQ(two.busy_us, 5 * kSecondUs);
  EXPECT_EQ(two.wakes, 2);
  EXPECT_DOUBLE_EQ(a_month_of(two, 2).busy_s, 2.5) << "a month of two";
}

// Two requests of 2 s at once, each at 1 / 1.5 of its speed: 3 s. At a slowdown of 1 they take as long as one after
// the other. A third that comes when the first two are half through (1.5 s) finds a slot taken, waits, and has it
// alone.
TEST(Replay, SharedSlotsTakeTurnsByTheSlowdown) {
  const std::vector<Arrival> two = {{0, 2 * kSecondUs}, {0, 2 * kSecondUs}};
  EXPECT_EQ(replay(two, {10, 0, 2, 0.5}, kT4).busy_us, 3 * kSecondUs);
  EXPECT_EQ(replay(two, {10, 0, 0, 1}, kT4).busy_us, 4 * kSecondUs);
  const std::vector<Arrival> three = {{0, 2 * kSecondUs}, {0, 2 * kSecondUs}, {1'500'000, kSecondUs}};
  const Outcome got = replay(three, {10, 0, 2, 0.5}, kT4);
  EXPECT_EQ(got.busy_us, 4 * kSecondUs);
  EXPECT_DOUBLE_EQ(got.mean_s, (3 + 3 + 2.5) / 3);
}

// A session of 30 s waking, 2 s busy, 60 s idle.
TEST(Replay, WhatIsFreeIsNotPaid) {
  const std::vector<Arrival> one = {{0, 2 * kSecondUs}};
  const auto paid_s = [&](Tariff tariff) { return to_seconds(replay(one, {60, 30}, tariff).paid_us); };
  EXPECT_EQ(paid_s({}), 92);
  EXPECT_EQ(paid_s({.waking = Paid::kNo}), 62);
  EXPECT_EQ(paid_s({.idle = Paid::kNo}), 32);
  EXPECT_EQ(paid_s({.waking = Paid::kNo, .idle = Paid::kNo}), 2);
  EXPECT_EQ(paid_s({.increment_us = 60 * kSecondUs}), 120);
  EXPECT_EQ(paid_s({.minimum_us = 90 * kSecondUs, .idle = Paid::kNo}), 90);
  const Tariff hour{.increment_us = kHourUs, .increment = Increment::kPrepaid, .waking = Paid::kNo, .idle = Paid::kNo};
  EXPECT_EQ(paid_s(hour), 3'600);
  EXPECT_EQ(replay(one, {60, 30}, hour).awake_us, 3'630 * kSecondUs) << "the hour begins when it is ready";
}

TEST(Replay, NothingAskedIsNothingPaid) {
  for (const int slots : {1, 0, 4}) {
    for (const double slowdown : {0.0, 0.5}) {
      const Outcome none = replay({}, {600, 30, slots, slowdown}, kT4);
      EXPECT_EQ(none.paid_micros, 0);
      EXPECT_EQ(none.wakes, 0);
      EXPECT_EQ(none.p99_s, 0);
    }
  }
  EXPECT_TRUE(paid_by_day({}, {600, 30}, kT4).empty());
}

// The ends of what may be asked: nothing overflows (the sanitizers watch), and the parts still make the whole.
TEST(Replay, TheLongestAndTheDearestStayNumbers) {
  std::vector<Arrival> arrivals(1'000, {kMostUs, kMostServiceUs});
  arrivals.front().at_us = 0;
  const double infinite = std::numeric_limits<double>::infinity();
  const double none = std::numeric_limits<double>::quiet_NaN();
  for (const int slots : {1, 0, 7, std::numeric_limits<int>::max()}) {
    for (const double slowdown : {0.0, 1.0, infinite}) {
      for (const double seconds : {-1.0, none, 1e300, infinite}) {
        for (const Increment increment : {Increment::kArrears, Increment::kPrepaid}) {
          const Tariff dear{.hour_micros = std::numeric_limits<std::int64_t>::max(),
                            .increment_us = kMostUs,
                            .minimum_us = kMostUs,
                            .increment = increment,
                            .stopped_hour_micros = std::numeric_limits<std::int64_t>::max()};
          const Outcome got = replay(arrivals, {seconds, seconds, slots, slowdown}, dear);
          EXPECT_EQ(got.paid_micros, kMostMicros);
          EXPECT_EQ(got.awake_us, got.busy_us + got.waking_us + got.idle_us);
          EXPECT_GE(got.idle_us, 0);
          EXPECT_EQ(month_micros(got, 1e-3, dear), kMostMicros);
        }
      }
    }
  }
}

TEST(MonthMicros, AddsStoppedHoursAndWhatIsFixed) {
  Outcome two_months;
  two_months.awake_us = 2 * 30 * kHourUs;
  two_months.paid_micros = 2 * 54'000'000;
  const Tariff tariff{.hour_micros = 1'800'000, .stopped_hour_micros = 10'000, .fixed_month_micros = 5'000'000};
  EXPECT_EQ(month_micros(two_months, 2, tariff), 54'000'000 + 700 * 10'000 + 5'000'000);
}

}  // namespace
}  // namespace dormouse::planner
