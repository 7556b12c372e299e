// Goal: the office's hours awake are the cost notes', what is computed hour by hour and instant by instant is what a
// replay of seeded arrivals has, and a profile that is none is refused by its line. Method: the notes' numbers within
// their rounding; replays within the limits that the header promises, and three standard errors of their own.
#include "planner/profile.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <string>
#include <utility>

#include "planner/replay.h"

namespace dormouse::planner {
namespace {

const Tariff kT4{.hour_micros = 1'800'000, .month_micros = 300'000'000};
constexpr double kDaysOfMonth = kHoursOfMonth / 24;
constexpr double kWorkdaysOfMonth = kDaysOfMonth * 5 / 7;

ProfileTraffic office(double per_day = 800) {
  return {.profile = office_profile(), .requests_per_day = per_day, .service_s = 2};
}

TEST(Profile, OfficeHoursAwakeAreTheNotes) {
  for (const auto& [timeout_s, hours] : {std::pair(600.0, 13.93), std::pair(300.0, 12.79), std::pair(60.0, 8.56),
                                         std::pair(30.0, 6.77), std::pair(0.0, 4.43)}) {
    const Expected got = expected_month(office(), {timeout_s, 30}).value();
    EXPECT_NEAR(got.awake_s / 3'600 / kWorkdaysOfMonth, hours, 0.005) << timeout_s;
    EXPECT_NEAR(got.busy_s, 800 * 2 * kWorkdaysOfMonth, 1e-6);
  }
}

TEST(Profile, HourByHourIsTheReplayWhileTheTimeoutIsShort) {
  constexpr int kMonths = 48;
  const Workload arrivals = make_arrivals(office(), kMonths, 1);
  EXPECT_NEAR(static_cast<double>(arrivals.arrivals.size()), 800 * kWorkdaysOfMonth * kMonths,
              // Its last month ends within a week: a workday more or less. And three sigma of a count.
              800 + 3 * std::sqrt(800 * kWorkdaysOfMonth * kMonths));
  for (const double timeout_s : {0.0, 30.0, 60.0, 300.0, 600.0}) {
    const Forecast counted = a_month_of(replay(arrivals.arrivals, {timeout_s, 30}, kT4), kMonths);
    const Expected got = expected_month(office(), {timeout_s, 30}).value();
    // Of 48 months: 0.1 % of scatter in the hours awake beside the promised 0.5 %.
    EXPECT_NEAR(got.awake_s, counted.awake_s, 0.006 * counted.awake_s) << timeout_s;
    EXPECT_NEAR(got.wakes, counted.wakes, 0.01 * counted.wakes + 25) << timeout_s;
    EXPECT_NEAR(got.cold_share, counted.cold_share, 0.002) << timeout_s;
    EXPECT_NEAR(got.mean_s, counted.mean_s, 0.01 * counted.mean_s + 0.02) << timeout_s;
  }
}

TEST(Profile, InstantsAreTheFormulaWhereEveryHourIsAlike) {
  const ProfileTraffic always{.profile = always_profile(), .requests_per_day = 800, .service_s = 2};
  for (const double wake_s : {0.0, 30.03}) {
    for (const double timeout_s : {0.0, 60.0, 600.0}) {
      const Timer timer{timeout_s, wake_s, 0};
      const Expected got = expected_month_by_instants(always, timer).value();
      const Expected formula = expected_month(always, timer).value();
      const std::string where = std::to_string(timeout_s) + " s, wake " + std::to_string(wake_s);
      EXPECT_NEAR(got.awake_s, formula.awake_s, 0.000'5 * formula.awake_s) << where;
      EXPECT_NEAR(got.busy_s, formula.busy_s, 0.000'5 * formula.busy_s) << where;
      EXPECT_NEAR(got.wakes, formula.wakes, 0.000'5 * formula.wakes) << where;
      EXPECT_NEAR(got.cold_share, formula.cold_share, 0.000'5 * formula.cold_share) << where;
      EXPECT_NEAR(got.mean_s, formula.mean_s, 0.000'5 * formula.mean_s) << where;
    }
  }
}

TEST(Profile, InstantsHoldForLongTimeoutsAndSharpEdgesWhereHoursDoNot) {
  // Two busy hours in the week, 100 requests in each: hour by hour their evenings are forgotten.
  ProfileTraffic sharp{.profile = {}, .requests_per_day = 100, .service_s = 2};
  sharp.profile.weight[9] = sharp.profile.weight[24 + 15] = 1;
  constexpr int kMonths = 168;  // 730 whole weeks
  const Workload arrivals = make_arrivals(sharp, kMonths, 3);
  const Timer timer{2'400, 30, 0};
  const double counted = a_month_of(replay(arrivals.arrivals, timer, kT4), kMonths).awake_s;
  const double instants = expected_month_by_instants(sharp, timer)->awake_s;
  // 1,460 busy hours whose length scatters by about a gap, 36 s of 6,000: 0.05 % at three sigma.
  EXPECT_NEAR(instants, counted, 0.000'5 * counted);
  const Traffic windows{.requests_per_day = 100, .service_s = 2, .active_days = 2 * 730 / 168.0, .active_hours = 1};
  EXPECT_NEAR(instants, expected_month(windows, timer)->awake_s, 1e-5 * counted) << "of one-hour windows";
  EXPECT_LT(expected_month(sharp, timer)->awake_s, 0.7 * counted) << "or the recursion would not be needed";

  const Workload office_months = make_arrivals(office(), 48, 5);
  for (const double timeout_s : {60.0, 1'800.0}) {
    const Timer of_office{timeout_s, 30, 0};
    const double counted_s = a_month_of(replay(office_months.arrivals, of_office, kT4), 48).awake_s;
    EXPECT_NEAR(expected_month_by_instants(office(), of_office)->awake_s, counted_s, 0.003 * counted_s) << timeout_s;
  }
}

TEST(Profile, WhatHasNoFormulaHasNone) {
  EXPECT_FALSE(expected_month(office(20'000), {60, 30}).has_value()) << "a full hour's load is above one";
  EXPECT_TRUE(expected_month(office(20'000), {60, 30, 0}).has_value());
  EXPECT_FALSE(expected_month(office(), {60, 30, 4}).has_value());
  EXPECT_FALSE(expected_month_by_instants(office(), {60, 30, 1}).has_value());
  EXPECT_FALSE(expected_month_by_instants(office(), {1e9, 30, 0}).has_value());
  EXPECT_FALSE(expected_month_by_instants(office(), {NAN, 30, 0}).has_value());
  ProfileTraffic quick = office();
  quick.service_s = 0.001;
  EXPECT_FALSE(expected_month_by_instants(quick, {0, 30, 0}).has_value()) << "a grid too fine";
}

TEST(Profile, TheSameSeedHasTheSameArrivalsInOrderAndInItsHours) {
  const Workload one = make_arrivals(office(), 2, 7);
  const Workload two = make_arrivals(office(), 2, 7);
  ASSERT_EQ(one.arrivals.size(), two.arrivals.size());
  std::int64_t last_us = 0;
  for (std::size_t i = 0; i < one.arrivals.size(); ++i) {
    EXPECT_EQ(one.arrivals[i].at_us, two.arrivals[i].at_us);
    EXPECT_GE(one.arrivals[i].at_us, last_us);
    last_us = one.arrivals[i].at_us;
    EXPECT_GT(rate_in(office(), static_cast<std::size_t>(last_us / kHourUs) % kHoursOfWeek), 0);
  }
  EXPECT_NE(make_arrivals(office(), 2, 8).arrivals.front().at_us, one.arrivals.front().at_us);
}

TEST(Profile, IsReadByDayOrByWeek) {
  const Result<Profile> day = parse_profile("\xEF\xBB\xBFhour,requests\r\n9, 5\r\n\r\n23,2.5");
  ASSERT_TRUE(day.has_value()) << day.error().message;
  EXPECT_DOUBLE_EQ(day->weight[9], 5);
  EXPECT_DOUBLE_EQ(day->weight[6 * 24 + 23], 2.5);
  EXPECT_DOUBLE_EQ(std::accumulate(day->weight.begin(), day->weight.end(), 0.0), 7 * 7.5);
  const Result<Profile> week = parse_profile("weekday,hour,requests\nTue,0,1\nsun,23,2\n0,8,3\n");
  ASSERT_TRUE(week.has_value()) << week.error().message;
  EXPECT_DOUBLE_EQ(week->weight[24], 1);
  EXPECT_DOUBLE_EQ(week->weight[167], 2);
  EXPECT_DOUBLE_EQ(week->weight[8], 3);
  EXPECT_DOUBLE_EQ(std::accumulate(week->weight.begin(), week->weight.end(), 0.0), 6);
  // 6 requests of three days: 2 a day that has any.
  EXPECT_DOUBLE_EQ(rate_in({*week, 2, 1}, 8) * 3'600, 3);
}

TEST(Profile, WhatIsNoneIsRefusedByItsLine) {
  const std::string hour = "hour,requests\n";
  const std::string week = "weekday,hour,requests\n";
  for (const auto& [text, says] : {std::pair<std::string, std::string>("", "line 1: want hour,requests"),
                                   {"hour;requests\n", "line 1: want"},
                                   {hour, "line 1: no hour has any"},
                                   {hour + "3,0\n", "line 1: no hour has any"},
                                   {hour + "1,2\n24,1\n", "line 3: hour '24'"},
                                   {hour + "-1,1\n", "line 2: hour '-1'"},
                                   {hour + "9.5,1\n", "line 2: hour '9.5'"},
                                   {hour + "9\n", "line 2: want hour,requests, as line 1 says"},
                                   {hour + "9,-1\n", "line 2: requests '-1'"},
                                   {hour + "9,nan\n", "line 2: requests 'nan'"},
                                   {hour + "9,inf\n", "line 2: requests 'inf'"},
                                   {hour + "9,1e13\n", "line 2: requests '1e13'"},
                                   {hour + "9,1,4\n", "line 2: want hour,requests, as"},
                                   {hour + "9,1,4,5\n", "line 2: '5' is a field too many"},
                                   {hour + "9,\n", "line 2: requests ''"},
                                   {hour + "\"9\n", "line 2: a quote that does not end"},
                                   {hour + "9,1\n\n9,2\n", "line 4: this hour has its requests in line 2"},
                                   {week + "Mo,1,1\n", "line 2: weekday 'Mo'"},
                                   {week + "7,1,1\n", "line 2: weekday '7'"},
                                   {week + "Mon,1,1\n0,1,1\n", "line 3: this hour has"},
                                   {week + "Mon,1\n", "line 2: want weekday,hour,requests, as"}}) {
    const Result<Profile> got = parse_profile(text);
    ASSERT_FALSE(got.has_value()) << text;
    EXPECT_EQ(got.error().code, Code::kInvalidArgument);
    EXPECT_NE(got.error().message.find(says), std::string::npos) << text << ": " << got.error().message;
  }
}

TEST(Profile, TrafficIsCheckedByField) {
  EXPECT_TRUE(check(office()).has_value());
  const auto message_of = [](const ProfileTraffic& traffic) {
    const Status got = check(traffic);
    return got.has_value() ? "" : got.error().message;
  };
  EXPECT_NE(message_of(office(0)).find("requests a day"), std::string::npos);
  EXPECT_NE(message_of(office(NAN)).find("requests a day"), std::string::npos);
  EXPECT_NE(message_of(office(1e6)).find("10,000,000 a month"), std::string::npos);
  ProfileTraffic wrong = office();
  wrong.service_s = NAN;
  EXPECT_NE(message_of(wrong).find("seconds a request"), std::string::npos);
  wrong = office();
  wrong.profile.weight.fill(0);
  EXPECT_NE(message_of(wrong).find("profile"), std::string::npos);
  wrong.profile.weight[3] = INFINITY;
  EXPECT_NE(message_of(wrong).find("profile"), std::string::npos);
}

}  // namespace
}  // namespace dormouse::planner
