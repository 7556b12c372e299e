#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/test_data.h"
#include "quant/codec.h"

namespace dormouse::kernels {
namespace {

std::vector<std::vector<float>> normal_rows(std::int32_t m, std::int32_t k, std::mt19937& random) {
  std::vector<std::vector<float>> out;
  for (std::int32_t i = 0; i < m; ++i) out.push_back(make_row(Row::kNormal, k, random));
  return out;
}

// Goal: the specification multiplies by what the format says a weight is.
// Method: decoded weights times the activations (as the quantiser represents them) in double. The scalar result differs
// by float rounding only: one fused step per block (or per element of 16 sums), each off by at most 2^-24 of the
// running magnitude, so |error| <= steps * 2^-24 * sum |w x|, and a factor 2 for the two products of scales.
TEST(Matmul, ScalarEqualsDecodedWeightsTimesActivations) {
  std::mt19937 random(test_seed());
  const KernelTable& scalar = *supported_kernels().front();
  for (const TensorType type : kAllTypes) {
    const std::int32_t k = 1024;
    const std::int32_t n = 5;
    const std::vector<std::uint8_t> weights = make_weights(type, n, k, random);
    std::vector<std::vector<float>> rows = normal_rows(3, k, random);
    AlignedBytes activations = make_activations(scalar, type, rows, k);
    const std::vector<float> got = multiply(scalar, type, weights.data(), n, k, activations.data(), 3);
    std::vector<float> decoded(static_cast<std::size_t>(k));
    const std::size_t row_bytes = weights.size() / n;
    for (std::int32_t i = 0; i < 3; ++i) {
      const std::uint8_t* row = activations.data() + i * activation_row_bytes(activation_format(type), k);
      for (std::int32_t r = 0; r < n; ++r) {
        quant::dequantize_row(type, weights.data() + static_cast<std::size_t>(r) * row_bytes, decoded.data(),
                              decoded.size());
        double want = 0;
        double magnitude = 0;
        for (std::int32_t j = 0; j < k; ++j) {
          double x = rows[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)];
          if (activation_format(type) == ActivationFormat::kQ8_0) {
            const auto* scales = reinterpret_cast<const float*>(row + k);
            x = static_cast<double>(scales[j / 32]) * reinterpret_cast<const std::int8_t*>(row)[j];
          } else if (activation_format(type) == ActivationFormat::kQ8_K) {
            const BlockQ8K& block = reinterpret_cast<const BlockQ8K*>(row)[j / 256];
            x = static_cast<double>(block.d) * block.q[j % 256];
          }
          const double product = decoded[static_cast<std::size_t>(j)] * x;
          want += product;
          // The two terms of a block with a minimum are larger than their difference: 63 * 31 * d at most.
          magnitude += std::abs(product) + 8.0 * std::abs(x);
        }
        const double tolerance = 2.0 * (k / 16) * 0x1p-24 * magnitude;
        EXPECT_NEAR(got[static_cast<std::size_t>(i * n + r)], want, tolerance) << traits(type).name << " row " << r;
      }
    }
  }
}

// Goal: every table gives the specification's bits for every shape, remainders included.
TEST(Matmul, EveryTableEqualsScalarToTheBitOverAllShapes) {
  std::mt19937 random(test_seed());
  const std::vector<const KernelTable*> tables = supported_kernels();
  for (const TensorType type : kAllTypes) {
    const bool k_quant = activation_format(type) == ActivationFormat::kQ8_K;
    for (const std::int32_t k : k_quant ? std::vector{256, 512, 1280} : std::vector{32, 96, 256, 800}) {
      for (const std::int32_t n : {1, 3, 4, 8, 13, 32, 47, 75}) {
        const std::vector<std::uint8_t> weights = make_weights(type, n, k, random);
        for (const std::int32_t m : {1, 2, 3, 4, 5, 6, 8, 17}) {
          const std::vector<std::vector<float>> rows = normal_rows(m, k, random);
          AlignedBytes activations = make_activations(*tables.front(), type, rows, k);
          const std::vector<float> want = multiply(*tables.front(), type, weights.data(), n, k, activations.data(), m);
          for (const KernelTable* table : tables) {
            ASSERT_TRUE(all_same_bits(multiply(*table, type, weights.data(), n, k, activations.data(), m), want))
                << table->name << " " << traits(type).name << " m " << m << " n " << n << " k " << k << " seed "
                << test_seed();
          }
        }
      }
    }
  }
}

// Goal: the same with zeros, denormals, huge values, infinities and NaNs among the activations, and with any bits at
// all as weights (a damaged file must not read or write out of bounds, and all tables must agree what comes out).
TEST(Matmul, EveryTableEqualsScalarOnExtremeRowsAndWildWeights) {
  std::mt19937 random(test_seed());
  const std::vector<const KernelTable*> tables = supported_kernels();
  for (const TensorType type : kAllTypes) {
    for (const bool wild : {false, true}) {
      const std::int32_t k = 768;
      const std::int32_t n = 21;
      const std::vector<std::uint8_t> weights = make_weights(type, n, k, random, wild);
      std::vector<std::vector<float>> rows;
      for (const Row kind : kAllRows) rows.push_back(make_row(kind, k, random));
      const auto m = static_cast<std::int32_t>(rows.size());
      AlignedBytes activations = make_activations(*tables.front(), type, rows, k);
      const std::vector<float> want = multiply(*tables.front(), type, weights.data(), n, k, activations.data(), m);
      for (const KernelTable* table : tables) {
        EXPECT_TRUE(all_same_bits(multiply(*table, type, weights.data(), n, k, activations.data(), m), want))
            << table->name << " " << traits(type).name << " wild " << wild << " seed " << test_seed();
      }
    }
  }
}

// Goal: the extreme integers of every format stay exact: all quants, scales and activations at their limits is where a
// 16-bit intermediate would saturate.
TEST(Matmul, LargestQuantsDoNotSaturate) {
  const std::vector<const KernelTable*> tables = supported_kernels();
  for (const TensorType type : kAllTypes) {
    if (activation_format(type) == ActivationFormat::kF32) continue;
    for (const int fill : {0x00, 0x7F, 0x80, 0xFF}) {
      for (const float sign : {1.0F, -1.0F}) {
        const std::int32_t k = 512;
        const std::int32_t n = 9;
        std::mt19937 random(test_seed());
        std::vector<std::uint8_t> weights = make_weights(type, n, k, random);
        const std::vector<std::uint8_t> original = weights;
        std::fill(weights.begin(), weights.end(), static_cast<std::uint8_t>(fill));
        // Put the scales d back (their place differs per format): every byte pair that make_weights wrote as a half.
        const TensorTypeTraits t = traits(type);
        for (std::size_t at = 0; at < weights.size(); at += t.block_bytes) {
          std::size_t offset = 0;
          std::size_t count = 2;
          if (type == TensorType::kQ2_K) offset = 80, count = 4;
          if (type == TensorType::kQ3_K) offset = 108;
          if (type == TensorType::kQ4_K || type == TensorType::kQ5_K) count = 4;
          if (type == TensorType::kQ6_K) offset = 208;
          std::copy_n(original.begin() + static_cast<std::ptrdiff_t>(at + offset), count,
                      weights.begin() + static_cast<std::ptrdiff_t>(at + offset));
        }
        const std::vector<std::vector<float>> rows(5, std::vector<float>(static_cast<std::size_t>(k), sign));
        AlignedBytes activations = make_activations(*tables.front(), type, rows, k);
        const std::vector<float> want = multiply(*tables.front(), type, weights.data(), n, k, activations.data(), 5);
        for (const KernelTable* table : tables) {
          for (const std::int32_t m : {1, 5}) {
            const std::vector<float> got = multiply(*table, type, weights.data(), n, k, activations.data(), m);
            EXPECT_TRUE(all_same_bits(got, {want.begin(), want.begin() + m * n}))
                << table->name << " " << t.name << " fill " << fill;
          }
        }
      }
    }
  }
}

// Goal: a row's result does not depend on how many rows are computed with it, nor on how weight rows are cut into
// tasks.
TEST(Matmul, RowsAndTasksDoNotDependOnEachOther) {
  std::mt19937 random(test_seed());
  for (const KernelTable* table : supported_kernels()) {
    for (const TensorType type : kAllTypes) {
      const std::int32_t k = 512;
      const std::int32_t n = 50;
      const std::int32_t m = 11;
      const std::vector<std::uint8_t> weights = make_weights(type, n, k, random);
      const std::vector<std::vector<float>> rows = normal_rows(m, k, random);
      AlignedBytes activations = make_activations(*table, type, rows, k);
      const std::vector<float> want = multiply(*table, type, weights.data(), n, k, activations.data(), m);
      const std::int64_t stride = activation_row_bytes(activation_format(type), k);
      const std::size_t row_bytes = weights.size() / static_cast<std::size_t>(n);
      for (std::int32_t begin = 0; begin < m;) {
        const std::int32_t count = std::min<std::int32_t>(1 + static_cast<std::int32_t>(random() % 5), m - begin);
        for (std::int32_t row = 0; row < n;) {
          const std::int32_t take = std::min<std::int32_t>(1 + static_cast<std::int32_t>(random() % 20), n - row);
          const std::vector<float> part =
              multiply(*table, type, weights.data() + static_cast<std::size_t>(row) * row_bytes, take, k,
                       activations.data() + begin * stride, count);
          for (std::int32_t i = 0; i < count; ++i) {
            for (std::int32_t r = 0; r < take; ++r) {
              ASSERT_TRUE(same_bits(part[static_cast<std::size_t>(i * take + r)],
                                    want[static_cast<std::size_t>((begin + i) * n + row + r)]))
                  << table->name << " " << traits(type).name << " seed " << test_seed();
            }
          }
          row += take;
        }
        begin += count;
      }
    }
  }
}

}  // namespace
}  // namespace dormouse::kernels
