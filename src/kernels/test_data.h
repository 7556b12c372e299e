// Inputs of the kernel tests and benchmarks: random weights of every type, activation rows that hurt, and comparison to
// the bit. Test code only.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "base/tensor_type.h"
#include "kernels/dispatch.h"
#include "kernels/kernels.h"
#include "kernels/layout.h"

namespace dormouse::kernels {

inline constexpr TensorType kAllTypes[] = {TensorType::kF32,  TensorType::kF16,  TensorType::kBF16,
                                           TensorType::kQ8_0, TensorType::kQ2_K, TensorType::kQ3_K,
                                           TensorType::kQ4_K, TensorType::kQ5_K, TensorType::kQ6_K};

// DORMOUSE_TEST_SEED=n repeats a run; the seed is printed.
inline std::uint32_t test_seed() {
  static const std::uint32_t seed = [] {
    const char* text = std::getenv("DORMOUSE_TEST_SEED");
    std::uint32_t value = 20'261'123U;
    if (text != nullptr) std::from_chars(text, text + std::strlen(text), value);
    testing::Test::RecordProperty("seed", std::to_string(value));
    return value;
  }();
  return seed;
}

// 64-byte aligned bytes.
class AlignedBytes {
 public:
  explicit AlignedBytes(std::int64_t bytes, std::uint8_t fill = 0)
      : storage_(static_cast<std::size_t>(bytes) + 64, fill) {}
  [[nodiscard]] std::uint8_t* data() {
    const auto address = reinterpret_cast<std::uintptr_t>(storage_.data());
    return storage_.data() + (64 - address % 64) % 64;
  }

 private:
  std::vector<std::uint8_t> storage_;
};

// Equal to the bit; any NaN equals any NaN (which payload survives is not specified).
inline bool same_bits(float a, float b) {
  if (std::isnan(a) && std::isnan(b)) return true;
  return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
}

inline testing::AssertionResult all_same_bits(const std::vector<float>& got, const std::vector<float>& want) {
  if (got.size() != want.size()) return testing::AssertionFailure() << "sizes " << got.size() << " " << want.size();
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (!same_bits(got[i], want[i])) {
      return testing::AssertionFailure() << "at " << i << ": got " << got[i] << ", want " << want[i];
    }
  }
  return testing::AssertionSuccess();
}

enum class Row { kNormal, kZero, kDenormal, kHuge, kOutlier, kInfinity, kNan };
inline constexpr Row kAllRows[] = {Row::kNormal,  Row::kZero,     Row::kDenormal, Row::kHuge,
                                   Row::kOutlier, Row::kInfinity, Row::kNan};

inline std::vector<float> make_row(Row kind, std::int32_t k, std::mt19937& random) {
  std::normal_distribution<float> normal;
  std::vector<float> out(static_cast<std::size_t>(k));
  for (float& x : out) {
    x = normal(random);
    if (kind == Row::kZero) x = 0;
    if (kind == Row::kDenormal) x *= 1e-41F;
    if (kind == Row::kHuge) x *= 1e37F;
  }
  const std::size_t middle = out.size() / 2;
  if (kind == Row::kOutlier) out[middle] = 1e4F;
  if (kind == Row::kInfinity) out[middle] = INFINITY;
  if (kind == Row::kNan) out[middle] = NAN;
  return out;
}

// Random blocks: every bit pattern of quants and packed scales occurs. Scales d are kept finite and small, except where
// `wild`, when they too are any bits (infinities and NaNs included).
inline std::vector<std::uint8_t> make_weights(TensorType type, std::int32_t rows, std::int32_t k, std::mt19937& random,
                                              bool wild = false) {
  const TensorTypeTraits type_traits = traits(type);
  const auto blocks = static_cast<std::size_t>(rows) * static_cast<std::size_t>(k) / type_traits.block_elements;
  std::vector<std::uint8_t> out(blocks * type_traits.block_bytes);
  for (std::uint8_t& byte : out) byte = static_cast<std::uint8_t>(random());
  if (wild) return out;
  std::normal_distribution<float> normal;
  const auto put_half = [&](std::size_t at) {  // +-(1..2) * 2^-6
    const auto half = static_cast<std::uint16_t>((random() & 0x83FFU) | 0x2400U);
    std::memcpy(out.data() + at, &half, 2);
  };
  for (std::size_t block = 0; block < blocks; ++block) {
    const std::size_t begin = block * type_traits.block_bytes;
    switch (type) {
      case TensorType::kF32: {
        const float x = normal(random);
        std::memcpy(out.data() + begin, &x, 4);
        break;
      }
      case TensorType::kBF16: {
        const auto word = static_cast<std::uint16_t>((random() & 0x807FU) | 0x3F00U);
        std::memcpy(out.data() + begin, &word, 2);
        break;
      }
      case TensorType::kF16:
      case TensorType::kQ8_0: put_half(begin); break;
      case TensorType::kQ2_K:
        put_half(begin + 80);
        put_half(begin + 82);
        break;
      case TensorType::kQ3_K: put_half(begin + 108); break;
      case TensorType::kQ4_K:
      case TensorType::kQ5_K:
        put_half(begin);
        put_half(begin + 2);
        break;
      case TensorType::kQ6_K: put_half(begin + 208); break;
    }
  }
  return out;
}

