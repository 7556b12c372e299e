// Goal: made-up requests keep their rule, and replayed they give the two tables of the cost notes' section 0, cell by
// cell. Method: the tables as printed there (16 simulated months a row; T4 at 1.80 CNY an hour, 800 requests of 2 s a
// day, 25 days, wake 30 s) against the mean of 64 months of our own. A month's scatter is theirs as ours: a cell may be
// off by three standard errors of the difference of a mean of 16 and one of 64, half a unit of its last printed digit,
// and 0.2 % where a latency comes from a bucket.
#include "planner/arrivals.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <string>
#include <string_view>

#include "planner/replay.h"

namespace dormouse::planner {
namespace {

constexpr int kMonths = 64;
constexpr int kMonthsOfTheNotes = 16;
constexpr double kWakeS = 30;
constexpr std::size_t kCells = 10;
constexpr std::array<const char*, kCells> kNames = {"awake h", "bill",   "bill by minutes", "bill by hours", "wakes",
                                                    "cold %",  "mean s", "p50 s",           "p95 s",         "p99 s"};
using Cells = std::array<double, kCells>;

Traffic traffic(double hours) {
  return {.requests_per_day = 800, .service_s = 2, .active_days = 25, .active_hours = hours};
}

struct Row {
  double timeout_s;
  std::array<std::string_view, kCells> printed;  // "": not given
};

struct Table {
  double hours;
  Pattern pattern;
  std::vector<Row> rows;
};

const std::array<Table, 6> kTables = {{
    {8,
     Pattern::kRandom,
     {{600, {"203.68", "366.6", "367.0", "405", "25", "0.23", "2.12", "2.0", "2.3", "3.8"}},
      {300, {"201.55", "362.8", "363.2", "406", "30", "0.28", "2.13", "2.0", "2.3", "3.8"}},
      {60, {"169.26", "304.7", "349.1", "5582", "3101", "28.4", "9.03", "2.0", "32.0", "32.0"}},
      {30, {"139.75", "251.5", "382.5", "10853", "6029", "55.3", "15.6", "11.7", "32.0", "32.9"}},
      {10, {"112.29", "202.1", "270.2", "15789", "8771", "80.4", "21.8", "29.3", "32.0", "33.3"}},
      {0, {"96.87", "174.4", "308.7", "18524", "10291", "94.5", "25.2", "32.0", "32.0", "33.4"}}}},
    {8,
     Pattern::kEven,
     {{600, {"203.93", "367.1", "367.5", "405", "25", "0.12", "2.04", "2.0", "2.0", "2.0"}},
      {60, {"200.18", "360.3", "360.7", "405", "25", "0.12", "2.04", "2.0", "2.0", "2.0"}},
      {30, {"188.89", "340.0", "600.0", "18000", "10000", "50", "17.0", "32.0", "32.0", "32.0"}},
      {10, {"133.33", "240.0", "300.0", "18000", "10000", "50", "17.0", "32.0", "32.0", "32.0"}},
      {0, {"177.78", "320.0", "600.0", "36000", "20000", "100", "32.0", "32.0", "32.0", "32.0"}}}},
    {8,
     Pattern::kSessions,
     {{600, {"184.56", "332.2", "335.1", "518", "194", "2.6", "2.78", "2.0", "3.9", "32.0"}},
      {300, {"156.53", "281.7", "289.9", "979", "538", "7.2", "3.85", "2.0", "20.5", "32.0"}},
      {60, {"99.63", "179.3", "202.0", "2805", "1559", "20.4", "6.94", "2.0", "32.0", "32.0"}},
      {30, {"85.27", "153.5", "209.0", "5150", "2861", "37.1", "10.9", "2.2", "32.0", "33.0"}},
      {0, {"63.82", "114.9", "190.0", "11385", "6325", "86.9", "22.8", "26.0", "32.0", "33.7"}}}},
    {24,
     Pattern::kRandom,
     {{600, {"597.83", "1076.1", "1077", "1146", "77", "0.49", "2.15", "2.0", "2.0", "3.5"}},
      {300, {"564.14", "1015.4", "1033", "2393", "1204", "7.7", "4.11", "2.0", "32", "32"}},
      {60, {"308.33", "555.0", "692", "17458", "9699", "62.0", "18.9", "30.7", "32", "32"}},
      {30, {"231.36", "416.4", "739", "22096", "12276", "78.4", "23.4", "32", "32", "32.3"}},
      {10, {"171.61", "308.9", "429", "25692", "14274", "91.2", "26.9", "32", "32", "32.5"}},
      {0, {"139.15", "250.5", "461", "27656", "15365", "98.2", "28.8", "32", "32", "32.6"}}}},
    {24,
     Pattern::kEven,
     {{600, {"600.14", "1080.2", "1080", "1082", "1", "0.01", "2.00", "2", "2", "2"}},
      {60, {"511.11", "920.0", "1200", "36000", "20000", "100", "32", "32", "32", "32"}},
      {30, {"344.44", "620.0", "1200", "36000", "20000", "100", "32", "", "", "32"}},
      {0, {"177.78", "320.0", "600", "36000", "20000", "100", "32", "", "", "32"}}}},
    {24,
     Pattern::kSessions,
     {{600, {"347.38", "625.3", "641", "1940", "1069", "13.7", "5.31", "2", "32", "32"}},
      {60, {"123.75", "222.8", "258", "4424", "2458", "30.5", "9.28", "2", "32", "32.6"}},
      {0, {"74.39", "133.9", "228", "13667", "7593", "90.7", "23.7", "28.4", "32", "33.7"}}}},
}};

double value_of(std::string_view printed) {
  double value = 0;
  std::from_chars(printed.data(), printed.data() + printed.size(), value);
  return value;
}

// Half a unit of the last digit, and a hair for the decimal point.
double rounding_of(std::string_view printed) {
  const std::size_t point = printed.find('.');
  const std::size_t digits = point == std::string_view::npos ? 0 : printed.size() - point - 1;
  return 0.500'001 * std::pow(10.0, -static_cast<double>(digits));
}

double bill(const Workload& month, double timeout_s, std::int64_t increment_us) {
  const Tariff t4{.hour_micros = 1'800'000, .increment_us = increment_us};
  return static_cast<double>(replay(month.arrivals, {timeout_s, kWakeS}, t4).paid_micros) / 1e6;
}

Cells cells_of(const Workload& month, double timeout_s) {
  const Tariff t4{.hour_micros = 1'800'000};
  const Outcome counted = replay(month.arrivals, {timeout_s, kWakeS}, t4);
  const Forecast got = a_month_of(counted, 1);
  return {got.awake_s / 3'600,
          static_cast<double>(counted.paid_micros) / 1e6,
          bill(month, timeout_s, 60 * kSecondUs),
          bill(month, timeout_s, kHourUs),
          got.wakes,
          got.cold_share * 100,
          got.mean_s,
          got.p50_s,
          got.p95_s,
          got.p99_s};
}

void expect_row(const std::vector<Workload>& months, const Row& row, const std::string& where) {
  Cells sum{};
  Cells squares{};
  for (const Workload& month : months) {
    const Cells cells = cells_of(month, row.timeout_s);
    for (std::size_t i = 0; i < kCells; ++i) {
      sum[i] += cells[i];
      squares[i] += cells[i] * cells[i];
    }
  }
  const auto n = static_cast<double>(months.size());
  for (std::size_t i = 0; i < kCells; ++i) {
    if (row.printed[i].empty()) continue;
    const double mean = sum[i] / n;
    const double variance = std::max(0.0, squares[i] / n - mean * mean) * n / (n - 1);
    const double error = std::sqrt(variance * (1.0 / kMonthsOfTheNotes + 1 / n));
    const double bucket = kNames[i][0] == 'p' ? 0.002 * mean : 0;
    EXPECT_NEAR(mean, value_of(row.printed[i]), 3 * error + rounding_of(row.printed[i]) + bucket)
        << where << ", timeout " << row.timeout_s << " s: " << kNames[i];
  }
}

TEST(Arrivals, ReplayedGiveTheTwoTablesCellByCell) {
  for (const Table& table : kTables) {
    std::vector<Workload> months;
    for (std::uint64_t seed = 1; seed <= kMonths; ++seed) {
      months.push_back(make_arrivals(traffic(table.hours), table.pattern, 1, seed));
    }
    const std::string where =
        std::to_string(table.hours) + " h, pattern " + std::to_string(static_cast<int>(table.pattern));
    for (const Row& row : table.rows) expect_row(months, row, where);
  }
}

bool is_ascending(const std::vector<Arrival>& all) {
  return std::is_sorted(all.begin(), all.end(), [](const Arrival& a, const Arrival& b) { return a.at_us < b.at_us; });
}

TEST(Arrivals, AreOfTheirDaysAndWindowsInOrder) {
  constexpr std::int64_t kMonthUs = 730 * kHourUs;
  for (const Pattern pattern : {Pattern::kRandom, Pattern::kEven, Pattern::kSessions}) {
    const Workload got = make_arrivals(traffic(8), pattern, 2, 7);
    ASSERT_EQ(got.arrivals.size(), 2U * 25 * 800);
    EXPECT_EQ(got.months, 2);
    EXPECT_TRUE(is_ascending(got.arrivals));
    std::array<int, 50> of_day{};
    for (const Arrival& arrival : got.arrivals) {
      const std::int64_t month = arrival.at_us / kMonthUs;
      const std::int64_t day = arrival.at_us % kMonthUs / kDayUs;
      ASSERT_LT(day, 25);
      ++of_day[static_cast<std::size_t>(month * 25 + day)];
      // Eight requests 20 s apart last an hour once in 10^60 users.
      ASSERT_LT(arrival.at_us % kMonthUs % kDayUs, 9 * kHourUs);
      ASSERT_EQ(arrival.service_us, 2 * kSecondUs);
    }
    for (const int count : of_day) EXPECT_EQ(count, 800);
  }
}

TEST(Arrivals, RoundTheClockMonthsDoNotOverlap) {
  Traffic all_days = traffic(24);
  all_days.active_days = 31;  // 744 h, more than a month's 730
  for (const Pattern pattern : {Pattern::kRandom, Pattern::kEven, Pattern::kSessions}) {
    const Workload got = make_arrivals(all_days, pattern, 2, 7);
    ASSERT_EQ(got.arrivals.size(), 2U * 31 * 800);
    EXPECT_TRUE(is_ascending(got.arrivals)) << "a day's last users run over midnight";
    EXPECT_GT(got.arrivals.back().at_us, 61 * kDayUs);
  }
}

TEST(Arrivals, OneSeedIsOneWorkload) {
  const auto times = [](std::uint64_t seed) {
    std::vector<std::int64_t> out;
    for (const Arrival& arrival : make_arrivals(traffic(8), Pattern::kSessions, 1, seed).arrivals) {
      out.push_back(arrival.at_us);
    }
    return out;
  };
  EXPECT_EQ(times(3), times(3));
  EXPECT_NE(times(3), times(4));
}

TEST(Arrivals, ASmallDayHasItsRequestsToo) {
  const Traffic few{.requests_per_day = 11, .service_s = 1, .active_days = 3, .active_hours = 0.1};
  for (const Pattern pattern : {Pattern::kRandom, Pattern::kEven, Pattern::kSessions}) {
    EXPECT_EQ(make_arrivals(few, pattern, 1, 1).arrivals.size(), 33U);
  }
}

}  // namespace
}  // namespace dormouse::planner
