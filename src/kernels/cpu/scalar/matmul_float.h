// Matrix products of F32, F16 and BF16 weights with float activations: rule 3 of kernels.h. Included once, by table.cc.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/cpu/scalar/tile.h"
#include "kernels/kernels.h"
#include "quant/half.h"

namespace dormouse::kernels {
namespace {

// load: weight (row r, column j) of a strip.
struct WeightF32 {
  static float load(const std::uint8_t* strip, int r, std::int32_t j) {
    float out = 0;
    std::memcpy(&out, strip + (std::int64_t{j} * kRows + r) * 4, sizeof out);
    return out;
  }
};

inline std::uint16_t paired_word(const std::uint8_t* strip, int r, std::int32_t j) {
  std::uint16_t out = 0;
  std::memcpy(&out, strip + std::int64_t{j / 2} * 64 + 4 * r + 2 * (j % 2), sizeof out);
  return out;
}

struct WeightF16 {
  static float load(const std::uint8_t* strip, int r, std::int32_t j) {
    return quant::half_to_float(paired_word(strip, r, j));
  }
};

struct WeightBF16 {
  static float load(const std::uint8_t* strip, int r, std::int32_t j) {
    return quant::bf16_to_float(paired_word(strip, r, j));
  }
};

template <typename Weight>
void matmul_float(const MatmulArgs& args) {
  for (std::int32_t row = args.row_begin; row < args.row_end; ++row) {
    const std::uint8_t* strip = args.weights + row / kRows * args.strip_bytes;
    for (std::int32_t i = 0; i < args.m; ++i) {
      const auto* x = reinterpret_cast<const float*>(args.activations + i * args.activation_row_bytes);
      float sums[4] = {};
      for (std::int32_t j = 0; j < args.k; ++j) {
        sums[j % 4] = __builtin_fmaf(x[j], Weight::load(strip, row % kRows, j), sums[j % 4]);
      }
      args.out[i * args.out_stride + row] = (sums[0] + sums[2]) + (sums[1] + sums[3]);
    }
  }
}

}  // namespace
}  // namespace dormouse::kernels
