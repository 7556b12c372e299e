// Goal: `dormouse plan` gives the seed's example the checked answer, in both languages and as JSON, and refuses what
// cannot be.
#include "cli/plan_text.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace dormouse::cli {
namespace {

PlanQuestion seed() {
  PlanQuestion out;
  out.traffic = {.requests_per_day = 800, .service_s = 2, .active_days = 25, .active_hours = 8};
  out.timer = {.idle_timeout_s = 600, .wake_s = 30};
  out.type = *catalog::InstanceTypes::built_in()->find("t4");
  return out;
}

TEST(Plan, TheSeedsExampleIsNotTwentyYuan) {
  const Result<Plan> plan = make_plan(seed());
  ASSERT_TRUE(plan.has_value()) << plan.error().message;
  EXPECT_EQ(plan->rows[0].micros, 20'000'000);
  EXPECT_NEAR(static_cast<double>(plan->rows[plan->asked].micros) / 1e6, 366.6, 0.1);
  EXPECT_EQ(plan->rows.back().micros, 300'000'000);
  EXPECT_NEAR(plan->break_even_hours.value(), 166.7, 0.05);
  EXPECT_NEAR(plan->hourly_wins_below_s.value(), 56.7, 0.3);
  EXPECT_NEAR(plan->hourly_wins_below_requests.value(), 83, 1.5);
  const std::string english = plan_table(*plan, Language::kEnglish);
  for (const char* part : {"¥20.00", "¥366.6", "¥300.00", "By the month", "203.7", "22.8 %", "check this price"}) {
    EXPECT_NE(english.find(part), std::string::npos) << part << "\n" << english;
  }
  const std::string chinese = plan_table(*plan, Language::kChinese);
  for (const char* part : {"粗算", "包月更省", "空等", "盈亏平衡点", "空闲 10 分钟后休眠"}) {
    EXPECT_NE(chinese.find(part), std::string::npos) << part << "\n" << chinese;
  }
}

TEST(Plan, AShortTimerMakesTheHourWin) {
  PlanQuestion question = seed();
  question.timer.idle_timeout_s = 30;
  const Plan plan = make_plan(question).value();
  EXPECT_LT(plan.rows[plan.asked].micros, 300'000'000);
  EXPECT_NE(plan_table(plan, Language::kEnglish).find("By the hour"), std::string::npos);
}

TEST(Plan, WithoutAMonthlyPriceThereIsNoBreakEven) {
  PlanQuestion question = seed();
  question.type = *catalog::InstanceTypes::built_in()->find("a10");
  const Plan plan = make_plan(question).value();
  EXPECT_FALSE(plan.break_even_hours.has_value());
  EXPECT_EQ(plan.rows.back().kind, PlanRow::Kind::kTimer);
  EXPECT_NE(plan_table(plan, Language::kEnglish).find("no monthly price"), std::string::npos);
}

TEST(Plan, WholeMinutesAreBilledWhole) {
  PlanQuestion question = seed();
  question.timer.idle_timeout_s = 60;
  question.type.increment = std::chrono::minutes(1);
  const Plan plan = make_plan(question).value();
  EXPECT_NEAR(static_cast<double>(plan.rows[plan.asked].micros) / 1e6, 349.1, 2);
}

TEST(Plan, AMeasuredTraceIsReplayedAsItWas) {
  PlanQuestion question = seed();
  // 10 days, 100 requests of 3 s each, every 5 minutes: with a timer of a minute each wakes it anew, and keeps it awake
  // for 30 + 3 + 60 s.
  for (int day = 0; day < 10; ++day) {
    for (int i = 0; i < 100; ++i) question.trace.push_back({day * 86'400.0 + i * 300.0, 3});
  }
  question.timer.idle_timeout_s = 60;
  const Plan plan = make_plan(question).value();
  const double months = 10 / (730.0 / 24);
  EXPECT_NEAR(plan.rows[plan.asked].forecast.awake_s * months, 1'000 * 93, 1);
  EXPECT_NEAR(plan.rows[0].forecast.busy_s * months, 3'000, 1);
  EXPECT_FALSE(plan.hourly_wins_below_s.has_value()) << "a formula of random arrivals says nothing of these";
  const std::string text = plan_table(plan, Language::kEnglish);
  EXPECT_NE(text.find("1,000 measured requests in 10 day(s)"), std::string::npos) << text;
}

TEST(Plan, JsonHasTheSameNumbers) {
  const Plan plan = make_plan(seed()).value();
  const boost::json::object got = boost::json::parse(plan_json(plan)).as_object();
  const boost::json::array& rows = got.at("rows").as_array();
  ASSERT_EQ(rows.size(), plan.rows.size());
  EXPECT_EQ(rows[1].at("micros").to_number<std::int64_t>(), plan.rows[1].micros);
  const double parts = rows[1].at("busy_s").to_number<double>() + rows[1].at("waking_s").to_number<double>() +
                       rows[1].at("idle_s").to_number<double>();
  EXPECT_NEAR(parts, rows[1].at("awake_s").to_number<double>(), 1);
  EXPECT_EQ(got.at("currency"), "CNY");
}

TEST(Plan, WhatCannotBeIsRefusedWithTheReason) {
  struct Case {
    double requests;
    double seconds;
    double days;
    double hours;
  };
  for (const Case& c : {Case{0, 2, 25, 8}, Case{800, 0, 25, 8}, Case{800, 2, 0, 8}, Case{800, 2, 32, 8},
                        Case{800, 2, 25, 25}, Case{800, 2, 25, -1}, Case{1e9, 2, 25, 8}, Case{20'000, 2, 25, 8}}) {
    PlanQuestion question = seed();
    question.traffic = {c.requests, c.seconds, c.days, c.hours};
    const Result<Plan> plan = make_plan(question);
    ASSERT_FALSE(plan.has_value()) << c.requests;
    EXPECT_EQ(plan.error().code, Code::kInvalidArgument);
  }
  PlanQuestion unpriced = seed();
  unpriced.type = *catalog::InstanceTypes::built_in()->find("local");
  EXPECT_FALSE(make_plan(unpriced).has_value());
}

}  // namespace
}  // namespace dormouse::cli