// Weights as the kernels take them.
struct PackedWeights {
  AlignedBytes bytes;
  TensorType type;
  std::int32_t rows;
  std::int32_t columns;
};
inline PackedWeights pack(TensorType type, const std::vector<std::uint8_t>& weights, std::int32_t rows,
                          std::int32_t columns) {
  PackedWeights out{AlignedBytes(packed_matrix_bytes(type, rows, columns)), type, rows, columns};
  pack_strips({.type = type,
               .data = weights.data(),
               .row_bytes = static_cast<std::int64_t>(weights.size()) / rows,
               .rows = rows,
               .columns = columns},
              0, (rows + kTileRows - 1) / kTileRows, out.bytes.data());
  return out;
}

// Rows in a format, from row `first` of the buffer; what lies before and after them is noise that nobody may use.
inline AlignedBytes make_activations(const KernelTable& table, ActivationFormat format,
                                     const std::vector<std::vector<float>>& rows, std::int32_t k,
                                     std::int32_t first = 0) {
  const std::int64_t stride = activation_row_bytes(format, k);
  const auto count = first + static_cast<std::int64_t>(rows.size());
  AlignedBytes out((count + 31) / 32 * 32 * stride, 0x55);
  std::uint8_t* at = out.data() + first * stride;
  for (std::size_t i = 0; i < rows.size(); ++i, at += stride) {
    const float* x = rows[i].data();
    switch (format) {
      case ActivationFormat::kF32: std::memcpy(at, x, rows[i].size() * sizeof(float)); break;
      case ActivationFormat::kBF16Tiles:
        table.quantize_bf16_tiles(out.data(), first + static_cast<std::int32_t>(i), x, k);
        break;
      case ActivationFormat::kQ8_0: table.quantize_q8_0(at, x, k); break;
      case ActivationFormat::kQ8_K: table.quantize_q8_k(at, x, k); break;
      case ActivationFormat::kQ8Tiles:
        table.quantize_q8_tiles(out.data(), first + static_cast<std::int32_t>(i), x, k);
        break;
    }
  }
  return out;
}

// What one call computes: activation rows [first, first + m) of a buffer, weight rows [row_begin, row_end).
struct Call {
  RowKind kind = RowKind::kGenerated;
  std::int32_t first = 0;
  std::int32_t m = 0;
  std::int32_t row_begin = 0;
  std::int32_t row_end = 0;
};
// [m, row_end - row_begin], with out poisoned first so that an element that is not written shows.
inline std::vector<float> multiply(const KernelTable& table, PackedWeights& weights, AlignedBytes& activations,
                                   const Call& call) {
  const std::int32_t n = call.row_end - call.row_begin;
  std::vector<float> out(static_cast<std::size_t>(call.m) * static_cast<std::size_t>(weights.rows), -12345.0F);
  AlignedBytes scratch(kMatmulScratchBytes);
  const Product product = product_for(table, weights.type, weights.columns, call.kind);
  const std::int64_t stride = activation_row_bytes(product.format, weights.columns);
  const bool whole = is_tiled(product.format);
  product.matmul({.weights = weights.bytes.data(),
                  .strip_bytes = packed_strip_bytes(weights.type, weights.columns),
                  .row_begin = call.row_begin,
                  .row_end = call.row_end,
                  .k = weights.columns,
                  .activations = activations.data() + (whole ? 0 : call.first * stride),
                  .activation_row_bytes = stride,
                  .m = call.m,
                  .first_row = call.first,
                  .out = out.data(),
                  .out_stride = weights.rows,
                  .scratch = scratch.data()});
  std::vector<float> part;
  for (std::int32_t i = 0; i < call.m; ++i) {
    const auto row = out.begin() + std::int64_t{i} * weights.rows;
    part.insert(part.end(), row + call.row_begin, row + call.row_begin + n);
  }
  return part;
}
inline std::vector<float> multiply_all(const KernelTable& table, PackedWeights& weights, AlignedBytes& activations,
                                       RowKind kind, std::int32_t m) {
  return multiply(table, weights, activations, {.kind = kind, .m = m, .row_end = weights.rows});
}

}  // namespace dormouse::kernels
