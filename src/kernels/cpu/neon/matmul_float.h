// Matrix products of F32, F16 and BF16 weights with float activations: rule 3 of kernels.h, a vector of 4 rows for each
// of the four partial sums. Included once a table.
#pragma once

#include <arm_neon.h>

#include <cstdint>

#include "kernels/cpu/neon/tile.h"
#include "kernels/kernels.h"

namespace dormouse::kernels {
namespace {

// load: columns j and j + 1 (j even) of rows 4 v ... 4 v + 3 of a strip.
struct WeightF32 {
  static float32x4x2_t load(const std::uint8_t* strip, std::int32_t j, int quarter) {
    const auto* at = reinterpret_cast<const float*>(strip) + std::int64_t{j} * kRows + 4 * quarter;
    return {{vld1q_f32(at), vld1q_f32(at + kRows)}};
  }
};

// LD2 takes the columns of a pair apart.
inline uint16x4x2_t load_pairs(const std::uint8_t* strip, std::int32_t j, int quarter) {
  return vld2_u16(reinterpret_cast<const std::uint16_t*>(strip) + std::int64_t{j} * kRows + 8 * quarter);
}

struct WeightF16 {
  static float32x4x2_t load(const std::uint8_t* strip, std::int32_t j, int quarter) {
    const uint16x4x2_t pairs = load_pairs(strip, j, quarter);
    return {{vcvt_f32_f16(vreinterpret_f16_u16(pairs.val[0])), vcvt_f32_f16(vreinterpret_f16_u16(pairs.val[1]))}};
  }
};

struct WeightBF16 {
  static float32x4x2_t load(const std::uint8_t* strip, std::int32_t j, int quarter) {
    const uint16x4x2_t pairs = load_pairs(strip, j, quarter);
    return {
        {vreinterpretq_f32_u32(vshll_n_u16(pairs.val[0], 16)), vreinterpretq_f32_u32(vshll_n_u16(pairs.val[1], 16))}};
  }
};

// 4 rows with kM activation rows, beginning with row `first`.
template <typename Weight, int kM>
inline void float_quarter(const MatmulArgs& args, std::int32_t begin, int quarter, std::int32_t first) {
  const std::uint8_t* strip = args.weights + begin / kRows * args.strip_bytes;
  const float* x[kM];
  float32x4_t sums[4][kM];
  for (int i = 0; i < kM; ++i) {
    x[i] = reinterpret_cast<const float*>(args.activations + (first + i) * args.activation_row_bytes);
    for (int s = 0; s < 4; ++s) sums[s][i] = vdupq_n_f32(0);
  }
  for (std::int32_t j = 0; j < args.k; j += 4) {
    const float32x4x2_t w01 = Weight::load(strip, j, quarter);
    const float32x4x2_t w23 = Weight::load(strip, j + 2, quarter);
    for (int i = 0; i < kM; ++i) {
      const float32x4_t four = vld1q_f32(x[i] + j);
      sums[0][i] = vfmaq_laneq_f32(sums[0][i], w01.val[0], four, 0);
      sums[1][i] = vfmaq_laneq_f32(sums[1][i], w01.val[1], four, 1);
      sums[2][i] = vfmaq_laneq_f32(sums[2][i], w23.val[0], four, 2);
      sums[3][i] = vfmaq_laneq_f32(sums[3][i], w23.val[1], four, 3);
    }
  }
  for (int i = 0; i < kM; ++i) {
    const float32x4_t sum = vaddq_f32(vaddq_f32(sums[0][i], sums[2][i]), vaddq_f32(sums[1][i], sums[3][i]));
    float* out = args.out + (first + i) * args.out_stride + begin + 4 * quarter;
    store_rows(out, sum, args.row_end - begin - 4 * quarter);
  }
}

template <typename Weight>
void matmul_float(const MatmulArgs& args) {
  for (std::int32_t begin = args.row_begin; begin < args.row_end; begin += kRows) {
    for (int quarter = 0; quarter < 4; ++quarter) {
      std::int32_t i = 0;
      for (; i + 4 <= args.m; i += 4) float_quarter<Weight, 4>(args, begin, quarter, i);
      for (; i < args.m; ++i) float_quarter<Weight, 1>(args, begin, quarter, i);
    }
  }
}

}  // namespace
}  // namespace dormouse::kernels
