// Goal: the formulas are the checked table of the cost notes (800 requests of 2 s a day, 25 days, wake 30 s, 1.80 CNY
// an hour against 300 a month), and the replay of seeded arrivals where the table is silent. Method: the table's cells
// within their rounding; replays within three standard errors, estimated from their own days.
#include "planner/closed_form.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "planner/arrivals.h"
#include "planner/replay.h"

namespace dormouse::planner {
namespace {

const Tariff kT4{.hour_micros = 1'800'000, .month_micros = 300'000'000};
constexpr double kEvenS = 300 / 1.8 * 3'600;  // awake for the price of a month

Traffic traffic(double hours, double requests_per_day = 800) {
  return {.requests_per_day = requests_per_day, .service_s = 2, .active_days = 25, .active_hours = hours};
}

struct Cell {
  double hours;
  double timeout_s;
  double awake_h;  // closed form
  double wakes;    // Monte Carlo, as what follows
  double cold_percent;
  double mean_s;
};

// "random" rows of the table.
constexpr Cell kCells[] = {
    {8, 600, 203.68, 25, 0.23, 2.12},     {8, 300, 201.55, 30, 0.28, 2.13},     {8, 60, 169.28, 3'101, 28.4, 9.03},
    {8, 30, 139.74, 6'029, 55.3, 15.6},   {8, 10, 112.29, 8'771, 80.4, 21.8},   {8, 0, 96.97, 10'291, 94.5, 25.2},
    {24, 600, 597.73, 77, 0.49, 2.15},    {24, 300, 564.01, 1'204, 7.7, 4.11},  {24, 60, 308.57, 9'699, 62.0, 18.9},
    {24, 30, 231.48, 12'276, 78.4, 23.4}, {24, 10, 171.65, 14'274, 91.2, 26.9}, {24, 0, 139.13, 15'365, 98.2, 28.8},
};

TEST(ClosedForm, HasTheTablesCells) {
  for (const Cell& cell : kCells) {
    const std::string where = std::to_string(cell.hours) + " h, " + std::to_string(cell.timeout_s) + " s";
    const Expected got = expected_month(traffic(cell.hours), {cell.timeout_s, 30}).value();
    // The table's edges leave the wake out, which adds up to 0.05 h in 200.
    EXPECT_NEAR(got.awake_s / 3'600, cell.awake_h, 0.000'6 * cell.awake_h) << where;
    // Monte Carlo of 16 months: a few wakes in 30 are its scatter, 0.3 % in thousands.
    EXPECT_NEAR(got.wakes, cell.wakes, 0.003 * cell.wakes + 2) << where;
    EXPECT_NEAR(got.cold_share * 100, cell.cold_percent, 0.005 * cell.cold_percent + 0.02) << where;
    EXPECT_NEAR(got.mean_s, cell.mean_s, 0.006 * cell.mean_s) << where;
    EXPECT_NEAR(got.awake_s, got.busy_s + got.waking_s + got.idle_s, 1e-9 * got.awake_s) << where;
  }
}

TEST(ClosedForm, SplitsTheHoursAsTheTable) {
  struct Split {
    double hours;
    double timeout_s;
    double waking_h;
    double idle_h;
  };
  for (const Split& row : {Split{8, 60, 25.7, 132.4}, Split{8, 0, 85.9, 0}, Split{24, 600, 0.6, 586.0},
                           Split{24, 60, 81.0, 216.5}, Split{24, 0, 128.0, 0}}) {
    const Expected got = expected_month(traffic(row.hours), {row.timeout_s, 30}).value();
    EXPECT_NEAR(got.busy_s / 3'600, 11.11, 0.005);
    EXPECT_NEAR(got.waking_s / 3'600, row.waking_h, 0.25) << row.hours << ' ' << row.timeout_s;
    EXPECT_NEAR(got.idle_s / 3'600, row.idle_h, 0.25) << row.hours << ' ' << row.timeout_s;
  }
}

// Sums of the days of a replay, and what they scatter.
struct Measured {
  double mean = 0;
  double error = 0;
};

Measured a_day(const std::vector<double>& days) {
  Measured out;
  for (const double day : days) out.mean += day / static_cast<double>(days.size());
  double squares = 0;
  for (const double day : days) squares += (day - out.mean) * (day - out.mean);
  out.error = std::sqrt(squares) / static_cast<double>(days.size());
  return out;
}

enum class Service { kAlike, kExponential };

// Arrivals are a Poisson process: a random number a day, not the same on each.
std::vector<std::vector<Arrival>> random_days(const Traffic& asked, Service service, int count) {
  std::mt19937_64 random(7);
  std::poisson_distribution<int> requests(asked.requests_per_day);
  std::uniform_real_distribution<double> at_s(0, asked.window_s());
  std::exponential_distribution<double> service_s(1 / asked.service_s);
  std::vector<std::vector<Arrival>> out(static_cast<std::size_t>(count));
  for (std::vector<Arrival>& day : out) {
    for (int i = requests(random); i > 0; --i) {
      const double takes_s = service == Service::kAlike ? asked.service_s : service_s(random);
      day.push_back({to_us(at_s(random)), to_us(takes_s)});
    }
    std::sort(day.begin(), day.end(), [](const Arrival& a, const Arrival& b) { return a.at_us < b.at_us; });
  }
  return out;
}

// Single days of two hours, so that each has its morning and its evening: at 400 s they are a tenth of what is awake.
void expect_the_replays_days(const Traffic& asked, Service service, const Timer& timer) {
  std::vector<double> awake, busy, wakes, cold, waits;
  for (const std::vector<Arrival>& day : random_days(asked, service, 4'000)) {
    const Outcome got = replay(day, timer, kT4);
    const auto requests = static_cast<double>(got.requests);
    double service_s = 0;
    for (const Arrival& arrival : day) service_s += to_seconds(arrival.service_us);
    awake.push_back(to_seconds(got.awake_us));
    busy.push_back(to_seconds(got.busy_us));
    wakes.push_back(static_cast<double>(got.wakes));
    cold.push_back(static_cast<double>(got.cold_requests));
    waits.push_back(requests * got.mean_s - service_s);
  }
  const double variation = service == Service::kAlike ? 0 : 1;
  const Expected got = expected_month(asked, timer, variation).value();
  EXPECT_NEAR(got.awake_s, a_day(awake).mean, 3 * a_day(awake).error);
  EXPECT_NEAR(got.busy_s, a_day(busy).mean, 3 * a_day(busy).error);
  // Of 4,000 days none was without a wake: no scatter at all where an instance never sleeps again.
  EXPECT_NEAR(got.wakes, a_day(wakes).mean, 3 * a_day(wakes).error + 1e-6);
  EXPECT_NEAR(got.cold_share * asked.requests_per_day, a_day(cold).mean, 3 * a_day(cold).error);
  // That a wake may be cut short by the window's end is left out of the waiting.
  const double waited = (got.mean_s - asked.service_s) * asked.requests_per_day;
  EXPECT_NEAR(waited, a_day(waits).mean, 3 * a_day(waits).error + 0.005 * waited);
}

TEST(ClosedForm, HasTheReplaysDaysWithEdgesForOneAndForAllAtOnce) {
  for (const double per_day : {40.0, 400.0}) {
    for (const double timeout_s : {0.0, 45.0, 400.0}) {
      const Traffic asked{.requests_per_day = per_day, .service_s = 3, .active_days = 1, .active_hours = 2};
      SCOPED_TRACE(std::to_string(per_day) + " a day, " + std::to_string(timeout_s) + " s");
      expect_the_replays_days(asked, Service::kAlike, {timeout_s, 40, 0});
      expect_the_replays_days(asked, Service::kAlike, {timeout_s, 40, 1});
      expect_the_replays_days(asked, Service::kExponential, {timeout_s, 40, 1});
    }
  }
}

TEST(ClosedForm, SteadyStateHasTheNotesChecks) {
  // Batching, 8 h, timeout 30: 138.76 h. One at a time, load 0.556, timeout 30: 171.6 h and 46.1 s. E[S^2] = 8: 25.30
  // s.
  EXPECT_NEAR(steady_state(traffic(8), {30, 30, 0})->awake_share * 200, 138.76, 0.01);
  Traffic slow = traffic(8);
  slow.service_s = 20;
  EXPECT_NEAR(steady_state(slow, {30, 30})->awake_share * 200, 171.6, 0.05);
  EXPECT_NEAR(20 + steady_state(slow, {30, 30})->wait_s, 46.1, 0.05);
  EXPECT_NEAR(steady_state(traffic(8), {0, 30}, 1)->awake_share * 200, 96.97, 0.03);
  EXPECT_NEAR(2 + steady_state(traffic(8), {0, 30}, 1)->wait_s, 25.30, 0.005);
  EXPECT_NEAR(2 + steady_state(traffic(8), {0, 30})->wait_s, 25.24, 0.005);
  EXPECT_NEAR(2 + steady_state(traffic(8), {60, 30})->wait_s, 8.99, 0.005);
  // Timeouts for 1 % and 5 % of cold requests.
  for (const auto& [hours, timeout_s, share] : {std::tuple(8.0, 185.0, 0.01), std::tuple(24.0, 522.0, 0.01),
                                                std::tuple(8.0, 127.0, 0.05), std::tuple(24.0, 347.0, 0.05)}) {
    EXPECT_NEAR(steady_state(traffic(hours), {timeout_s, 30})->cold_share, share, 0.015 * share) << timeout_s;
  }
}

TEST(ClosedForm, OverloadAndWhatLiesBetweenHaveNone) {
  EXPECT_FALSE(expected_month(traffic(8, 14'400), {60, 30}).has_value()) << "a load of one";
  EXPECT_FALSE(expected_month(traffic(8, 14'300), {60, 30}).has_value()) << "its queue is never steady in 8 h";
  EXPECT_FALSE(expected_month(traffic(8, 1e9), {60, 30}).has_value());
  EXPECT_FALSE(expected_month(traffic(8), {60, 30, 4}).has_value()) << "four slots";
  EXPECT_FALSE(expected_month(traffic(8), {60, 30, 0, 0.1}).has_value()) << "a batch that slows down";
  EXPECT_FALSE(expected_month(traffic(8), {8 * 3'600, 30}).has_value()) << "longer than the window";
  EXPECT_FALSE(expected_month(traffic(8, 0), {60, 30}).has_value());
  EXPECT_FALSE(expected_month(traffic(0), {60, 30}).has_value());
  EXPECT_FALSE(expected_month(traffic(8, NAN), {60, 30}).has_value());
  EXPECT_FALSE(expected_month(traffic(8), {NAN, 30}).has_value());
  EXPECT_FALSE(expected_month(traffic(8), {60, 30, 0}, 1).has_value()) << "random service in a batch";
  EXPECT_DOUBLE_EQ(awake_seconds(traffic(8, 1e9), {60, 30}), 25 * (28'800 + 92)) << "the most there can be";
  EXPECT_TRUE(expected_month(traffic(8, 1e9), {60, 30, 0}).has_value()) << "a batch has no limit";
}

TEST(ClosedForm, StaysFiniteAtItsEnds) {
  for (const double per_day : {1e-6, 1.0, 13'000.0}) {
    for (const double timeout_s : {0.0, 1e-9, 20'000.0}) {
      for (const double wake_s : {0.0, 3'600.0}) {
        for (const int slots : {0, 1}) {
          const Expected got = expected_month(traffic(8, per_day), {timeout_s, wake_s, slots}).value();
          for (const double value : {got.awake_s, got.busy_s, got.waking_s, got.idle_s, got.wakes, got.mean_s}) {
            EXPECT_TRUE(std::isfinite(value) && value >= 0) << per_day << ' ' << timeout_s << ' ' << wake_s;
          }
          EXPECT_LE(got.cold_share, 1);
          EXPECT_LE(got.wakes, 25 * per_day);
        }
      }
    }
  }
}

TEST(ClosedForm, QuestionsHaveTheTablesAnswers) {
  EXPECT_NEAR(break_even_seconds(kT4).value(), kEvenS, 1e-6);
  for (const auto& [hours, wake_s, timeout_s] :
       {std::tuple(8.0, 30.0, 56.7), std::tuple(8.0, 10.0, 60.6), std::tuple(8.0, 0.0, 62.4),
        std::tuple(24.0, 30.0, 8.4), std::tuple(24.0, 10.0, 25.5), std::tuple(24.0, 0.0, 33.1)}) {
    const double got = longest_timeout(traffic(hours), wake_s, kEvenS).value();
    EXPECT_NEAR(got, timeout_s, 0.2) << hours << ' ' << wake_s;
    EXPECT_NEAR(awake_seconds(traffic(hours), {got, wake_s}), kEvenS, 1e-3);
  }
  EXPECT_FALSE(longest_timeout(traffic(8), 30, 3'600).has_value()) << "not even for one wake a request";
  EXPECT_DOUBLE_EQ(longest_timeout(traffic(8), 30, 1e9).value(), 28'800) << "a window at most";
  // With the morning's cold requests, 0.23 %, in it: longer than the steady 185 s.
  const double quick = timeout_for_cold_share(traffic(8), {0, 30}, 0.01).value();
  EXPECT_NEAR(expected_month(traffic(8), {quick, 30})->cold_share, 0.01, 1e-9);
  EXPECT_GT(quick, 185);
  EXPECT_FALSE(timeout_for_cold_share(traffic(8), {0, 30}, 0.002).has_value()) << "mornings alone are 0.23 %";
  EXPECT_DOUBLE_EQ(timeout_for_cold_share(traffic(8), {0, 30}, 0.99).value(), 0);
}

TEST(ClosedForm, BreakEvenVolumesAreTheTables) {
  struct Row {
    double hours;
    std::array<double, 5> requests;  // timeouts 600, 300, 60, 30, 0
  };
  constexpr std::array<double, 5> kTimeouts{600, 300, 60, 30, 0};
  for (const Row& row : {Row{8, {83, 165, 762, 1'339, 3'421}}, Row{24, {46, 87, 332, 508, 1'015}}}) {
    for (std::size_t i = 0; i < kTimeouts.size(); ++i) {
      EXPECT_NEAR(requests_for(traffic(row.hours), {kTimeouts[i], 30}, kEvenS).value(), row.requests[i],
                  0.02 * row.requests[i] + 0.5)
          << row.hours << " h, " << kTimeouts[i] << " s";
    }
  }
  EXPECT_FALSE(requests_for(traffic(8), {60, 30}, 25 * 28'800 * 2).has_value()) << "more than the windows have";
}

TEST(ClosedForm, MoneyFollowsTheTariff) {
  const Expected month = expected_month(traffic(8), {60, 30}).value();
  EXPECT_NEAR(static_cast<double>(expected_micros(month, kT4).value()) / 1e6, 304.7, 0.2);
  Tariff tariff = kT4;
  tariff.waking = Paid::kNo;
  tariff.idle = Paid::kNo;
  EXPECT_NEAR(static_cast<double>(expected_micros(month, tariff).value()) / 1e6, 20.0, 1e-3) << "busy only: the naive";
  tariff.stopped_hour_micros = 100'000;
  tariff.fixed_month_micros = 5'000'000;
  EXPECT_NEAR(static_cast<double>(expected_micros(month, tariff).value()) / 1e6,
              20 + 5 + 0.1 * (730 - month.awake_s / 3'600), 1e-3);
  // Awake at 1.80, stopped at 0.10: 300 = 1.80 h + 0.10 (730 - h).
  EXPECT_NEAR(break_even_seconds(tariff).value() / 3'600, (300 - 73) / 1.7, 1e-6);
  tariff.stopped_hour_micros = tariff.hour_micros;
  EXPECT_FALSE(break_even_seconds(tariff).has_value());
  tariff.increment_us = kHourUs;
  EXPECT_FALSE(expected_micros(month, tariff).has_value()) << "the replay's";
}

TEST(ClosedForm, OnlyTheEndsAreBestUnderPoisson) {
  EXPECT_EQ(best_under_poisson(traffic(8), 30, kT4, {}), BestUnderPoisson::kSleepAtOnce);
  // 500 micros a second against 0.02778 (1 + 0.833) requests a second: even at 9,818 micros a cold request.
  EXPECT_EQ(best_under_poisson(traffic(8), 30, kT4, {0, 9'700}), BestUnderPoisson::kSleepAtOnce);
  EXPECT_EQ(best_under_poisson(traffic(8), 30, kT4, {0, 9'900}), BestUnderPoisson::kNeverSleep);
  EXPECT_EQ(best_under_poisson(traffic(8), 30, kT4, {20'000, 0}), BestUnderPoisson::kNeverSleep);
  EXPECT_DOUBLE_EQ(timeout_without_data(5, 0, kT4), 30);
  EXPECT_DOUBLE_EQ(timeout_without_data(90, 0, kT4), 90);
  EXPECT_DOUBLE_EQ(timeout_without_data(30, 10'000, kT4), 50) << "500 micros a second";
}

}  // namespace
}  // namespace dormouse::planner
