// Goal: decode equals the format's definition bit for bit, encode loses no more than the published errors, and no bytes
// and no finite weights make either of them misbehave.
#include "quant/codec.h"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "quant/blocks.h"
#include "quant/half.h"

namespace dormouse::quant {
namespace {

constexpr std::array kAllTypes{
    TensorType::kF32,  TensorType::kF16,  TensorType::kBF16, TensorType::kQ8_0, TensorType::kQ2_K,
    TensorType::kQ3_K, TensorType::kQ4_K, TensorType::kQ5_K, TensorType::kQ6_K};

std::size_t row_bytes(TensorType type, std::size_t n) {
  return n / traits(type).block_elements * traits(type).block_bytes;
}

std::vector<float> round_trip(TensorType type, const std::vector<float>& x) {
  std::vector<std::uint8_t> blocks(row_bytes(type, x.size()));
  quantize_row(type, x.data(), blocks.data(), x.size());
  std::vector<float> out(x.size());
  dequantize_row(type, blocks.data(), out.data(), x.size());
  return out;
}

std::vector<float> gaussian(std::size_t n, float sigma, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0F, sigma);
  std::vector<float> x(n);
  for (float& value : x) value = normal(random);
  return x;
}

double relative_rmse(const std::vector<float>& x, const std::vector<float>& y) {
  double error = 0;
  double power = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    error += std::pow(static_cast<double>(x[i]) - static_cast<double>(y[i]), 2);
    power += std::pow(static_cast<double>(x[i]), 2);
  }
  return std::sqrt(error / power);
}

struct Golden {
  const char* file;
  TensorType type;
};

// The goldens come from tests/golden/quant/make_quant_golden.py: numpy, one weight at a time, from the definition.
TEST(Decode, EqualsTheIndependentImplementationBitForBit) {
  constexpr std::array kGoldens{Golden{"f16", TensorType::kF16},   Golden{"bf16", TensorType::kBF16},
                                Golden{"q8_0", TensorType::kQ8_0}, Golden{"q2_k", TensorType::kQ2_K},
                                Golden{"q3_k", TensorType::kQ3_K}, Golden{"q4_k", TensorType::kQ4_K},
                                Golden{"q5_k", TensorType::kQ5_K}, Golden{"q6_k", TensorType::kQ6_K}};
  for (const Golden& golden : kGoldens) {
    std::ifstream in(std::string(DORMOUSE_SOURCE_DIR "/tests/golden/quant/") + golden.file + ".bin", std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    const TensorTypeTraits t = traits(golden.type);
    const std::size_t blocks = bytes.size() / (t.block_bytes + 4 * t.block_elements);
    ASSERT_GE(blocks, 16U) << golden.file;
    ASSERT_EQ(bytes.size() % (t.block_bytes + 4 * t.block_elements), 0U) << golden.file;
    std::vector<float> out(blocks * t.block_elements);
    dequantize_row(golden.type, bytes.data(), out.data(), out.size());
    for (std::size_t i = 0; i < out.size(); ++i) {
      float want = 0;
      std::memcpy(&want, bytes.data() + blocks * t.block_bytes + 4 * i, sizeof want);
      if (std::isnan(want)) {  // which NaN is not part of the definition
        ASSERT_TRUE(std::isnan(out[i])) << golden.file << " weight " << i;
        continue;
      }
      ASSERT_EQ(std::bit_cast<std::uint32_t>(out[i]), std::bit_cast<std::uint32_t>(want))
          << golden.file << " weight " << i << ": " << out[i] << " want " << want;
    }
  }
}

TEST(Decode, TakesAnyBytesAtAnyAddress) {
  std::mt19937 random(7);
  for (const TensorType type : kAllTypes) {
    const std::size_t n = 8 * std::size_t{256};
    std::vector<std::uint8_t> bytes(row_bytes(type, n) + 1);
    std::vector<float> out(n, 42.0F);
    for (int round = 0; round < 200; ++round) {
      for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random());
      dequantize_row(type, bytes.data() + 1, out.data(), n);  // odd address; ASan and UBSan watch
    }
    EXPECT_NE(out[n - 1], 42.0F) << traits(type).name;
  }
}

// The measure of ggml's test-quantize-fns: 4,096 values of 0.1 + 2 cos(i), sqrt(sum of squared errors) / n. Its limits:
// 2e-3, three bits 4e-3, two bits 7.5e-3.
TEST(Encode, StaysUnderThePublishedErrors) {
  std::vector<float> x(4096);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = 0.1F + 2.0F * std::cos(static_cast<float>(i));
  for (const TensorType type : kAllTypes) {
    const std::vector<float> y = round_trip(type, x);
    double sum = 0;
    for (std::size_t i = 0; i < x.size(); ++i) sum += std::pow(static_cast<double>(x[i] - y[i]), 2);
    const double error = std::sqrt(sum) / static_cast<double>(x.size());
    double limit = 2e-3;
    if (type == TensorType::kQ3_K) limit = 4e-3;
    if (type == TensorType::kQ2_K) limit = 7.5e-3;
    EXPECT_LE(error, limit) << traits(type).name;
  }
}

