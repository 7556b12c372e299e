// Goal: speeds and prices are the arithmetic they say they are, and nonsense is refused. Method: the engine notes'
// roofline table, curves made from a known line, sums by hand.
#include "planner/speeds.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace dormouse::planner {
namespace {

const Card kT4{.vram_bytes = 16'000'000'000, .bandwidth = 320e9, .flops = 65e12};
const Card kA100{.vram_bytes = 40'000'000'000, .bandwidth = 1'555e9, .flops = 312e12};

// The notes' table is the limit itself, all of the bandwidth, at 512 tokens of context.
TEST(Speeds, TheRooflineIsTheNotesTableTimesItsShare) {
  const ModelShape four = find_model("4B").value();
  struct Row {
    Card card;
    Quant quant;
    std::int64_t sequences;
    KvType kv;
    double limit;
  };
  for (const Row& row :
       {Row{kT4, Quant::kQ4_K_M, 1, KvType::kF16, 125}, Row{kT4, Quant::kQ4_K_M, 8, KvType::kF16, 827},
        Row{kT4, Quant::kQ8_0, 1, KvType::kF16, 74}, Row{kT4, Quant::kQ2_K, 8, KvType::kQ8_0, 1'290},
        Row{kA100, Quant::kF16, 8, KvType::kF16, 1'438}, Row{kA100, Quant::kQ4_K_M, 8, KvType::kQ8_0, 4'424}}) {
    const Wanted wanted{.sequences = row.sequences, .context = 512, .kv = row.kv};
    const Speeds got = roofline(four, row.quant, row.card, wanted).value();
    const auto b = static_cast<double>(row.sequences);
    EXPECT_NEAR(got.line.tokens_per_s(b), kBandwidthShare * row.limit, 0.01 * kBandwidthShare * row.limit) << row.limit;
    EXPECT_EQ(got.basis, SpeedBasis::kRoofline);
  }
  const Speeds t4 = roofline(four, Quant::kQ4_K_M, kT4, {.context = 512}).value();
  EXPECT_NEAR(t4.prefill_tokens_per_s, 0.4 * 8'944, 10) << "65 TFLOPS over 7.267 GFLOP a token";
}

TEST(Speeds, ABatchBeyondTheRidgeIsBoundByOperations) {
  const ModelShape four = find_model("4B").value();
  const Card card{.vram_bytes = 80'000'000'000, .bandwidth = 1'555e9, .flops = 312e12};
  const Wanted wanted{.sequences = 256, .context = 128};
  const Speeds got = roofline(four, Quant::kQ4_K_M, card, wanted).value();
  const double compute_s = 256 * 8.045e9 / (0.4 * 312e12);
  const double cache_s = 256.0 * 128 * 147'456 / (0.7 * 1'555e9);
  EXPECT_NEAR(got.line.step_s(256), compute_s + cache_s, 0.001 * (compute_s + cache_s));
  const double alone = roofline(four, Quant::kQ4_K_M, card, {.context = 128})->line.step_s(1);
  EXPECT_NEAR(got.line.step_s(1), alone, 1e-12) << "the line goes through both";
  EXPECT_GE(got.line.a_s, 0);
}

TEST(Speeds, ACurveMadeOfALineGivesItBack) {
  const StepLine line{.a_s = 0.025, .k_s = 0.0015};
  std::vector<BatchPoint> points;
  for (const double b : {1.0, 2.0, 4.0, 8.0, 16.0, 32.0}) points.push_back({b, line.tokens_per_s(b)});
  const LineFit got = fit_step_line(points).value();
  EXPECT_NEAR(got.line.a_s, 0.025, 1e-12);
  EXPECT_NEAR(got.line.k_s, 0.0015, 1e-12);
  EXPECT_LT(got.worst_error, 1e-9);
  points[2].tokens_per_s *= 1.2;
  EXPECT_NEAR(fit_step_line(points)->worst_error, 0.15, 0.05) << "a point that is a fifth off is seen";
}

TEST(Speeds, NeitherPartOfALineIsBelowZero) {
  const LineFit flat = fit_step_line(std::vector<BatchPoint>{{1, 100}, {2, 205}, {4, 410}}).value();
  EXPECT_EQ(flat.line.k_s, 0);
  EXPECT_NEAR(flat.line.a_s, 0.0098, 0.0001);
  const LineFit steep = fit_step_line(std::vector<BatchPoint>{{1, 120}, {2, 105}, {4, 100}}).value();
  EXPECT_EQ(steep.line.a_s, 0);
  EXPECT_NEAR(steep.line.k_s, 0.01, 0.0003);
  EXPECT_EQ(steep.line.slowdown(), 1) << "no more than one at a time";
}

TEST(Speeds, NonsenseIsRefused) {
  const auto error = [](const std::vector<BatchPoint>& points) {
    const Result<LineFit> got = fit_step_line(points);
    return got.has_value() ? std::string() : got.error().message;
  };
  EXPECT_NE(error({}), "");
  EXPECT_NE(error({{1, 30}}), "");
  EXPECT_NE(error({{4, 30}, {4, 31}}), "") << "one concurrency";
  for (const BatchPoint& bad : {BatchPoint{0, 30}, BatchPoint{NAN, 30}, BatchPoint{2, 0}, BatchPoint{2, -1},
                                BatchPoint{2, INFINITY}, BatchPoint{1e9, 30}}) {
    EXPECT_NE(error({{1, 30}, bad}), "");
  }
  EXPECT_NE(error({{1, 30}, {2, 70}}).find("takes less time"), std::string::npos);
  EXPECT_EQ(error({{1, 30}, {2, 62}}), "") << "noise";
  for (const double bad : {0.0, -1.0, std::nan(""), HUGE_VAL}) EXPECT_FALSE(listed(bad).has_value());
  const ModelShape four = find_model("4B").value();
  EXPECT_FALSE(roofline(four, Quant::kQ4_K_M, {.vram_bytes = 16'000'000'000}, {}).has_value());
  EXPECT_EQ(roofline(four, Quant::kF16, {4'000'000'000, 1e12, 1e14}, {}).error().code, Code::kTooLarge);
}

// The popular sum says 2 s an answer. At the speed it names, 100 tokens take half as long again, and so does the bill.
TEST(Speeds, AHundredTokensTakeThreeSecondsNotTwo) {
  const Speeds speeds = listed(32.5).value();
  EXPECT_EQ(speeds.basis, SpeedBasis::kListed);
  const Station station = station_of(speeds.line, {.output_tokens = 100}, 1);
  EXPECT_NEAR(station.service_s, 3.08, 0.005);
  const double hours = 800 * 25 * station.service_s / 3'600;
  EXPECT_NEAR(hours, 17.1, 0.05);
  EXPECT_NEAR(hours * 1.8, 30.8, 0.05);
}

// A T4 at 1.80 an hour that makes 400 tokens a second when full, and two million of them in a month of 17.1 h of work
// and a bill of 366.60.
TEST(TokenPrices, AreThreeAndFarApart) {
  const TokenPrices got = token_prices({.hour_micros = 1'800'000,
                                        .tokens_per_s_full = 400,
                                        .busy_h = 17.1,
                                        .tokens = 2'000'000,
                                        .bill_micros = 366'600'000});
  EXPECT_EQ(got.capacity, 1'250'000);
  EXPECT_EQ(got.busy, 15'390'000);
  EXPECT_EQ(got.real, 183'300'000);
}

TEST(TokenPrices, OfNothingOrTooMuchThereIsNone) {
  const TokenPrices none = token_prices({.hour_micros = 1'800'000, .busy_h = 1, .bill_micros = 5});
  EXPECT_FALSE(none.capacity.has_value());
  EXPECT_FALSE(none.busy.has_value());
  EXPECT_FALSE(none.real.has_value());
  const TokenPrices much = token_prices(
      {.hour_micros = INT64_MAX, .tokens_per_s_full = 1e-9, .busy_h = 1e9, .tokens = 1, .bill_micros = INT64_MAX});
  EXPECT_FALSE(much.capacity.has_value());
  EXPECT_FALSE(much.busy.has_value());
  EXPECT_FALSE(much.real.has_value());
}

}  // namespace
}  // namespace dormouse::planner
