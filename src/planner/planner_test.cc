// Goal: formulas and replay agree with each other and with the checked table of the cost notes (T4 at 1.80 CNY an hour,
// 300 a month; 800 requests of 2 s a day, 25 days, wake 30 s). Method: the table's cells, within its own errors.
#include <gtest/gtest.h>

#include <cmath>

#include "planner/closed_form.h"

namespace dormouse::planner {
namespace {

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

TEST(ClosedForm, HasTheTablesHours) {
  for (const Cell& cell : kCells) {
    EXPECT_NEAR(awake_seconds(traffic(cell.hours), {cell.timeout_s, 30}) / 3'600, cell.awake_h,
                0.006 * cell.awake_h / 10)
        << cell.hours << " h, " << cell.timeout_s << " s";
  }
}

TEST(Inverse, QuestionsHaveTheTablesAnswers) {
  const double paid_hours = 300.0 / 1.8;
  EXPECT_NEAR(paid_hours, 166.7, 0.05);
  EXPECT_NEAR(longest_timeout(traffic(8), 30, paid_hours * 3'600).value(), 56.7, 0.3);
  EXPECT_NEAR(longest_timeout(traffic(8), 0, paid_hours * 3'600).value(), 62.4, 0.3);
  EXPECT_NEAR(longest_timeout(traffic(24), 30, paid_hours * 3'600).value(), 8.4, 0.2);
  EXPECT_NEAR(timeout_for_cold_share(traffic(8), 30, 0.01), 185, 2);
  EXPECT_NEAR(timeout_for_cold_share(traffic(24), 30, 0.01), 522, 4);
  EXPECT_NEAR(requests_for(traffic(8), {600, 30}, paid_hours * 3'600).value(), 83, 1.5);
  EXPECT_NEAR(requests_for(traffic(24), {600, 30}, paid_hours * 3'600).value(), 46, 1.5);
  EXPECT_NEAR(requests_for(traffic(8), {0, 30}, paid_hours * 3'600).value(), 3'421, 35);
  // There is no timeout at which it is cheaper than being awake for one wake a request.
  EXPECT_FALSE(longest_timeout(traffic(8), 30, 3'600).has_value());
}

}  // namespace
}  // namespace dormouse::planner
