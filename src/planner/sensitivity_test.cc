// Goal: the notes' table of wake times comes out, with what each day's edges add; and a price list that turns the
// verdict by a slip is doubted. Method: the table within its rounding (its cells are a steady state, without edges).
#include "planner/sensitivity.h"

#include <gtest/gtest.h>

#include <array>

#include "planner/closed_form.h"

namespace dormouse::planner {
namespace {

const Tariff kT4{.hour_micros = 1'800'000, .month_micros = 300'000'000};
constexpr std::array kWakesS{0.0, 5.0, 10.0, 30.0, 60.0, 120.0};

Traffic traffic(double hours) {
  return {.requests_per_day = 800, .service_s = 2, .active_days = 25, .active_hours = hours};
}

struct Row {
  double hours;
  double timeout_s;
  std::array<double, kWakesS.size()> bills;
};

// CNY a month, steady state.
constexpr Row kTable[] = {
    {8, 0, {20.0, 61.5, 93.9, 174.5, 232.5, 281.5}},
    {8, 60, {295.8, 297.4, 299.0, 304.5, 311.2, 320.6}},
    {24, 0, {20.0, 66.9, 109.8, 250.4, 398.6, 577.9}},
    {24, 60, {471.8, 487.6, 502.5, 555.4, 618.8, 708.6}},
};

TEST(Sensitivity, ToTheWakeTimeIsTheNotesTable) {
  for (const Row& row : kTable) {
    const Sensitivity got = sensitivity_of(traffic(row.hours), {row.timeout_s, 30}, kT4);
    ASSERT_EQ(got.wake_s.size(), kWakesS.size());
    for (std::size_t i = 0; i < kWakesS.size(); ++i) {
      const Timer timer{row.timeout_s, kWakesS[i]};
      const double share = steady_state(traffic(row.hours), timer)->awake_share;
      EXPECT_NEAR(share * 25 * row.hours * 1.8, row.bills[i], 0.051) << row.hours << ' ' << row.timeout_s;
      // Each evening at most wake, service and timeout more; each morning is asleep for at most a gap longer.
      EXPECT_EQ(got.wake_s[i].value, kWakesS[i]);
      const double edges = static_cast<double>(got.wake_s[i].micros.value()) / 1e6 - share * 25 * row.hours * 1.8;
      EXPECT_LT(edges, 25 * (kWakesS[i] + 2 + row.timeout_s) * 0.000'5);
      EXPECT_GT(edges, -25 * 36 * 0.000'5);
      EXPECT_EQ(got.wake_s[i].cheaper, got.wake_s[i].micros < 300'000'000 ? Cheaper::kByTheHour : Cheaper::kByTheMonth);
    }
  }
}

TEST(Sensitivity, ToPriceAndVolumeIsTheFormulaWithThemChanged) {
  const Sensitivity got = sensitivity_of(traffic(8), {60, 30}, kT4);
  const double bill = static_cast<double>(got.wake_s[3].micros.value());  // 30 s: as asked
  for (const Case& price : got.hour_price) {
    EXPECT_NEAR(static_cast<double>(price.micros.value()), bill * price.value, 2);
  }
  EXPECT_EQ(got.hour_price.front().cheaper, Cheaper::kByTheHour);
  EXPECT_EQ(got.hour_price.back().cheaper, Cheaper::kByTheMonth);
  // 762 requests a day are the notes' break-even.
  EXPECT_EQ(got.volume[0].cheaper, Cheaper::kByTheHour);
  EXPECT_EQ(got.volume[1].cheaper, Cheaper::kByTheMonth);
  // x 5 costs less than five times as much: the instance is awake anyway.
  EXPECT_LT(got.volume[3].micros.value(), 2 * got.volume[1].micros.value());
  EXPECT_GT(got.volume[3].micros.value(), got.volume[1].micros.value());
}

TEST(Sensitivity, WhatHasNoFormulaHasNoMoney) {
  Traffic busy = traffic(8);
  busy.requests_per_day = 5'000;  // a load of 0.35: five times as much is an overload
  const Sensitivity got = sensitivity_of(busy, {60, 30}, kT4);
  EXPECT_TRUE(got.volume[1].micros.has_value());
  EXPECT_FALSE(got.volume[3].micros.has_value());
  EXPECT_FALSE(got.volume[3].cheaper.has_value());
  Tariff hourly = kT4;
  hourly.month_micros.reset();
  EXPECT_FALSE(sensitivity_of(traffic(8), {60, 30}, hourly).volume[1].cheaper.has_value());
}

TEST(PriceDoubts, AreTheArticlesListAndSlipsOfTheHand) {
  using enum PriceDoubt;
  // 300 of 1,314: the popular article's. Half, as OVH has it, is none.
  EXPECT_EQ(price_doubts(kT4), std::vector{kMonthTooLow});
  Tariff tariff = kT4;
  tariff.month_micros = 657'000'000;
  EXPECT_TRUE(price_doubts(tariff).empty());
  tariff.month_micros = 1'314'000'001;
  EXPECT_EQ(price_doubts(tariff), std::vector{kMonthTooHigh});
  tariff.month_micros.reset();
  tariff.spot = Spot{.hour_micros = 1'900'000};
  EXPECT_EQ(price_doubts(tariff), std::vector{kSpotTooHigh});
  EXPECT_EQ(price_doubts({.hour_micros = 0, .month_micros = 300'000'000}), std::vector{kHourAbsurd});
  EXPECT_EQ(price_doubts({.hour_micros = 1'800'000'000'000}), std::vector{kHourAbsurd}) << "micro-units twice";
}

}  // namespace
}  // namespace dormouse::planner
