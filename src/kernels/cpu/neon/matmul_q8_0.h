// Matrix products of Q8_0 weights with Q8_0 activations; the same bits as scalar/matmul_q8_0.h. Included once a table.
#pragma once

#include <arm_neon.h>

#include <cstdint>

#include "kernels/cpu/neon/tile.h"
#include "kernels/kernels.h"

namespace dormouse::kernels {
namespace {

constexpr std::int64_t kQ8TileBytes = 4352;

template <typename Dot, int kM>
inline void q8_0_strip(const MatmulArgs& args, std::int32_t begin, std::int32_t first) {
  const std::uint8_t* strip = args.weights + begin / kRows * args.strip_bytes;
  const std::int64_t scales_at = (args.k + 63) / 64 * 64;
  const std::uint8_t* a[kM];
  float32x4_t acc[4][kM];
  for (int i = 0; i < kM; ++i) {
    a[i] = args.activations + (first + i) * args.activation_row_bytes;
    for (int quarter = 0; quarter < 4; ++quarter) acc[quarter][i] = vdupq_n_f32(0);
  }
  for (std::int32_t block = 0; block < args.k / 32; ++block) {
    const std::uint8_t* tile = strip + block / 8 * kQ8TileBytes;
    const std::int8_t* x[kM];
    for (int i = 0; i < kM; ++i) x[i] = reinterpret_cast<const std::int8_t*>(a[i]) + 32 * block;
    for (int quarter = 0; quarter < 4; ++quarter) {
      const auto* quads = reinterpret_cast<const std::int8_t*>(tile) + 256 + 512 * (block % 8) + 16 * quarter;
      int8x16_t w[8];
      for (int t = 0; t < 8; ++t) w[t] = vld1q_s8(quads + 64 * t);
      int32x4_t dot[kM];
      Dot::template multiply<8, kM>(dot, w, x);
      const float32x4_t d = load_halves(tile + 32 * (block % 8) + 8 * quarter);
      for (int i = 0; i < kM; ++i) {
        const float da = reinterpret_cast<const float*>(a[i] + scales_at)[block];
        acc[quarter][i] = vfmaq_f32(acc[quarter][i], vmulq_n_f32(d, da), vcvtq_f32_s32(dot[i]));
      }
    }
  }
  for (int i = 0; i < kM; ++i) {
    float* out = args.out + (first + i) * args.out_stride + begin;
    for (int r = 0; r < kRows; r += 4) store_rows(out + r, acc[r / 4][i], args.row_end - begin - r);
  }
}

template <typename Dot>
void matmul_q8_0(const MatmulArgs& args) {
  for (std::int32_t begin = args.row_begin; begin < args.row_end; begin += kRows) {
    std::int32_t i = 0;
    for (; i + 4 <= args.m; i += 4) q8_0_strip<Dot, 4>(args, begin, i);
    for (; i + 2 <= args.m; i += 2) q8_0_strip<Dot, 2>(args, begin, i);
    if (i < args.m) q8_0_strip<Dot, 1>(args, begin, i);
  }
}

}  // namespace
}  // namespace dormouse::kernels
