// Goal: what is said of a step follows from its requests by the definitions in summary.h. Method: requests and results
// by hand.
#include "loadtest/summary.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/nearest_rank.h"

namespace dormouse::loadtest {
namespace {

// Ten tokens: the first `ttft_s` after it was due, then one every `step_s`.
Sample good(double due_s, double ttft_s, double step_s) {
  Sample out;
  out.due_s = due_s;
  out.sent_s = due_s;
  out.first_s = due_s + ttft_s;
  out.last_s = out.first_s + 9 * step_s;
  out.end_s = out.last_s;
  out.input_tokens = 100;
  out.output_tokens = 10;
  out.is_usage = true;
  return out;
}

Sample failed(Failure failure, std::string said) {
  Sample out = good(0, 1'000, 1'000);  // its times must show nowhere
  out.failure = failure;
  out.said = std::move(said);
  return out;
}

TEST(Percentiles, AreTheNearestRankedValues) {
  std::vector<double> ten{10, 9, 8, 7, 6, 5, 4, 3, 2, 1};
  const std::optional<Percentiles> p = percentiles_of(ten);
  ASSERT_TRUE(p.has_value());
  EXPECT_EQ(p->p50, 5);
  EXPECT_EQ(p->p95, 10);
  EXPECT_EQ(p->p99, 10);
  EXPECT_EQ(p->mean, 5.5);
  std::vector<double> thousand;
  for (int i = 1'000; i >= 1; --i) thousand.push_back(i);
  const std::optional<Percentiles> q = percentiles_of(thousand);
  EXPECT_EQ(q->p50, 500);
  EXPECT_EQ(q->p95, 950);
  EXPECT_EQ(q->p99, 990);
  EXPECT_EQ(percentiles_of({7})->p50, 7);
  EXPECT_FALSE(percentiles_of({}).has_value());
  const std::vector<double> three{1, 2, 3};
  EXPECT_EQ(nearest_rank(three, 0), 1);
  EXPECT_EQ(nearest_rank(three, 340), 2);
  EXPECT_EQ(nearest_rank(three, 1'000), 3);
}

TEST(Percentiles, OfGapsAreAtMostOnePerCentAboveTheExactOnes) {
  GapCounts gaps;
  EXPECT_FALSE(gaps.percentiles().has_value());
  for (int i = 1; i <= 1'000; ++i) gaps.add(i * 1e-3);
  const std::optional<Percentiles> p = gaps.percentiles();
  ASSERT_TRUE(p.has_value());
  for (const auto& [got, exact] : {std::pair{p->p50, 0.5}, std::pair{p->p95, 0.95}, std::pair{p->p99, 0.99}}) {
    EXPECT_GE(got, exact * (1 - 1e-9));
    EXPECT_LE(got, exact * 1.01 * (1 + 1e-9));
  }
  EXPECT_NEAR(p->mean, 0.5005, 1e-9);
  GapCounts edges;
  edges.add(0);
  edges.add(1e9);
  EXPECT_LE(edges.percentiles()->p50, 1e-6);
  EXPECT_GT(edges.percentiles()->p99, 3'600);
}

TEST(Summary, CountsRatesAndLatencies) {
  Measured measured;
  measured.duration_s = 4;
  for (const double ttft : {0.1, 0.2, 0.3, 0.4}) measured.samples.push_back(good(1, ttft, 0.01));
  measured.samples.push_back(failed(Failure::kTimeout, "first"));
  measured.samples.push_back(failed(Failure::kTimeout, "second"));
  measured.samples.push_back(failed(Failure::kConnect, "refused"));
  const StepResult result = summarize(measured, {}, {});
  EXPECT_EQ(result.requests, 7);
  EXPECT_EQ(result.failed, 3);
  EXPECT_DOUBLE_EQ(result.requests_per_s, 1);
  EXPECT_DOUBLE_EQ(result.output_tokens_per_s, 10);
  EXPECT_DOUBLE_EQ(result.input_tokens_per_s, 100);
  EXPECT_TRUE(result.is_usage);
  ASSERT_TRUE(result.ttft_s.has_value());
  EXPECT_NEAR(result.ttft_s->p50, 0.2, 1e-9);
  EXPECT_NEAR(result.ttft_s->p99, 0.4, 1e-9);
  EXPECT_NEAR(result.ttft_s->mean, 0.25, 1e-9);
  EXPECT_NEAR(result.e2e_s->p99, 0.49, 1e-9);
  EXPECT_FALSE(result.goodput.has_value()) << "no SLO";
  EXPECT_FALSE(result.cost_per_million_tokens.has_value()) << "no price";
  ASSERT_EQ(result.errors.size(), 2U);
  EXPECT_EQ(result.errors.at(Failure::kTimeout).count, 2);
  EXPECT_EQ(result.errors.at(Failure::kTimeout).said, "first");
  ASSERT_EQ(result.e2e_curve_s.size(), 101U);
  EXPECT_NEAR(result.e2e_curve_s.back(), 0.49, 1e-9);
}

TEST(Summary, LatencyCountsFromWhenItWasDue) {
  Measured measured;
  measured.duration_s = 10;
  Sample late = good(1, 0.1, 0);
  late.sent_s = 3;  // it waited for a free place
  late.first_s = 3.1;
  late.last_s = late.end_s = 3.1;
  measured.samples.push_back(late);
  const StepResult result = summarize(measured, {}, {});
  EXPECT_NEAR(result.ttft_s->p50, 2.1, 1e-9);
  EXPECT_NEAR(result.e2e_s->p50, 2.1, 1e-9);
}

TEST(Summary, GoodputIsWhatKeptAllOfTheSloAndFailuresKeepNothing) {
  Measured measured;
  measured.duration_s = 2;
  measured.samples = {good(0, 0.1, 0.02), good(0, 0.5, 0.02), good(0, 0.1, 0.3), failed(Failure::kHttp429, "")};
  const auto share = [&measured](const Slo& slo) { return summarize(measured, slo, {}).goodput.value_or(-1); };
  EXPECT_DOUBLE_EQ(share({.ttft_s = 0.2}), 0.5);
  EXPECT_DOUBLE_EQ(share({.itl_s = 0.1}), 0.5);
  EXPECT_DOUBLE_EQ(share({.ttft_s = 0.2, .itl_s = 0.1}), 0.25);
  EXPECT_DOUBLE_EQ(share({.e2e_s = 1}), 0.5);
  EXPECT_DOUBLE_EQ(share({.e2e_s = 100}), 0.75);
  EXPECT_DOUBLE_EQ(summarize(measured, {.ttft_s = 0.2}, {}).goodput_per_s, 1);
}

TEST(Summary, ASingleTokenHasNoGap) {
  Sample one = good(0, 0.1, 0.5);
  one.output_tokens = 1;
  EXPECT_EQ(one.seconds_per_token(), 0);
  EXPECT_DOUBLE_EQ(good(0, 0.1, 0.5).seconds_per_token(), 0.5);
}

TEST(Summary, OneAnswerWithoutUsageIsSaid) {
  Measured measured;
  measured.duration_s = 1;
  measured.samples = {good(0, 0.1, 0.1), good(0, 0.1, 0.1)};
  measured.samples[1].is_usage = false;
  EXPECT_FALSE(summarize(measured, {}, {}).is_usage);
  measured.samples.clear();
  const StepResult nothing = summarize(measured, {.e2e_s = 1}, Money{1'800'000, "CNY"});
  EXPECT_FALSE(nothing.is_usage);
  EXPECT_FALSE(nothing.ttft_s.has_value());
  EXPECT_FALSE(nothing.goodput.has_value());
  EXPECT_FALSE(nothing.cost_per_million_tokens.has_value());
}

TEST(Summary, CostIsThePriceOverTheTokensOfAnHour) {
  // 100 tokens at 32.5 a second take 3.08 s: 1.80 an hour is 1.5385 thousandths for them, 15.384615 for a million.
  const double tokens_per_s = 100 / (100 / 32.5);
  EXPECT_NEAR(100 / tokens_per_s, 3.08, 0.005);
  const std::optional<Money> cost = cost_per_million({1'800'000, "CNY"}, tokens_per_s);
  ASSERT_TRUE(cost.has_value());
  EXPECT_EQ(*cost, (Money{15'384'615, "CNY"}));
  EXPECT_EQ(cost_per_million({3'600'000, "USD"}, 1'000), (Money{1'000'000, "USD"}));
  EXPECT_FALSE(cost_per_million({1'800'000, "CNY"}, 0).has_value());
  EXPECT_FALSE(cost_per_million({INT64_MAX, "CNY"}, 1e-9).has_value());
  EXPECT_FALSE(cost_per_million({1, "CNY"}, std::numeric_limits<double>::quiet_NaN()).has_value());
}

}  // namespace
}  // namespace dormouse::loadtest
