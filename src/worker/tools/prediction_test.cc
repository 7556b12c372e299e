// Goal: the figures of `perplexity` mean what they say. Method: rows whose answers are known without a computer.
#include "worker/tools/prediction.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>

namespace dormouse::worker {
namespace {

constexpr double kRounding = 1e-6;  // of the floats that logits are

std::array<float, 3> logits_of(double a, double b, double c) {
  return {static_cast<float>(std::log(a)), static_cast<float>(std::log(b)), static_cast<float>(std::log(c))};
}

TEST(Prediction, UniformLogitsHaveThePerplexityOfTheVocabulary) {
  const std::vector<float> row(1000, 7.5F);
  const std::vector<Prediction> predictions(20, predict(row, 123));
  const Estimate perplexity = perplexity_of(predictions);
  EXPECT_NEAR(perplexity.value, 1000, 1e-9);
  EXPECT_NEAR(perplexity.error, 0, 1e-9);
}

TEST(Prediction, HugeLogitsNeitherOverflowNorVanish) {
  const std::array<float, 3> row{3e38F, 3e38F, -3e38F};
  EXPECT_NEAR(predict(row, 0).log_probability, -std::log(2.0), kRounding);
  EXPECT_LT(predict(row, 2).log_probability, -1e38);
}

TEST(Prediction, ALogitThatIsNoNumberShowsInTheProbability) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float bad : {nan, infinity}) {
    const std::array<float, 3> row{1, bad, 2};
    EXPECT_FALSE(std::isfinite(predict(row, 0).log_probability)) << bad;
  }
}

TEST(Prediction, IdenticalRowsDoNotDiverge) {
  const auto row = logits_of(0.7, 0.2, 0.1);
  const std::vector<Comparison> rows(5, compare(row, row, 1));
  const Distance distance = distance_of(rows);
  EXPECT_EQ(distance.divergence.value, 0);
  EXPECT_EQ(distance.divergence_max, 0);
  EXPECT_EQ(distance.same_top.value, 1);
  EXPECT_EQ(distance.probability_difference_rms, 0);
}

// p = (1/2, 1/4, 1/4), q = (1/4, 1/4, 1/2): KL(p || q) = 1/2 log 2 + 0 + 1/4 log 1/2 = 1/4 log 2.
TEST(Prediction, ThreeTokensByHand) {
  const auto reference = logits_of(0.5, 0.25, 0.25);
  const auto got = logits_of(0.25, 0.25, 0.5);
  const Comparison row = compare(got, reference, 2);
  EXPECT_NEAR(row.divergence, 0.25 * std::log(2.0), kRounding);
  EXPECT_EQ(row.reference.top, 0);
  EXPECT_EQ(row.got.top, 2);
  EXPECT_NEAR(row.got.log_probability, std::log(0.5), kRounding);

  // Beside it a row that is the same in both. Two samples x and 0: mean x / 2, standard error x / 2.
  const std::array rows{row, compare(reference, reference, 2)};
  const Distance distance = distance_of(rows);
  EXPECT_NEAR(distance.divergence.value, 0.125 * std::log(2.0), kRounding);
  EXPECT_NEAR(distance.divergence.error, 0.125 * std::log(2.0), kRounding);
  EXPECT_NEAR(distance.divergence_max, 0.25 * std::log(2.0), kRounding);
  EXPECT_NEAR(distance.divergence_p99, 0.99 * 0.25 * std::log(2.0), kRounding);
  EXPECT_EQ(distance.same_top.value, 0.5);
  EXPECT_NEAR(distance.probability_difference.value, 0.125, kRounding);  // 1/2 - 1/4, and 0
  EXPECT_NEAR(distance.probability_difference_rms, 0.25 / std::sqrt(2.0), kRounding);

  // Losses log 2 and log 4: perplexity sqrt(8), error sqrt(8) * (log 4 - log 2) / 2.
  const std::array predictions{rows[0].got, rows[1].got};
  EXPECT_NEAR(perplexity_of(predictions).value, std::sqrt(8.0), kRounding);
  EXPECT_NEAR(perplexity_of(predictions).error, std::sqrt(8.0) * std::log(2.0) / 2, kRounding);
}

// Samples 1 2 3 4: variance 5/3, of the mean 5/12.
TEST(Prediction, MeansHaveTheirErrorAndQuantilesLieBetweenSamples) {
  const std::array samples{4.0, 1.0, 3.0, 2.0};
  EXPECT_DOUBLE_EQ(mean_of(samples).value, 2.5);
  EXPECT_DOUBLE_EQ(mean_of(samples).error, std::sqrt(5.0 / 12));
  const std::array one{7.0};
  EXPECT_EQ(mean_of(one).value, 7);
  EXPECT_EQ(mean_of(one).error, 0);
  EXPECT_EQ(mean_of({}).value, 0);
  const std::array sorted{1.0, 2.0, 3.0, 4.0};
  EXPECT_EQ(quantile_of(sorted, 0), 1);
  EXPECT_EQ(quantile_of(sorted, 1), 4);
  EXPECT_DOUBLE_EQ(quantile_of(sorted, 0.5), 2.5);
  EXPECT_EQ(quantile_of(one, 0.99), 7);
}

}  // namespace
}  // namespace dormouse::worker
