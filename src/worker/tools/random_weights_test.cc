// Goal: the noise is valid in every format, has the spread it promises, and is the same for the same seed.
#include "worker/tools/random_weights.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

#include "quant/codec.h"

namespace dormouse::worker {
namespace {

constexpr std::array kTypes{TensorType::kF32,  TensorType::kF16,  TensorType::kBF16,
                            TensorType::kQ8_0, TensorType::kQ2_K, TensorType::kQ3_K,
                            TensorType::kQ4_K, TensorType::kQ5_K, TensorType::kQ6_K};
constexpr std::uint64_t kWeights = 1U << 18;

std::vector<std::uint8_t> noise_bytes(TensorType type, float sigma, std::uint64_t seed) {
  std::vector<std::uint8_t> out(kWeights / traits(type).block_elements * traits(type).block_bytes);
  NoiseSource noise(seed);
  fill_random_weights(type, sigma, noise, out.data(), kWeights);
  return out;
}

TEST(RandomWeights, HaveTheWantedSpreadInEveryFormat) {
  for (const TensorType type : kTypes) {
    for (const float sigma : {0.02F, 0.0032F}) {  // hidden 2560 in, and the same into the residual stream of 36 layers
      std::vector<float> x(kWeights);
      quant::dequantize_row(type, noise_bytes(type, sigma, 3).data(), x.data(), kWeights);
      double sum = 0;
      double squares = 0;
      for (const float value : x) {
        ASSERT_TRUE(std::isfinite(value));
        sum += static_cast<double>(value);
        squares += static_cast<double>(value) * static_cast<double>(value);
      }
      const double mean = sum / static_cast<double>(kWeights);
      const double spread = std::sqrt(squares / static_cast<double>(kWeights));
      EXPECT_NEAR(spread, static_cast<double>(sigma), 0.05 * static_cast<double>(sigma)) << traits(type).name;
      // 2^18 weights in at least 2^13 independent groups: 0.02 sigma is far outside chance.
      EXPECT_NEAR(mean, 0.0, 0.02 * static_cast<double>(sigma)) << traits(type).name;
    }
  }
}

TEST(RandomWeights, TheSeedDecidesEveryByte) {
  for (const TensorType type : kTypes) {
    EXPECT_EQ(noise_bytes(type, 0.02F, 9), noise_bytes(type, 0.02F, 9)) << traits(type).name;
    EXPECT_NE(noise_bytes(type, 0.02F, 9), noise_bytes(type, 0.02F, 10)) << traits(type).name;
  }
}

TEST(RandomWeights, NormsLieAroundOne) {
  std::vector<float> x(1024);
  NoiseSource noise(1);
  fill_random_weights(TensorType::kF32, 0, noise, x.data(), x.size());
  for (const float value : x) ASSERT_TRUE(value >= 0.9F && value <= 1.1F);
}

// Kernels that take |q| with a byte instruction overflow on -128; real encoders never write it.
TEST(RandomWeights, Q8NeverHoldsMinus128) {
  const std::vector<std::uint8_t> bytes = noise_bytes(TensorType::kQ8_0, 0.02F, 4);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i % 34 >= 2) {
      ASSERT_NE(bytes[i], 0x80) << i;
    }
  }
}

}  // namespace
}  // namespace dormouse::worker
