// Goal: the seed's example has the checked answer, and what cannot be asked is refused by name.
#include "planner/plan.h"

#include <gtest/gtest.h>

namespace dormouse::planner {
namespace {

Question seed() {
  Question out;
  out.traffic = Traffic{.requests_per_day = 800, .service_s = 2, .active_days = 25, .active_hours = 8};
  out.tariff = {.hour_micros = 1'800'000, .month_micros = 300'000'000};
  return out;
}

TEST(Plan, TheSeedsExampleIsNotTwentyYuan) {
  const Result<Plan> plan = make_plan(seed());
  ASSERT_TRUE(plan.has_value()) << plan.error().message;
  EXPECT_EQ(plan->rows[0].micros, 20'000'000);
  EXPECT_NEAR(static_cast<double>(plan->rows[plan->asked].micros) / 1e6, 366.6, 0.1);
  EXPECT_EQ(plan->rows.back().micros, 300'000'000);
}

}  // namespace
}  // namespace dormouse::planner
