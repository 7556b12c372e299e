// Goal: what stands behind a plan agrees with the plan and with its parts; the article's spike has its numbers.
#include "planner/details.h"

#include <gtest/gtest.h>

#include "planner/arrivals.h"

namespace dormouse::planner {
namespace {

Plan plan_of(double requests, double hours, int slots = 1) {
  Question question;
  question.traffic = Traffic{.requests_per_day = requests, .service_s = 2, .active_days = 25, .active_hours = hours};
  question.tariff = {.hour_micros = 1'800'000, .month_micros = 300'000'000};
  question.timer.slots = slots;
  return make_plan(std::move(question)).value();
}

TEST(Details, TheAskedTimeoutIsAmongThoseTriedAndTheBestIsNotDearer) {
  const Plan plan = plan_of(800, 8);
  const Details details = make_details(plan, {}).value();
  ASSERT_TRUE(details.search.best.has_value());
  const TimeoutRow& best = details.search.rows[*details.search.best];
  EXPECT_EQ(best.timeout_s, 0) << "of random arrivals the ends are best";
  EXPECT_NEAR(static_cast<double>(best.micros) / 1e6, 174.4, 0.5);
  EXPECT_LE(best.micros, plan.rows[plan.asked].micros);
  EXPECT_FALSE(details.interval.has_value()) << "assumptions have no measured days";
  EXPECT_TRUE(details.sensitivity.has_value());
  EXPECT_FALSE(details.reservation.has_value()) << "one instance is busy 6 % of its day";
}

TEST(Details, AGoalOfFewColdRequestsCostsTheAlwaysOnPrice) {
  Wishes wishes;
  wishes.goal.cold_share_max = 0.01;
  const Details details = make_details(plan_of(800, 8), wishes).value();
  ASSERT_TRUE(details.search.best.has_value());
  const TimeoutRow& best = details.search.rows[*details.search.best];
  EXPECT_LE(best.forecast.cold_share, 0.01);
  EXPECT_GT(best.micros, 340'000'000) << "cost notes: at 1 % the instance is awake over 99 % of the window";
}

// 5,000 requests of 2 s are 34.7 % of one instance's eight hours, and 2.8 times what one hour of it can do.
TEST(Details, TheArticlesSpikeIsQuietInEightHoursAndNotInOne) {
  Wishes wishes;
  wishes.spike = Spike{.requests = 5'000, .hours = 8};
  const Details quiet = make_details(plan_of(800, 8), wishes).value();
  EXPECT_NEAR(quiet.sizing.load, 0.347, 0.001);
  ASSERT_GE(quiet.sizing.rows.size(), 1U);
  EXPECT_LT(quiet.sizing.rows[0].run.latency.p99_s, 10) << "M/D/1 at a third of its load waits little";
  EXPECT_EQ(quiet.sizing.rows[0].run.refused, 0);
  // Awake through the eight hours and ten minutes more: 8.2 h at 1.80.
  EXPECT_NEAR(static_cast<double>(quiet.sizing.rows[0].micros) / 1e6, 14.7, 0.1);
  wishes.spike = Spike{.requests = 5'000, .hours = 1};
  const Details loud = make_details(plan_of(800, 8), wishes).value();
  EXPECT_NEAR(loud.sizing.load, 2.78, 0.01);
  ASSERT_GE(loud.sizing.rows.size(), 3U);
  EXPECT_GT(loud.sizing.rows[0].run.refused, 1'000) << "whoever waits ten minutes has gone";
  EXPECT_LT(loud.sizing.rows[2].run.refused, loud.sizing.rows[0].run.refused / 4);
  EXPECT_GT(loud.sizing.rows[2].micros, loud.sizing.rows[0].micros);
}

TEST(Details, WhatFitsHasSpeedsThatSayWhereTheyComeFrom) {
  Wishes wishes;
  wishes.model = ModelWish{};
  wishes.model->shape = find_model("qwen3-4b").value();
  wishes.model->card = {16LL << 30U, 320e9, 65e12};
  wishes.model->wanted = {.sequences = 8, .context = 4'096};
  wishes.model->speeds = listed(30).value();
  Plan plan = plan_of(800, 8);
  plan.question.workload.output_tokens = static_cast<std::int64_t>(plan.question.workload.arrivals.size()) * 60;
  const Details details = make_details(plan, wishes).value();
  ASSERT_EQ(details.quants.size(), kQuants.size());
  for (const QuantRow& row : details.quants) {
    const bool is_asked = row.fit.quant == Quant::kQ4_K_M;
    EXPECT_EQ(row.prices.real.has_value(), is_asked);
    if (!is_asked) continue;
    EXPECT_EQ(row.speeds->basis, SpeedBasis::kListed);
    // 1.2 million tokens a month for 366.63.
    EXPECT_NEAR(static_cast<double>(*row.prices.real) / 1e6, 366.63 / 1.2, 0.5);
    EXPECT_NEAR(static_cast<double>(*row.prices.busy) / 1e6, 20 / 1.2, 0.1);
  }
}

TEST(Details, MeasuredDaysHaveAnIntervalAroundTheirBill) {
  Question question;
  question.tariff = {.hour_micros = 1'800'000};
  question.workload = make_arrivals({800, 2, 25, 8}, Pattern::kSessions, 1, 7);
  question.workload.months = 25 * 24 / kHoursOfMonth;
  const Plan plan = make_plan(question).value();
  const Details details = make_details(plan, {}).value();
  ASSERT_TRUE(details.interval.has_value());
  EXPECT_LT(details.interval->low_micros, plan.rows[plan.asked].micros);
  EXPECT_GT(details.interval->high_micros, plan.rows[plan.asked].micros);
}

TEST(Details, WhatCannotBeIsRefusedByItsName) {
  const Plan plan = plan_of(800, 8);
  const auto message = [&plan](Wishes wishes) {
    const Result<Details> details = make_details(plan, wishes);
    return details.has_value() ? std::string("accepted") : details.error().message;
  };
  Wishes none;
  none.most_instances = 0;
  EXPECT_NE(message(none).find("instances"), std::string::npos);
  Wishes long_day;
  long_day.spike = Spike{.requests = 5'000, .hours = 25};
  EXPECT_NE(message(long_day).find("spike"), std::string::npos);
  Wishes big_day;
  big_day.spike = Spike{.requests = 1e9, .hours = 8};
  EXPECT_NE(message(big_day).find("spike"), std::string::npos);
  Wishes late;
  late.deferred = DeferredRules{.share = 2};
  EXPECT_NE(message(late).find("share"), std::string::npos);
}

}  // namespace
}  // namespace dormouse::planner
