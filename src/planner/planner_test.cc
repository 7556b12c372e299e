// Goal: the replay agrees with the checked table of the cost notes (T4 at 1.80 CNY an hour, 300 a month; 800 requests
// of 2 s a day, 25 days, wake 30 s). Method: the table's cells, within its own errors.
#include <gtest/gtest.h>

#include <cmath>

#include "planner/arrivals.h"
#include "planner/replay.h"
#include "planner/trace.h"

namespace dormouse::planner {
namespace {

constexpr int kMonths = 16;
const Tariff kT4{.hour_micros = 1'800'000, .month_micros = 300'000'000};

Traffic traffic(double hours) {
  return {.requests_per_day = 800, .service_s = 2, .active_days = 25, .active_hours = hours};
}

struct Cell {
  double hours;
  double timeout_s;
  double awake_h;  // closed form
  double bill;     // per second, Monte Carlo
  double wakes;
  double cold_percent;
  double mean_s;
  double p99_s;
};

// "random" rows of the table.
constexpr Cell kCells[] = {
    {8, 600, 203.68, 366.6, 25, 0.23, 2.12, 3.8},    {8, 300, 201.55, 362.8, 30, 0.28, 2.13, 3.8},
    {8, 60, 169.28, 304.7, 3'101, 28.4, 9.03, 32.0}, {8, 30, 139.74, 251.5, 6'029, 55.3, 15.6, 32.9},
    {8, 10, 112.29, 202.1, 8'771, 80.4, 21.8, 33.3}, {8, 0, 96.97, 174.4, 10'291, 94.5, 25.2, 33.4},
    {24, 600, 597.73, 1'076.1, 77, 0.49, 2.15, 3.5}, {24, 300, 564.01, 1'015.4, 1'204, 7.7, 4.11, 32},
    {24, 60, 308.57, 555.0, 9'699, 62.0, 18.9, 32},  {24, 0, 139.13, 250.5, 15'365, 98.2, 28.8, 32.6},
};

TEST(Replay, HasTheTablesMoneyWakesAndLatencies) {
  for (const double hours : {8.0, 24.0}) {
    const Workload months = make_arrivals(traffic(hours), Pattern::kRandom, kMonths, 1);
    for (const Cell& cell : kCells) {
      if (cell.hours != hours) continue;
      const Outcome counted = replay(months.arrivals, {cell.timeout_s, 30}, kT4);
      const Forecast got = a_month_of(counted, months.months);
      const std::string where = std::to_string(hours) + " h, " + std::to_string(cell.timeout_s) + " s";
      // Two simulations of 16 months each: their own scatter is below a quarter of a per cent.
      EXPECT_NEAR(static_cast<double>(month_micros(counted, months.months, kT4)) / 1e6, cell.bill, 0.004 * cell.bill)
          << where;
      EXPECT_NEAR(got.wakes, cell.wakes, 0.02 * cell.wakes + 3) << where;
      EXPECT_NEAR(got.cold_share * 100, cell.cold_percent, 0.02 * cell.cold_percent + 0.1) << where;
      EXPECT_NEAR(got.mean_s, cell.mean_s, 0.02 * cell.mean_s + 0.05) << where;
      EXPECT_NEAR(got.p99_s, cell.p99_s, 0.02 * cell.p99_s + 0.3) << where;
      EXPECT_NEAR(got.awake_s, got.busy_s + got.waking_s + got.idle_s, 1e-6 * got.awake_s) << where;
      EXPECT_NEAR(got.busy_s / 3'600, 11.11, 0.01) << where;
    }
  }
}

TEST(Replay, WholeMinutesCostWhatTheTableSays) {
  const Workload months = make_arrivals(traffic(8), Pattern::kRandom, kMonths, 1);
  Tariff by_minute = kT4;
  by_minute.increment_us = 60 * kSecondUs;
  struct Row {
    double timeout_s;
    double bill;
  };
  for (const Row& row : {Row{600, 367.0}, Row{60, 349.1}, Row{30, 382.5}, Row{0, 308.7}}) {
    const Outcome got = replay(months.arrivals, {row.timeout_s, 30}, by_minute);
    EXPECT_NEAR(static_cast<double>(month_micros(got, months.months, by_minute)) / 1e6, row.bill, 0.006 * row.bill)
        << row.timeout_s;
  }
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

TEST(Trace, IsReadByItsColumnNames) {
  const Result<Workload> trace = parse_trace("id,service_s,t_s\r\na,2,3\nb,1.5,7.5\nc,0,90000", {});
  ASSERT_TRUE(trace.has_value()) << trace.error().message;
  ASSERT_EQ(trace->arrivals.size(), 3U);
  EXPECT_EQ(trace->arrivals[1].at_us, 7'500'000);
  EXPECT_EQ(trace->arrivals[1].service_us, 1'500'000);
  EXPECT_EQ(days_of(*trace), 2);
  const char* const tokens = "t_s,input_tokens,output_tokens\n0,1000,60\n";
  EXPECT_FALSE(parse_trace(tokens, {}).has_value());
  EXPECT_EQ(parse_trace(tokens, {.speeds = TokenSpeeds{500, 30}})->arrivals.front().service_us, 4 * kSecondUs);
}

TEST(Trace, WhatIsNoneIsRefusedByItsLine) {
  for (const auto& [text, line] :
       {std::pair("", 1), std::pair("t_s", 1), std::pair("t_s,service_s", 1), std::pair("t_s,service_s\n1,2\nx,2", 3),
        std::pair("t_s,service_s\n1", 2), std::pair("t_s,service_s\n-1,2", 2), std::pair("t_s,service_s\nnan,2", 2),
        std::pair("t_s,service_s\n1,inf", 2), std::pair("t_s,service_s\n1,2x", 2)}) {
    const Result<Workload> trace = parse_trace(text, {});
    ASSERT_FALSE(trace.has_value()) << text;
    EXPECT_NE(trace.error().message.find("line " + std::to_string(line) + ":"), std::string::npos)
        << text << ": " << trace.error().message;
  }
}

TEST(Replay, NothingAskedIsNothingPaid) {
  const Outcome none = replay({}, {600, 30}, kT4);
  EXPECT_EQ(none.paid_micros, 0);
  EXPECT_EQ(none.wakes, 0);
}

}  // namespace
}  // namespace dormouse::planner
