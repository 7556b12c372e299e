// Goal: a replay's slowdown comes from a measured batch curve. Method: lines whose slope is known, and the ends.
#include "planner/batch_curve.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace dormouse::planner {
namespace {

TEST(BatchCurve, AStepOfAPlusKTimesBHasTheSlowdownKOfAPlusK) {
  const double a = 0.030;
  const double k = 0.002;
  std::vector<BatchPoint> curve;
  for (const int b : {1, 2, 4, 8, 16}) curve.push_back({b, a + k * b});
  EXPECT_NEAR(slowdown_of(curve).value(), k / (a + k), 1e-12);
  // Least squares through one alone: 2 at 1.5, 3 at 1.6 times as long is (1 x 0.5 + 2 x 0.6) / (1 + 4).
  EXPECT_NEAR(slowdown_of(std::vector<BatchPoint>{{1, 2}, {2, 3}, {3, 3.2}}).value(), 0.34, 1e-12);
}

TEST(BatchCurve, IsNeverBetterThanFreeNorWorseThanOneAfterAnother) {
  EXPECT_EQ(slowdown_of(std::vector<BatchPoint>{{1, 2}, {2, 1.9}}).value(), 0);
  EXPECT_EQ(slowdown_of(std::vector<BatchPoint>{{1, 2}, {2, 5}}).value(), 1);
}

TEST(BatchCurve, WhatDoesNotSayIsRefused) {
  const double infinite = std::numeric_limits<double>::infinity();
  for (const std::vector<BatchPoint>& curve : std::vector<std::vector<BatchPoint>>{
           {}, {{1, 2}}, {{2, 2}}, {{1, 0}, {2, 1}}, {{1, 1}, {2, -1}}, {{1, 1}, {2, infinite}}, {{0, 1}, {1, 1}}}) {
    const Result<double> got = slowdown_of(curve);
    ASSERT_FALSE(got.has_value());
    EXPECT_TRUE(got.error().message.starts_with("batch curve: ")) << got.error().message;
  }
}

}  // namespace
}  // namespace dormouse::planner
