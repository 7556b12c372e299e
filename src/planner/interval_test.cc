// Goal: of months whose truth is known, nine intervals in ten hold it, however few days there are; and without that
// many days there is none. Method: 200 seeded synthetic traces each, three binomial errors.
#include "planner/interval.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "planner/arrivals.h"
#include "planner/replay.h"

namespace dormouse::planner {
namespace {

constexpr int kTrials = 200;
constexpr double kDaysOfMonth = kHoursOfMonth / 24;

// A day's bill: an office's weekday 12 +- 2, a day of its weekend 3 +- 1, from a law with a tail.
std::vector<std::int64_t> days_of(int count, std::mt19937_64& random) {
  std::vector<std::int64_t> out;
  std::gamma_distribution<double> weekday(36, 12e6 / 36);
  std::gamma_distribution<double> weekend(9, 3e6 / 9);
  for (int day = 0; day < count; ++day) {
    out.push_back(std::llround(day % 7 < 5 ? weekday(random) : weekend(random)));
  }
  return out;
}

TEST(Interval, HoldsTheTruthNineTimesInTen) {
  for (const int count : {7, 28, 91}) {
    std::mt19937_64 random(static_cast<std::uint64_t>(count));
    const double truth = (5 * 12e6 + 2 * 3e6) / 7 * kDaysOfMonth;
    int held = 0;
    for (int trial = 0; trial < kTrials; ++trial) {
      const Interval got = bill_interval(days_of(count, random), 1).value();
      held += static_cast<double>(got.low_micros) <= truth && truth <= static_cast<double>(got.high_micros) ? 1 : 0;
    }
    EXPECT_NEAR(held, 0.9 * kTrials, 3 * std::sqrt(0.9 * 0.1 * kTrials)) << count << " days";
  }
}

TEST(Interval, HoldsTheTruthOfReplayedMonths) {
  const Tariff t4{.hour_micros = 1'800'000};
  const Timer timer{60, 30};
  const Traffic traffic{.requests_per_day = 60, .service_s = 2, .active_days = 28, .active_hours = 8};
  const auto days_of_seed = [&](std::uint64_t seed) {
    const Workload workload = make_arrivals(traffic, Pattern::kSessions, 1, seed);
    std::vector<std::int64_t> out = paid_by_day(workload.arrivals, timer, t4);
    for (std::int64_t& day : out) day = hours_micros(t4, day);
    return out;
  };
  double truth = 0;
  std::vector<Interval> intervals;
  for (std::uint64_t seed = 1; seed <= kTrials; ++seed) {
    const std::vector<std::int64_t> days = days_of_seed(seed);
    for (const std::int64_t day : days) {
      truth += static_cast<double>(day) / static_cast<double>(days.size()) * kDaysOfMonth / kTrials;
    }
    intervals.push_back(bill_interval(days, seed).value());
  }
  int held = 0;
  for (const Interval& got : intervals) {
    held += static_cast<double>(got.low_micros) <= truth && truth <= static_cast<double>(got.high_micros) ? 1 : 0;
  }
  EXPECT_NEAR(held, 0.9 * kTrials, 3 * std::sqrt(0.9 * 0.1 * kTrials));
}

TEST(Interval, OfFewerThanFiveDaysThereIsNone) {
  const std::vector<std::int64_t> days(5, 1'000'000);
  EXPECT_FALSE(bill_interval(std::span(days).first(4), 1).has_value());
  EXPECT_FALSE(bill_interval({}, 1).has_value());
  const Interval got = bill_interval(days, 1).value();
  EXPECT_EQ(got.days, 5U);
  EXPECT_EQ(got.low_micros, got.high_micros) << "five days alike leave no doubt";
  EXPECT_NEAR(static_cast<double>(got.low_micros), 1e6 * kDaysOfMonth, 1);
}

TEST(Interval, WeekendsAreNotDrawnForWeekdays) {
  // All weekdays alike, all weekends alike: drawn together they would scatter.
  std::vector<std::int64_t> days;
  for (int day = 0; day < 28; ++day) days.push_back(day % 7 < 5 ? 10'000'000 : 0);
  const Interval apart = bill_interval(days, 1).value();
  EXPECT_EQ(apart.low_micros, apart.high_micros);
  // From Monday to Saturday there is one day of a weekend, of which nothing is known: drawn together.
  const Interval together = bill_interval(std::span(days).first(6), 1).value();
  EXPECT_LT(together.low_micros, together.high_micros);
}

TEST(Interval, TheSameSeedHasTheSameEndsAndNoneIsBelowZero) {
  std::mt19937_64 random(3);
  const std::vector<std::int64_t> days = days_of(14, random);
  const Interval one = bill_interval(days, 5).value();
  const Interval two = bill_interval(days, 5).value();
  EXPECT_EQ(one.low_micros, two.low_micros);
  EXPECT_EQ(one.high_micros, two.high_micros);
  EXPECT_LT(one.low_micros, one.high_micros);
  EXPECT_GE(bill_interval(std::vector<std::int64_t>{0, 0, 0, 0, 100'000'000}, 1)->low_micros, 0);
}

TEST(Interval, AWeekendIsAWeekendWhateverTheFirstDayIs) {
  // Four weeks from a Thursday: workdays cost 10, weekends nothing. Each kind is all alike, so the month is certain.
  std::vector<std::int64_t> days;
  for (std::size_t i = 0; i < 28; ++i) days.push_back((3 + i) % 7 < 5 ? 10'000'000 : 0);
  const Interval right = bill_interval(days, 1, 3).value();
  EXPECT_EQ(right.low_micros, right.high_micros);
  const Interval wrong = bill_interval(days, 1, 0).value();
  EXPECT_LT(wrong.low_micros, wrong.high_micros);
}

}  // namespace
}  // namespace dormouse::planner
