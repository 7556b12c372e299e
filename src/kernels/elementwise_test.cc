#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <vector>

#include "kernels/test_data.h"

namespace dormouse::kernels {
namespace {

constexpr std::int32_t kLengths[] = {16, 32, 48, 128, 272, 2560};

// Goal: quantisation represents each value within half a step, its sums are the sums, and bad blocks are marked.
TEST(Quantize, ErrorIsAtMostHalfAStepAndSumsAreExact) {
  std::mt19937 random(test_seed());
  const KernelTable& scalar = *supported_kernels().front();
  for (const Row kind : {Row::kNormal, Row::kZero, Row::kHuge, Row::kOutlier}) {
    const std::vector<float> x = make_row(kind, 256, random);
    AlignedBytes out(activation_row_bytes(ActivationFormat::kQ8_K, 256));
    scalar.quantize_q8_k(out.data(), x.data(), 256);
    const auto& block = *reinterpret_cast<const BlockQ8K*>(out.data());
    int sum = 0;
    for (std::size_t i = 0; i < 256; ++i) {
      // Half a step, and the rounding of x * (127 / amax) itself.
      EXPECT_LE(std::abs(x[i] - block.d * static_cast<float>(block.q[i])), 0.5001F * block.d) << i;
      sum += block.q[i];
      if (i % 32 == 31) {
        EXPECT_EQ(sum, block.sums32[i / 32]);
        EXPECT_EQ(sum, block.sums16[i / 16 - 1] + block.sums16[i / 16]);
        sum = 0;
      }
    }
  }
  for (const Row kind : {Row::kInfinity, Row::kNan}) {
    const std::vector<float> x = make_row(kind, 256, random);
    AlignedBytes out(activation_row_bytes(ActivationFormat::kQ8_K, 256));
    scalar.quantize_q8_k(out.data(), x.data(), 256);
    const auto& block = *reinterpret_cast<const BlockQ8K*>(out.data());
    EXPECT_TRUE(std::isnan(block.d));
    EXPECT_EQ(block.q[7], 0);
  }
}

// Goal: the sums that a table without signed products needs are the sums.
TEST(Quantize, Q8_0SumsAreExact) {
  std::mt19937 random(test_seed());
  const std::vector<float> x = make_row(Row::kNormal, 288, random);
  for (const KernelTable* table : supported_kernels()) {
    AlignedBytes out(activation_row_bytes(ActivationFormat::kQ8_0, 288));
    table->quantize_q8_0(out.data(), x.data(), 288);
    const auto* q = reinterpret_cast<const std::int8_t*>(out.data());
    const auto* sums = reinterpret_cast<const std::int32_t*>(out.data() + 320 + 9 * 4);
    for (int block = 0; block < 9; ++block) {
      EXPECT_EQ(std::accumulate(q + 32 * block, q + 32 * block + 32, 0), sums[block]) << table->name;
    }
  }
}

// Goal: matrix tiles hold what a Q8_K row holds, wherever the row lies.
TEST(Quantize, TilesHoldTheValuesOfRows) {
  std::mt19937 random(test_seed());
  for (const KernelTable* table : supported_kernels()) {
    if (table->quantize_q8_tiles == nullptr) continue;
    const std::int32_t k = 512;
    AlignedBytes tiles(64 * activation_row_bytes(ActivationFormat::kQ8Tiles, k));
    for (const Row kind : kAllRows) {
      const std::vector<float> x = make_row(kind, k, random);
      const auto row = static_cast<std::int32_t>(random() % 64);
      AlignedBytes plain(activation_row_bytes(ActivationFormat::kQ8_K, k));
      table->quantize_q8_k(plain.data(), x.data(), k);
      table->quantize_q8_tiles(tiles.data(), row, x.data(), k);
      for (int block = 0; block < 2; ++block) {
        const BlockQ8K& want = reinterpret_cast<const BlockQ8K*>(plain.data())[block];
        const Q8TileBlock& got = reinterpret_cast<const Q8TileBlock*>(tiles.data())[row / 32 * 2 + block];
        EXPECT_TRUE(same_bits(got.d[row % 32], want.d));
        for (int g = 0; g < 16; ++g) EXPECT_EQ(got.sums16[row % 32][g], want.sums16[g]) << g;
        for (int g = 0; g < 8; ++g) EXPECT_EQ(got.sums32[row % 32][g], want.sums32[g]) << g;
        for (int i = 0; i < 256; ++i) EXPECT_EQ(got.q[row % 32 / 16][i / 64][row % 16][i % 64], want.q[i]) << i;
      }
    }
  }
}

TEST(Quantize, EveryTableEqualsScalarToTheBit) {
  std::mt19937 random(test_seed());
  const std::vector<const KernelTable*> tables = supported_kernels();
  for (const Row kind : kAllRows) {
    for (const std::int32_t k : {32, 96, 256, 288, 1024}) {
      const std::vector<float> x = make_row(kind, k, random);
      for (const ActivationFormat format : {ActivationFormat::kQ8_0, ActivationFormat::kQ8_K}) {
        if (format == ActivationFormat::kQ8_K && k % 256 != 0) continue;
        const auto quantise = [&](const KernelTable& table) {
          AlignedBytes out(activation_row_bytes(format, k));
          (format == ActivationFormat::kQ8_0 ? table.quantize_q8_0 : table.quantize_q8_k)(out.data(), x.data(), k);
          return std::vector<std::uint8_t>(out.data(), out.data() + activation_row_bytes(format, k));
        };
        const std::vector<std::uint8_t> want = quantise(*tables.front());
        for (const KernelTable* table : tables) EXPECT_EQ(quantise(*table), want) << table->name << " k " << k;
      }
    }
  }
}

// Goal: the norm and the activation function are what their names say, within float rounding.
// Tolerances: n fused steps in 16 sums leave n / 16 * 2^-24 relative in the mean, half of it after the root; exp is
// good to 2^-22, the quotient and products add a few more.
TEST(Elementwise, ScalarEqualsDoubleArithmetic) {
  std::mt19937 random(test_seed());
  const KernelTable& scalar = *supported_kernels().front();
  for (const std::int32_t n : kLengths) {
    const std::vector<float> x = make_row(Row::kNormal, n, random);
    const std::vector<float> y = make_row(Row::kNormal, n, random);
    std::vector<float> got(x.size());
    scalar.rms_norm(got.data(), x.data(), y.data(), n, 1e-6F);
    double square = 0;
    for (const float value : x) square += static_cast<double>(value) * value;
    const double inverse = 1.0 / std::sqrt(square / n + 1e-6);
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double want = x[i] * inverse * y[i];
      EXPECT_NEAR(got[i], want, std::abs(want) * (n / 16 + 4) * 0x1p-24);
    }
    got = x;
    for (float& value : got) value *= 10;
    const std::vector<float> gate = got;
    scalar.silu_mul(got.data(), y.data(), n);
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double want = gate[i] / (1.0 + std::exp(-static_cast<double>(gate[i]))) * y[i];
      EXPECT_NEAR(got[i], want, std::abs(want) * 0x1p-20) << gate[i];
    }
  }
}