// The published limits are loose (Q4_K passes with three bits). These are ours: what the search reached on normally
// distributed weights, plus 2 %. Ideal uniform quantisers of a group's range reach about the same.
TEST(Encode, ReachesTheQualityOfTheFormatOnNormalWeights) {
  struct Limit {
    TensorType type;
    double relative_rmse;
  };
  constexpr std::array kLimits{Limit{TensorType::kF32, 0.0},     Limit{TensorType::kF16, 2.1e-4},
                               Limit{TensorType::kBF16, 1.7e-3}, Limit{TensorType::kQ8_0, 5.6e-3},
                               Limit{TensorType::kQ6_K, 1.82e-2},  Limit{TensorType::kQ5_K, 3.69e-2},
                               Limit{TensorType::kQ4_K, 7.34e-2},   Limit{TensorType::kQ3_K, 1.57e-1},
                               Limit{TensorType::kQ2_K, 3.03e-1}};
  const std::vector<float> x = gaussian(256 * 256, 0.02F, 11);
  for (const Limit& limit : kLimits) {
    EXPECT_LE(relative_rmse(x, round_trip(limit.type, x)), limit.relative_rmse) << traits(limit.type).name;
  }
}

TEST(Encode, ZeroesStayZero) {
  const std::vector<float> x(512, 0.0F);
  for (const TensorType type : kAllTypes) {
    for (const float value : round_trip(type, x)) ASSERT_EQ(value, 0.0F) << traits(type).name;
  }
}

TEST(Encode, AConstantBlockComesBackWithinTheScaleRounding) {
  for (const float constant : {0.75F, -0.75F, 1e-3F, -1e-3F}) {
    const std::vector<float> x(256, constant);
    for (const TensorType type : kAllTypes) {
      // Positive constants sit on the top level, negative ones on the minimum: what is left is the rounding of the
      // factor (1e-3 / 15 / 63 is 17 units of half's denormals) and of the integer scale: half a unit in 32.
      for (const float value : round_trip(type, x)) {
        ASSERT_NEAR(value, constant, std::abs(constant) / 64.0F) << traits(type).name;
      }
    }
  }
}

TEST(Encode, OneOutlierDoesNotHurtOtherGroupsMoreThanTheBlockScaleMust) {
  std::vector<float> x = gaussian(256, 0.02F, 5);
  x[3] = 4.0F;
  const std::vector<float> y = round_trip(TensorType::kQ6_K, x);
  EXPECT_NEAR(y[3], 4.0F, 0.02F);
  // The outlier makes the block's factor 4/32/128 = 1e-3; a group's scale is off by at most half of it, over 32 levels.
  for (std::size_t i = 16; i < 256; ++i) ASSERT_NEAR(y[i], x[i], 16e-3F) << i;
}

// Huge, tiny and denormal weights, and mixes of them: no undefined behaviour (sanitizers watch), and what comes back
// is finite, because a saturated factor is wrong by a bounded amount and an infinite one destroys the model.
TEST(Encode, FiniteExtremesStayFinite) {
  constexpr float kMax = std::numeric_limits<float>::max();
  constexpr float kDenormal = std::numeric_limits<float>::denorm_min();
  const std::array<std::vector<float>, 6> patterns{{{kMax, -kMax}, {kDenormal, -kDenormal, 0.0F}, {1e-20F, -1e-30F},
                                                    {kMax, kDenormal, -1.0F}, {6e4F, -7e4F, 3e5F}, {1e-7F, -3e-8F}}};
  for (const TensorType type : kAllTypes) {
    if (type == TensorType::kF16 || type == TensorType::kBF16) continue;  // they round to infinity as IEEE says
    for (const std::vector<float>& pattern : patterns) {
      std::vector<float> x(512);
      for (std::size_t i = 0; i < x.size(); ++i) x[i] = pattern[i % pattern.size()];
      for (const float value : round_trip(type, x)) ASSERT_TRUE(std::isfinite(value)) << traits(type).name;
    }
  }
}

TEST(Encode, NanAndInfinityAreNotUndefinedBehaviour) {
  std::vector<float> x = gaussian(512, 1.0F, 3);
  x[0] = std::numeric_limits<float>::quiet_NaN();
  x[100] = std::numeric_limits<float>::infinity();
  x[300] = -std::numeric_limits<float>::infinity();
  for (const TensorType type : kAllTypes) EXPECT_EQ(round_trip(type, x).size(), x.size());
}

// Encoding what was decoded must not drift: a second trip through the format loses almost nothing.
TEST(Encode, IsNearlyStableUnderRepetition) {
  const std::vector<float> x = gaussian(64 * 256, 1.0F, 23);
  for (const TensorType type : kAllTypes) {
    const std::vector<float> once = round_trip(type, x);
    const std::vector<float> twice = round_trip(type, once);
    const double first = relative_rmse(x, once);
    EXPECT_LE(relative_rmse(once, twice), 0.5 * first + 1e-9) << traits(type).name;
  }
}

TEST(Encode, RandomMagnitudesKeepTheirRelativeError) {
  const std::uint32_t seed = std::random_device{}();
  std::printf("seed %u\n", seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 50; ++round) {
    const float sigma = std::exp2(std::uniform_real_distribution<float>(-9.0F, 9.0F)(random));
    const std::vector<float> x = gaussian(1024, sigma, static_cast<std::uint32_t>(random()));
    EXPECT_LE(relative_rmse(x, round_trip(TensorType::kQ8_0, x)), 0.01) << sigma;
    EXPECT_LE(relative_rmse(x, round_trip(TensorType::kQ4_K, x)), 0.11) << sigma;
    EXPECT_LE(relative_rmse(x, round_trip(TensorType::kQ2_K, x)), 0.45) << sigma;
  }
}

}  // namespace
}  // namespace dormouse::quant
