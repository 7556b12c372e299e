// Goal: advice is what arithmetic says it is, and none is given where none can be. Method: traffic so regular that
// every second awake can be counted by hand; the counting stands beside each number.
#include "gateway/plan_advice.h"

#include <gtest/gtest.h>

#include <cmath>

#include "gateway/admin/plan_wire.h"
#include "gateway/admin_wire.h"
#include "gateway/tariff_of.h"

namespace dormouse::gateway {
namespace {

using std::chrono::seconds;

constexpr std::int64_t kSecondUs = 1'000'000;
constexpr std::int64_t kDayUs = 86'400 * kSecondUs;

// A T4's second: 1.80 CNY / 3,600.
constexpr double kSecondMicros = 500;

class PlanAdviceTest : public ::testing::Test {
 protected:
  PlanAdviceTest() {
    period_.deployment = "chat";
    period_.zone = TimeZone::load("Asia/Shanghai").value();
    period_.begin_us = period_.zone.first({.year = 2026, .month = 11, .day = 2}).us;  // a Monday
    period_.end_us = period_.begin_us + 30 * kDayUs;
    period_.rules.idle_timeout = seconds(600);
    period_.type = *catalog::InstanceTypes::built_in().value().find("t4");
    period_.workload.wakes = 120;
    period_.workload.wakes_us = std::vector<std::int64_t>(120, 10 * kSecondUs);
    period_.workload.most_at_once = 1;
    period_.workload.most_instances = 1;
  }
  // Requests of two seconds, so many of them so far apart, on these days from this time of day.
  void add(int first_day, int last_day, double from_hour, int count, int gap_s) {
    for (int day = first_day; day <= last_day; ++day) {
      const std::int64_t at_us = period_.begin_us + day * kDayUs + std::llround(from_hour * 3'600) * kSecondUs;
      for (int i = 0; i < count; ++i) {
        period_.workload.requests.push_back({at_us + i * gap_s * kSecondUs, 2 * kSecondUs});
      }
    }
  }
  // Ten requests 20 s apart, four times a day.
  void add_sessions() {
    for (int day = 0; day < 30; ++day) {
      for (const double hour : {9.0, 11.0, 14.0, 16.0}) add(day, day, hour, 10, 20);
    }
  }
  [[nodiscard]] PlanAdvice advice(const planner::Goal& goal = {}) const { return advise(period_, goal, {}).value(); }
  // Of so many seconds awake in the 30 days.
  [[nodiscard]] static double month_micros(double awake_s) { return awake_s * kSecondMicros * 730 / 720; }

  MeasuredPeriod period_;
};

TEST_F(PlanAdviceTest, ATimeoutAsShortAsTheSessionsAllowKeepsWhatCallersHave) {
  add_sessions();
  const PlanAdvice got = advice();
  EXPECT_EQ(got.verdict, Verdict::kChange);
  EXPECT_EQ(got.requests, 1'200);
  EXPECT_DOUBLE_EQ(got.days, 30);
  // A session: 10 s of waking, the last of ten requests ends at 182 s, then the timeout. 120 sessions.
  EXPECT_NEAR(static_cast<double>(got.now->micros), month_micros(120 * (182 + 600)), 1);
  EXPECT_NEAR(got.now->cold_share, 0.1, 1e-9) << "the first of ten";
  EXPECT_NEAR(got.now->p99_s, 12, 0.07);
  // From an end to the next arrival are 18 s: 15 would put it to sleep, 20 do not.
  EXPECT_EQ(got.idle_timeout, "20s");
  EXPECT_NEAR(static_cast<double>(got.then->micros), month_micros(120 * (182 + 20)), 1);
  EXPECT_NEAR(static_cast<double>(got.saving_micros), month_micros(120 * 580), 2);
  EXPECT_NEAR(got.then->cold_share, 0.1, 1e-9);
  ASSERT_TRUE(got.monthly.has_value());
  EXPECT_EQ(got.monthly->micros, 300'000'000);
  EXPECT_FALSE(got.max.has_value());
  EXPECT_FALSE(got.awake.has_value()) << "weekends are as busy";
  ASSERT_EQ(got.why.size(), 1U);
  EXPECT_EQ(got.why[0].reason, Reason::kWaiting);
  // Idle of 782: not waking (10), not busy (10 x 2).
  EXPECT_NEAR(got.why[0].number, 752.0 / 782, 1e-9);
}

TEST_F(PlanAdviceTest, WhatIsBestAlreadyStays) {
  add_sessions();
  period_.rules.idle_timeout = seconds(20);
  const PlanAdvice got = advice();
  EXPECT_EQ(got.verdict, Verdict::kBest);
  EXPECT_EQ(got.saving_micros, 0);
  EXPECT_EQ(change_json(got), "{}");
}

TEST_F(PlanAdviceTest, AGoalMayAskForMoreAndThenCostsMore) {
  add(0, 29, 9, 100, 100);  // 98 s from an end to the next arrival
  period_.rules.idle_timeout = seconds(60);
  EXPECT_EQ(advice().verdict, Verdict::kChange) << "all are cold anyway: sleep at once";
  EXPECT_EQ(advice().idle_timeout, "1s");
  const PlanAdvice warm = advice({.cold_share_max = 0.05, .p99_s_max = 60});
  EXPECT_EQ(warm.verdict, Verdict::kChange);
  EXPECT_EQ(warm.idle_timeout, "2m");
  EXPECT_LT(warm.saving_micros, 0);
  // 60 s: each request alone, 10 + 2 + 60. 120 s: one session of 99 gaps a day, its last request ends at 9,902 s.
  EXPECT_NEAR(static_cast<double>(warm.saving_micros), month_micros(30 * (100 * 72 - (9'902 + 120))), 2);
  ASSERT_FALSE(warm.why.empty());
  EXPECT_EQ(warm.why[0].reason, Reason::kGoal);
  EXPECT_EQ(advice({.cold_share_max = 0.001}).verdict, Verdict::kUnreachable)
      << "the first of a day is one in a hundred";
}

TEST_F(PlanAdviceTest, OfficeHoursBecomeAWindow) {
  // Every 25 minutes from 9:00 to 17:20, 21 requests a weekday: 22 of the 30 days from a Monday on.
  for (int week = 0; week < 5; ++week) add(7 * week, std::min(7 * week + 4, 29), 9, 21, 1'500);
  period_.rules.idle_timeout = seconds(1'800);
  const PlanAdvice got = advice();
  ASSERT_EQ(got.verdict, Verdict::kChange);
  ASSERT_TRUE(got.awake.has_value());
  // Twenty of a day's 21 lie in 9:00 to 17:00; a minute before it for the wake of ten seconds.
  EXPECT_EQ(*got.awake, std::vector<std::string>{"Mon-Fri 08:59-17:00 +08:00"});
  EXPECT_EQ(got.idle_timeout, "1s");
  // Now: 10 s of waking hold up only the first; the last ends at 30,002 s; half an hour more.
  EXPECT_NEAR(static_cast<double>(got.now->micros), month_micros(22 * 31'802), 1);
  // Then: the window's 8 h and a minute, and the one of 17:20 alone: 10 + 2 + 1 s.
  EXPECT_NEAR(static_cast<double>(got.then->micros), month_micros(22 * (28'860 + 13)), 1);
  EXPECT_NEAR(got.then->cold_share, 1.0 / 21, 1e-9);
  EXPECT_EQ(got.why.back().reason, Reason::kOfficeHours);
  EXPECT_NEAR(got.why.back().number, 20.0 / 21, 1e-9);
  // Lived by, it is found best.
  period_.rules.idle_timeout = seconds(1);
  period_.rules.awake = *got.awake;
  const PlanAdvice again = advice();
  EXPECT_EQ(again.verdict, Verdict::kBest);
  EXPECT_EQ(again.now->micros, got.then->micros);
}

TEST_F(PlanAdviceTest, NothingIsAdvisedWhereNothingIsKnown) {
  EXPECT_EQ(advice().verdict, Verdict::kNoRequests);
  add_sessions();
  period_.workload.most_instances = 2;
  EXPECT_EQ(advice().verdict, Verdict::kSeveralInstances);
  period_.workload.most_instances = 1;
  const std::int64_t end_us = period_.end_us;
  period_.end_us = period_.begin_us + 5 * kDayUs - 1;
  EXPECT_EQ(advice().verdict, Verdict::kTooFewDays);
  EXPECT_FALSE(advice().now.has_value());
  period_.end_us = end_us;
  period_.type.hour_micros.reset();
  const PlanAdvice unpriced = advice();
  EXPECT_EQ(unpriced.verdict, Verdict::kUnpriced);
  EXPECT_FALSE(unpriced.now.has_value()) << "no price is not a price of nothing";
  EXPECT_FALSE(unpriced.then.has_value());
}

TEST_F(PlanAdviceTest, InstancesNobodyNeededGoAndSaveTheirRent) {
  add_sessions();
  period_.rules.idle_timeout = seconds(20);
  period_.rules.max_instances = 3;
  const PlanAdvice hourly = advice();
  EXPECT_EQ(hourly.max, 1);
  EXPECT_EQ(hourly.saving_micros, 0) << "what never ran cost nothing";
  period_.workload.refused = 1;
  EXPECT_FALSE(advice().max.has_value()) << "somebody did not get in";
  period_.workload.refused = 0;
  period_.rules.billing = "monthly";
  const PlanAdvice rented = advice();
  EXPECT_EQ(rented.max, 1);
  EXPECT_EQ(rented.now->micros, 900'000'000);
  EXPECT_EQ(rented.then->micros, 300'000'000);
  EXPECT_EQ(rented.saving_micros, 600'000'000);
  EXPECT_FALSE(rented.idle_timeout.has_value()) << "rent is the same however long it sleeps";
}

TEST_F(PlanAdviceTest, HindsightHoldsTheBestPlanAgainstTheBill) {
  add_sessions();
  ledger::Bill bill;
  bill.month = "2026-11";
  bill.begin_us = period_.begin_us;
  bill.end_us = period_.end_us;
  ledger::BillLine line;
  line.deployment = "chat";
  line.currency = "CNY";
  line.total_micros = 187'200'000;
  bill.lines = {line};
  const auto look = [&] { return look_back(period_, bill, {}).value(); };
  const Hindsight got = look();
  EXPECT_EQ(got.verdict, Verdict::kChange);
  EXPECT_EQ(got.month, "2026-11");
  EXPECT_EQ(got.paid_micros, 187'200'000);
  ASSERT_TRUE(got.best.has_value());
  EXPECT_EQ(got.best->kind, Choice::Kind::kTimer);
  EXPECT_DOUBLE_EQ(got.best->idle_timeout_s, 20);
  EXPECT_EQ(got.best->micros, 120 * (182 + 20) * 500) << "the month itself, not one of 730 hours";
  period_.type.month_micros = 10'000'000;
  EXPECT_EQ(look().best->kind, Choice::Kind::kMonthly);
  EXPECT_EQ(look().best->micros, 10'000'000);
  bill.lines[0].total_micros = 9'000'000;
  EXPECT_EQ(look().verdict, Verdict::kBest);
  bill.unpriced.push_back({"chat", 0, 1});
  EXPECT_EQ(look().verdict, Verdict::kBest) << "a request that never ran has no price, and cost nothing";
  bill.unpriced[0].awake_us = 1;
  EXPECT_EQ(look().verdict, Verdict::kUnpriced);
  bill.unpriced.clear();
  bill.lines[0].currency = "USD";
  EXPECT_EQ(look().verdict, Verdict::kUnpriced);
  EXPECT_FALSE(look().paid_micros.has_value()) << "dollars are no yuan";
  bill.lines[0].currency = "CNY";
  period_.begin_us += kDayUs;  // the first day's requests are gone
  EXPECT_EQ(look().verdict, Verdict::kTooFewDays);
  EXPECT_FALSE(look().best.has_value());
}

TEST_F(PlanAdviceTest, WhoIsToldToStopSaysNothing) {
  add_sessions();
  std::stop_source stop;
  stop.request_stop();
  const Result<PlanAdvice> got = advise(period_, {}, stop.get_token());
  ASSERT_FALSE(got.has_value());
  EXPECT_EQ(got.error().code, Code::kCancelled);
}

TEST_F(PlanAdviceTest, WakesAreTheirMedianAndTheirNinetyFifth) {
  period_.workload.wakes_us.clear();
  EXPECT_DOUBLE_EQ(timer_of(period_).wake_s, 30) << "none was seen";
  for (int i = 100; i >= 1; --i) period_.workload.wakes_us.push_back(i * kSecondUs);
  EXPECT_DOUBLE_EQ(wake_of(period_.workload).median_s, 50);
  EXPECT_DOUBLE_EQ(wake_of(period_.workload).p95_s, 95);
  EXPECT_DOUBLE_EQ(timer_of(period_).wake_s, 50);
  period_.wake_s = 3;
  EXPECT_DOUBLE_EQ(timer_of(period_).wake_s, 3);
}

TEST_F(PlanAdviceTest, AWorkloadsDaysBeginAtMidnightOfItsZoneAndTheFirstIsAMonday) {
  period_.begin_us += 2 * kDayUs + 3 * 3'600 * kSecondUs;  // a Wednesday, three o'clock
  period_.workload.requests = {{period_.begin_us, 5}};
  const planner::Workload got = workload_of(period_);
  EXPECT_EQ(got.arrivals[0].at_us, 2 * kDayUs + 3 * 3'600 * kSecondUs);
  EXPECT_EQ(got.arrivals[0].service_us, 5);
}

TEST_F(PlanAdviceTest, WhatIsWrittenIsReadBack) {
  add_sessions();
  period_.rules.max_instances = 2;
  PlanAdvice advice_made = advice();
  advice_made.why[0].number = 0.5;  // exact in decimals, as the others are: the reader's last digit may differ
  EXPECT_EQ(to_json(parse_advice(to_json(advice_made)).value()), to_json(advice_made));
  EXPECT_EQ(change_json(advice_made), R"({"idle_timeout":"20s","max":1})");
  Hindsight hindsight;
  hindsight.verdict = Verdict::kChange;
  hindsight.month = "2026-11";
  hindsight.currency = "CNY";
  hindsight.paid_micros = 3;
  hindsight.best = advice_made.monthly;
  EXPECT_EQ(to_json(parse_hindsight(to_json(hindsight)).value()), to_json(hindsight));
  for (const char* damaged : {"", "[]", "{}", R"({"verdict":"perhaps"})", R"({"verdict":"best","why":[{}]})"}) {
    EXPECT_FALSE(parse_advice(damaged).has_value()) << damaged;
  }
  for (int i = 0; verdict_of(to_string(static_cast<Verdict>(i))) != Verdict::kSeveralInstances; ++i) {
    EXPECT_EQ(verdict_of(to_string(static_cast<Verdict>(i))), static_cast<Verdict>(i));
  }
}

TEST(TariffOf, ASecondIsNoIncrementAndNothingUnknownIsAPrice) {
  catalog::InstanceType type;
  EXPECT_EQ(tariff_of(type).hour_micros, 0);
  type.hour_micros = 1'800'000;
  type.month_micros = 300'000'000;
  type.increment = seconds(1);
  EXPECT_EQ(tariff_of(type).increment_us, 0);
  type.increment = seconds(60);
  type.minimum = seconds(120);
  type.increment_kind = catalog::Increment::kPrepaid;
  type.boot = catalog::Paid::kNo;
  type.spot_hour_micros = 600'000;
  type.stopped_hour_micros = 10'000;
  type.fixed_month_micros = 7;
  type.resume_failure = 0.25;
  planner::Tariff got = tariff_of(type);
  EXPECT_EQ(got.increment_us, 60 * kSecondUs);
  EXPECT_EQ(got.minimum_us, 120 * kSecondUs);
  EXPECT_EQ(got.increment, planner::Increment::kPrepaid);
  EXPECT_EQ(got.waking, planner::Paid::kNo);
  EXPECT_EQ(got.idle, planner::Paid::kYes);
  EXPECT_EQ(got.stopped_hour_micros, 10'000);
  EXPECT_EQ(got.fixed_month_micros, 7);
  EXPECT_EQ(got.month_micros, 300'000'000);
  EXPECT_DOUBLE_EQ(got.resume_failure, 0.25);
  EXPECT_FALSE(got.spot.has_value()) << "how often it is taken away is not known";
  type.interruptions_per_hour = 0.05;
  EXPECT_EQ(tariff_of(type).spot->hour_micros, 600'000);
}

}  // namespace
}  // namespace dormouse::gateway