TEST(Elementwise, EveryTableEqualsScalarToTheBit) {
  std::mt19937 random(test_seed());
  const std::vector<const KernelTable*> tables = supported_kernels();
  for (const Row kind : kAllRows) {
    for (const std::int32_t n : kLengths) {
      const std::vector<float> x = make_row(kind, n, random);
      std::vector<float> y = make_row(Row::kNormal, n, random);
      for (float& value : y) value *= 30;  // exp's clamps
      const auto each = [&](const KernelTable& table) {
        std::vector<float> all(x.size());
        table.rms_norm(all.data(), x.data(), y.data(), n, 1e-6F);
        std::vector<float> part = x;
        table.silu_mul(part.data(), y.data(), n);
        all.insert(all.end(), part.begin(), part.end());
        part = y;
        table.silu_mul(part.data(), x.data(), n);
        all.insert(all.end(), part.begin(), part.end());
        part = x;
        table.add(part.data(), y.data(), n);
        all.insert(all.end(), part.begin(), part.end());
        part = x;
        table.rope(part.data(), y.data(), y.data() + n / 2, n);
        all.insert(all.end(), part.begin(), part.end());
        return all;
      };
      const std::vector<float> want = each(*tables.front());
      for (const KernelTable* table : tables) {
        EXPECT_TRUE(all_same_bits(each(*table), want)) << table->name << " n " << n << " seed " << test_seed();
      }
    }
  }
}

}  // namespace
}  // namespace dormouse::kernels
