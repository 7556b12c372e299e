// Goal: each rule does what its header says, to the second where a tick decides. Method: small loads reckoned by hand,
// one slot an instance, so that 0.7 at once is an instance's worth.
#include "planner/autoscalers.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "planner/arrivals.h"

namespace dormouse::planner {
namespace {

const Tariff kT4{.hour_micros = 1'800'000};
constexpr double kOneDay = 24 / kHoursOfMonth;

Workload at_once(int count, std::int64_t service_us) {
  return {.arrivals = std::vector<Arrival>(static_cast<std::size_t>(count), {0, service_us}), .months = kOneDay};
}

Workload evenly(int count, std::int64_t every_us, std::int64_t service_us) {
  Workload out{.arrivals = {}, .months = kOneDay};
  for (int i = 0; i < count; ++i) out.arrivals.push_back({i * every_us, service_us});
  return out;
}

double hours(std::int64_t us) {
  return static_cast<double>(us) / kHourUs;
}

// Awake from 0; ready at 30 s, done at 32; the minute is empty at the tick of 92 s, the grace over at that of 122.
TEST(Autoscalers, KnativeGoesToZeroAfterAMinuteAndItsGrace) {
  const ScalerRules rules{.scaler = Scaler::kKnative, .slots = 2};
  const FleetRun got = run_scaler(at_once(1, 2 * kSecondUs), rules, kT4).value();
  EXPECT_EQ(got.up_us, 122 * kSecondUs);
  EXPECT_EQ(got.waking_us, 30 * kSecondUs);
  EXPECT_EQ(got.busy_us, 2 * kSecondUs);
  EXPECT_EQ(got.cold, 1);
  EXPECT_DOUBLE_EQ(got.waited.p99_s, 30);
  EXPECT_EQ(got.paid_micros, 122 * 500);
  // With one slot 1 / 0.7 asks for two, twice what there is: panic until a minute after the tick of 32 s, so that 94
  // and 124 take the places of 92 and 122.
  EXPECT_EQ(run_scaler(at_once(1, 2 * kSecondUs), {.scaler = Scaler::kKnative}, kT4)->up_us, 124 * kSecondUs);
}

// Twenty at once, waiting for the first instance: the six seconds before the tick of 6 s hold nothing else, and
// 20 / 0.7 is 28.6. The minute's average never asks for so many.
TEST(Autoscalers, KnativePanics) {
  const ScalerRules rules{.scaler = Scaler::kKnative, .max_instances = 50};
  const FleetRun got = run_scaler(at_once(20, 2 * kSecondUs), rules, kT4).value();
  EXPECT_EQ(got.most_instances, 29);
  EXPECT_EQ(got.served, 20);
  // The first has ended one when the second is there, two seconds later, and most of the others two after that.
  EXPECT_LT(got.waited.p99_s, 35);
  ScalerRules bound = rules;
  bound.max_instances = 5;
  EXPECT_EQ(run_scaler(at_once(20, 2 * kSecondUs), bound, kT4)->most_instances, 5);
}

// Seven at once ask for ten instances: five at the first tick, as 4 more than one is the most, ten at the second.
TEST(Autoscalers, HpaFollowsTheRatioAndHoldsForFiveMinutes) {
  const ScalerRules rules{.scaler = Scaler::kHpa, .max_instances = 50};
  const FleetRun got = run_scaler(at_once(7, kHourUs), rules, kT4).value();
  EXPECT_EQ(got.most_instances, 10);
  ASSERT_EQ(got.level_us.size(), 10U);
  EXPECT_NEAR(hours(got.level_us[0]), 24, 1e-9) << "one is always up";
  const auto ten_s = static_cast<double>(got.level_us[9]) / kSecondUs;
  EXPECT_GE(ten_s, 3'600 + 300 - 30);
  EXPECT_LE(ten_s, 3'600 + 300 + 75) << "at the latest two ticks after the last ended";
}

// One a second of 2 s each, where an instance takes 0.35 a second: three are wanted, from the first minute on.
TEST(Autoscalers, SkyServeWaitsFiveMinutesToGrowAndTwentyToShrink) {
  const ScalerRules rules{.scaler = Scaler::kSkyServe, .max_instances = 50, .wake_us = 0};
  const FleetRun got = run_scaler(evenly(3'600, kSecondUs, 2 * kSecondUs), rules, kT4).value();
  EXPECT_EQ(got.most_instances, 3);
  ASSERT_EQ(got.level_us.size(), 3U);
  const auto alone_s = static_cast<double>(got.level_us[0] - got.level_us[1]) / kSecondUs;
  EXPECT_GE(alone_s, 300);
  EXPECT_LE(alone_s, 300 + 60) << "some wishes of the first minute are for one";
  // Ever fewer of the last minute's requests ask for three, two, one, none: sixty ticks of fewer, all at once.
  EXPECT_NEAR(hours(got.level_us[0]), hours(3'600 * kSecondUs + 1'200 * kSecondUs), 80.0 / 3'600);
  EXPECT_GT(got.waited.p99_s, 100) << "five minutes of half of what comes";
}

TEST(Autoscalers, AllAreServedUnderEachRule) {
  const Traffic traffic{.requests_per_day = 2'000, .service_s = 4, .active_days = 2, .active_hours = 8};
  const Workload workload = make_arrivals(traffic, Pattern::kSessions, 1, 5);
  for (const Scaler scaler : {Scaler::kKnative, Scaler::kHpa, Scaler::kSkyServe}) {
    const ScalerRules rules{.scaler = scaler, .max_instances = 8, .slots = 4};
    const FleetRun got = run_scaler(workload, rules, kT4, Slo{.seconds = 20}).value();
    EXPECT_EQ(got.served, static_cast<std::int64_t>(workload.arrivals.size()));
    EXPECT_EQ(got.up_us, got.busy_us + got.waking_us + got.idle_us);
    EXPECT_GE(got.idle_us, 0);
    EXPECT_LE(got.most_instances, 8);
    EXPECT_GT(got.kept_share, 0.5);
    EXPECT_EQ(got.cold == 0, scaler == Scaler::kHpa) << "which has one up at midnight";
    EXPECT_EQ(got.kept_share == 1, got.cold == 0);
  }
}

TEST(Autoscalers, NonsenseIsRefusedByItsName) {
  const Workload good = at_once(1, kSecondUs);
  const auto error = [&good](const ScalerRules& rules) { return run_scaler(good, rules, kT4).error().message; };
  EXPECT_NE(error({.max_instances = 0}).find("max_instances"), std::string::npos);
  EXPECT_NE(error({.min_instances = 2}).find("min_instances"), std::string::npos);
  EXPECT_NE(error({.slots = 0}).find("slots"), std::string::npos);
  EXPECT_NE(error({.wake_us = -1}).find("wake"), std::string::npos);
  EXPECT_FALSE(run_scaler({}, {}, kT4).has_value());
  EXPECT_FALSE(run_scaler({.arrivals = {{5, 1}, {0, 1}}}, {}, kT4).has_value());
}

}  // namespace
}  // namespace dormouse::planner
