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
// by float rounding only: one fused step per block (or per element of 4 sums), each off by at most 2^-24 of the
// running magnitude, so |error| <= steps * 2^-24 * sum |w x|, and a factor 2 for the two products of scales.
TEST(Matmul, ScalarEqualsDecodedWeightsTimesActivations) {
  std::mt19937 random(test_seed());
  const KernelTable& scalar = *supported_kernels().front();
  for (const TensorType type : kAllTypes) {
    const std::int32_t k = 1024;
    const std::int32_t n = 5;
    const std::vector<std::uint8_t> weights = make_weights(type, n, k, random);
    PackedWeights packed = pack(type, weights, n, k);
    const ActivationFormat format = product_for(scalar, type, k, RowKind::kGenerated).format;
    std::vector<std::vector<float>> rows = normal_rows(3, k, random);
    AlignedBytes activations = make_activations(scalar, format, rows, k);
    const std::vector<float> got = multiply_all(scalar, packed, activations, RowKind::kGenerated, 3);
    std::vector<float> decoded(static_cast<std::size_t>(k));
    const std::size_t row_bytes = weights.size() / n;
    for (std::int32_t i = 0; i < 3; ++i) {
      const std::uint8_t* row = activations.data() + i * activation_row_bytes(format, k);
      for (std::int32_t r = 0; r < n; ++r) {
        quant::dequantize_row(type, weights.data() + static_cast<std::size_t>(r) * row_bytes, decoded.data(),
                              decoded.size());
        double want = 0;
        double magnitude = 0;
        for (std::int32_t j = 0; j < k; ++j) {
          double x = rows[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)];
          if (format == ActivationFormat::kQ8_0) {
            const auto* scales = reinterpret_cast<const float*>(row + k);
            x = static_cast<double>(scales[j / 32]) * reinterpret_cast<const std::int8_t*>(row)[j];
          } else if (format == ActivationFormat::kQ8_K) {
            const BlockQ8K& block = reinterpret_cast<const BlockQ8K*>(row)[j / 256];
            x = static_cast<double>(block.d) * block.q[j % 256];
          }
          const double product = decoded[static_cast<std::size_t>(j)] * x;
          want += product;
          // The two terms of a block with a minimum are larger than their difference: 63 * 31 * d at most.
          magnitude += std::abs(product) + 8.0 * std::abs(x);
        }
        const double tolerance = 2.0 * (k / 4) * 0x1p-24 * magnitude;
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
    const ActivationFormat format = product_for(*tables.front(), type, 256, RowKind::kGenerated).format;
    const bool k_quant = format == ActivationFormat::kQ8_K;
    for (const std::int32_t k : k_quant ? std::vector{256, 512, 1280} : std::vector{32, 96, 256, 800}) {
      for (const std::int32_t n : {1, 3, 13, 16, 32, 47, 75}) {
        const std::vector<std::uint8_t> weights = make_weights(type, n, k, random);
        PackedWeights packed = pack(type, weights, n, k);
        const std::vector<std::vector<float>> rows = normal_rows(64, k, random);
        AlignedBytes activations = make_activations(*tables.front(), format, rows, k);
        const std::vector<float> want = multiply_all(*tables.front(), packed, activations, RowKind::kGenerated, 64);
        const std::int32_t shift = static_cast<std::int32_t>(random() % 40);
        for (const std::int32_t m : {1, 2, 3, 4, 5, 6, 8, 9, 16, 17, 33, 64}) {
          const std::vector<float> first(want.begin(), want.begin() + std::int64_t{m} * n);
          for (const KernelTable* table : tables) {
            ASSERT_TRUE(all_same_bits(multiply_all(*table, packed, activations, RowKind::kGenerated, m), first))
                << table->name << " " << traits(type).name << " m " << m << " n " << n << " k " << k << " seed "
                << test_seed();
          }
        }
        for (const KernelTable* table : tables) {
          const Product many = product_for(*table, type, k, RowKind::kGeneratedMany);
          AlignedBytes tiles = make_activations(*table, many.format, rows, k, shift);
          for (const std::int32_t m : {1, 9, 16, 17, 33, 64}) {
            const Call call{.kind = RowKind::kGeneratedMany, .first = shift, .m = m, .row_end = n};
            ASSERT_TRUE(all_same_bits(multiply(*table, packed, tiles, call),
                                      {want.begin(), want.begin() + std::int64_t{m} * n}))
                << table->name << " many " << traits(type).name << " m " << m << " n " << n << " k " << k << " seed "
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
      PackedWeights packed = pack(type, make_weights(type, n, k, random, wild), n, k);
      std::vector<std::vector<float>> rows;
      for (const Row kind : kAllRows) rows.push_back(make_row(kind, k, random));
      const auto m = static_cast<std::int32_t>(rows.size());
      const ActivationFormat format = product_for(*tables.front(), type, k, RowKind::kGenerated).format;
      AlignedBytes activations = make_activations(*tables.front(), format, rows, k);
      const std::vector<float> want = multiply_all(*tables.front(), packed, activations, RowKind::kGenerated, m);
      for (const KernelTable* table : tables) {
        EXPECT_TRUE(all_same_bits(multiply_all(*table, packed, activations, RowKind::kGenerated, m), want))
            << table->name << " " << traits(type).name << " wild " << wild << " seed " << test_seed();
        AlignedBytes many =
            make_activations(*table, product_for(*table, type, k, RowKind::kGeneratedMany).format, rows, k);
        EXPECT_TRUE(all_same_bits(multiply_all(*table, packed, many, RowKind::kGeneratedMany, m), want))
            << table->name << " many " << traits(type).name << " wild " << wild << " seed " << test_seed();
        // The prompt arithmetic has no common truth here: it must write every result and touch nothing else.
        AlignedBytes prompt = make_activations(*table, product_for(*table, type, k, RowKind::kPrompt).format, rows, k);
        for (const float value : multiply_all(*table, packed, prompt, RowKind::kPrompt, m)) EXPECT_NE(value, -12345.0F);
      }
    }
  }
}

// Goal: the extreme integers of every format stay exact: all quants, scales and activations at their limits is where a
// 16-bit intermediate would saturate.
TEST(Matmul, LargestQuantsDoNotSaturate) {
  const std::vector<const KernelTable*> tables = supported_kernels();
  for (const TensorType type : kAllTypes) {
    const ActivationFormat format = product_for(*tables.front(), type, 512, RowKind::kGenerated).format;
    if (format == ActivationFormat::kF32) continue;
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
        const std::vector<std::vector<float>> rows(20, std::vector<float>(static_cast<std::size_t>(k), sign));
        PackedWeights packed = pack(type, weights, n, k);
        AlignedBytes activations = make_activations(*tables.front(), format, rows, k);
        const std::vector<float> want = multiply_all(*tables.front(), packed, activations, RowKind::kGenerated, 20);
        for (const KernelTable* table : tables) {
          AlignedBytes tiles =
              make_activations(*table, product_for(*table, type, k, RowKind::kGeneratedMany).format, rows, k);
          EXPECT_TRUE(all_same_bits(multiply_all(*table, packed, tiles, RowKind::kGeneratedMany, 20), want))
              << table->name << " many " << t.name << " fill " << fill;
          for (const std::int32_t m : {1, 5, 20}) {
            const std::vector<float> got = multiply_all(*table, packed, activations, RowKind::kGenerated, m);
            EXPECT_TRUE(all_same_bits(got, {want.begin(), want.begin() + m * n}))
                << table->name << " " << t.name << " fill " << fill;
          }
        }
      }
    }
  }
}

// Goal: a row's result does not depend on how many rows are computed with it, where in a buffer it lies, nor on how
// weight rows are cut into tasks; in both arithmetics.
TEST(Matmul, RowsAndTasksDoNotDependOnEachOther) {
  std::mt19937 random(test_seed());
  for (const KernelTable* table : supported_kernels()) {
    for (const TensorType type : kAllTypes) {
      for (const RowKind kind : {RowKind::kGenerated, RowKind::kGeneratedMany, RowKind::kPrompt}) {
        const std::int32_t k = 1280;  // five blocks: panels of two and of four end inside
        const std::int32_t n = 72;
        const std::int32_t m = 70;
        PackedWeights packed = pack(type, make_weights(type, n, k, random), n, k);
        const std::vector<std::vector<float>> rows = normal_rows(m, k, random);
        const ActivationFormat format = product_for(*table, type, k, kind).format;
        AlignedBytes activations = make_activations(*table, format, rows, k);
        const std::vector<float> want = multiply_all(*table, packed, activations, kind, m);
        const std::int32_t shift = static_cast<std::int32_t>(random() % 40);
        AlignedBytes shifted = make_activations(*table, format, rows, k, shift);
        for (std::int32_t begin = 0; begin < m;) {
          const std::int32_t count = std::min<std::int32_t>(1 + static_cast<std::int32_t>(random() % 40), m - begin);
          for (std::int32_t row = 0; row < n;) {
            const std::int32_t take =
                std::min<std::int32_t>(16 + static_cast<std::int32_t>(random() % 3) * 16, n - row);
            const std::vector<float> part =
                multiply(*table, packed, shifted,
                         {.kind = kind, .first = shift + begin, .m = count, .row_begin = row, .row_end = row + take});
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
}

// Goal: the prompt arithmetic is close to exact. Method: against the double product of decoded weights and the float
// activations. Both sides are int8 with a step of (largest of 256) / 126: for normal data a rounding of 1 / sqrt(12)
// steps of about 3.2 / 127 deviations is 0.7 % of a value, for random blocks (largest weights some 2.5 deviations) a
// little less; two such errors that know nothing of each other give 1 %, and the fixed-point factors some more. bf16
// has 8 bits: at most 2^-9 of a value on each side, 0.16 % of RMS where mantissas are even; 0.3 % where they are low.
TEST(Matmul, PromptArithmeticIsWithinItsRounding) {
  std::mt19937 random(test_seed());
  for (const KernelTable* table : supported_kernels()) {
    for (const TensorType type : kAllTypes) {
      const std::int32_t k = 2560;
      const std::int32_t n = 32;
      const std::int32_t m = 33;
      const std::vector<std::uint8_t> weights = make_weights(type, n, k, random);
      PackedWeights packed = pack(type, weights, n, k);
      const std::vector<std::vector<float>> rows = normal_rows(m, k, random);
      AlignedBytes activations =
          make_activations(*table, product_for(*table, type, k, RowKind::kPrompt).format, rows, k);
      const std::vector<float> got = multiply_all(*table, packed, activations, RowKind::kPrompt, m);
      double error = 0;
      double norm = 0;
      std::vector<float> decoded(static_cast<std::size_t>(k));
      for (std::int32_t r = 0; r < n; ++r) {
        quant::dequantize_row(type, weights.data() + static_cast<std::size_t>(r) * (weights.size() / n), decoded.data(),
                              decoded.size());
        for (std::int32_t i = 0; i < m; ++i) {
          double want = 0;
          for (std::size_t j = 0; j < decoded.size(); ++j) {
            want += static_cast<double>(decoded[j]) * rows[static_cast<std::size_t>(i)][j];
          }
          error += std::pow(got[static_cast<std::size_t>(i * n + r)] - want, 2);
          norm += want * want;
        }
      }
      const bool bf16 = product_for(*table, type, k, RowKind::kPrompt).format == ActivationFormat::kBF16Tiles;
      EXPECT_LE(std::sqrt(error / norm), bf16 ? 0.003 : 0.012) << table->name << " " << traits(type).name;
    }
  }
}

// Goal: the fused kernel is gate, up, activation and quantisation in one. Method: the same from the parts.
TEST(Matmul, FusedSwigluEqualsItsParts) {
  std::mt19937 random(test_seed());
  for (const KernelTable* table : supported_kernels()) {
    for (const TensorType type : kAllTypes) {
      const std::int32_t k = 768;
      const std::int32_t n = 512;
      const Swiglu swiglu = swiglu_for(*table, type, k);
      if (swiglu == nullptr) continue;
      PackedWeights gate = pack(type, make_weights(type, n, k, random), n, k);
      PackedWeights up = pack(type, make_weights(type, n, k, random), n, k);
      for (const std::int32_t first : {0, 5}) {
        const std::int32_t m = 37;
        AlignedBytes input = make_activations(*table, ActivationFormat::kQ8Tiles, normal_rows(m, k, random), k, first);
        const Call call{.kind = RowKind::kPrompt, .first = first, .m = m, .row_end = n};
        std::vector<float> h = multiply(*table, gate, input, call);
        const std::vector<float> other = multiply(*table, up, input, call);
        AlignedBytes want(64 * activation_row_bytes(ActivationFormat::kQ8Tiles, n));
        AlignedBytes got(64 * activation_row_bytes(ActivationFormat::kQ8Tiles, n));
        AlignedBytes scratch(kMatmulScratchBytes);
        for (std::int32_t i = 0; i < m; ++i) {
          table->silu_mul(h.data() + i * n, other.data() + i * n, n);
          table->quantize_q8_tiles(want.data(), first + i, h.data() + i * n, n);
        }
        swiglu({.gate = gate.bytes.data(),
                .up = up.bytes.data(),
                .strip_bytes = packed_strip_bytes(type, k),
                .block_begin = 0,
                .block_end = n / 256,
                .k = k,
                .activations = input.data(),
                .first_row = first,
                .m = m,
                .out = got.data(),
                .out_columns = n,
                .scratch = scratch.data()});
        const auto* a = reinterpret_cast<const Q8TileBlock*>(want.data());
        const auto* b = reinterpret_cast<const Q8TileBlock*>(got.data());
        for (std::int32_t row = first; row < first + m; ++row) {
          for (std::int32_t block = 0; block < n / 256; ++block) {
            const Q8TileBlock& x = a[row / 32 * (n / 256) + block];
            const Q8TileBlock& y = b[row / 32 * (n / 256) + block];
            ASSERT_TRUE(same_bits(x.d[row % 32], y.d[row % 32])) << table->name << " " << traits(type).name;
            for (int step = 0; step < 4; ++step) {
              ASSERT_EQ(std::memcmp(x.q[row % 32 / 16][step][row % 16], y.q[row % 32 / 16][step][row % 16], 64), 0)
                  << table->name << " " << traits(type).name << " row " << row;
            }
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace dormouse::kernels
