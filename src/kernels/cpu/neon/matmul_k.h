// Matrix products of K-quant weights with Q8_K activations; the same bits as scalar/matmul_k.h. Included once a table.
// Products add up in 32 bits, so a group needs one multiplication by its scale, at its end. A tile is walked four
// times, 4 rows each: it stays in L1, and the quads of a group, sums and totals of four activation rows stay in the 32
// registers.
#pragma once

#include <arm_neon.h>

#include <cstdint>

#include "kernels/cpu/neon/tile.h"
#include "kernels/kernels.h"

namespace dormouse::kernels {
namespace {

// Four rows' bytes of one group.
inline int16x4_t group_values(const std::int8_t* bytes, int group, int quarter) {
  std::uint32_t word = 0;
  __builtin_memcpy(&word, bytes + 16 * group + 4 * quarter, sizeof word);
  return vget_low_s16(vmovl_s8(vreinterpret_s8_u32(vdup_n_u32(word))));
}

// Adds scale * dot of the groups in columns 64 P ... 64 P + 63 to total.
template <typename Tile, typename Dot, int P, int kM>
inline void add_groups(int32x4_t* total, const std::uint8_t* tile, const TileScales& scales, const BlockQ8K* const* a,
                       int quarter) {
  constexpr int kQuads = kColumns / Tile::kGroups / 4;  // of a group
#pragma GCC unroll 4
  for (int begin = 0; begin < 16; begin += kQuads) {
    int8x16_t w[kQuads];
#pragma GCC unroll 8
    for (int t = 0; t < kQuads; ++t) w[t] = Tile::template quad<P>(tile, begin + t, quarter);
    const std::int8_t* x[kM];
    for (int i = 0; i < kM; ++i) x[i] = a[i]->q + 64 * P + 4 * begin;
    int32x4_t dot[kM];
    Dot::template multiply<kQuads, kM>(dot, w, x);
    const int32x4_t scale = vmovl_s16(group_values(scales.scale, (16 * P + begin) / kQuads, quarter));
    for (int i = 0; i < kM; ++i) total[i] = vmlaq_s32(total[i], dot[i], scale);
  }
}

// sum over groups of min[g] * sums[g], for each activation row.
template <typename Tile, int kM>
inline void group_minimums(int32x4_t* out, const TileScales& scales, const BlockQ8K* const* a, int quarter) {
  for (int i = 0; i < kM; ++i) out[i] = vdupq_n_s32(0);
  for (int g = 0; g < Tile::kGroups; ++g) {
    const int16x4_t minimum = group_values(scales.min, g, quarter);
    for (int i = 0; i < kM; ++i) {
      out[i] = vmlal_n_s16(out[i], minimum, (Tile::kGroups == 16 ? a[i]->sums16 : a[i]->sums32)[g]);
    }
  }
}

template <typename Tile, typename Dot, int kM>
inline void add_quarter_tile(float32x4_t* acc, const std::uint8_t* tile, const TileScales& scales,
                             const BlockQ8K* const* a, int quarter) {
  int32x4_t total[kM];
  for (int i = 0; i < kM; ++i) total[i] = vdupq_n_s32(0);
  add_groups<Tile, Dot, 0, kM>(total, tile, scales, a, quarter);
  add_groups<Tile, Dot, 1, kM>(total, tile, scales, a, quarter);
  add_groups<Tile, Dot, 2, kM>(total, tile, scales, a, quarter);
  add_groups<Tile, Dot, 3, kM>(total, tile, scales, a, quarter);
  const float32x4_t d = load_halves(tile + 8 * quarter);
  for (int i = 0; i < kM; ++i) acc[i] = vfmaq_f32(acc[i], vmulq_n_f32(d, a[i]->d), vcvtq_f32_s32(total[i]));
  if constexpr (Tile::kHasMin) {
    int32x4_t minimums[kM];
    group_minimums<Tile, kM>(minimums, scales, a, quarter);
    const float32x4_t dmin = load_halves(tile + 32 + 8 * quarter);
    for (int i = 0; i < kM; ++i) acc[i] = vfmsq_f32(acc[i], vmulq_n_f32(dmin, a[i]->d), vcvtq_f32_s32(minimums[i]));
  }
}

// One strip with kM activation rows, beginning with row `first`.
template <typename Tile, typename Dot, int kM>
inline void multiply_strip(const MatmulArgs& args, std::int32_t begin, std::int32_t first) {
  const std::uint8_t* tile = args.weights + begin / kRows * args.strip_bytes;
  const BlockQ8K* a[kM];
  float32x4_t acc[4][kM];
  for (int i = 0; i < kM; ++i) {
    a[i] = reinterpret_cast<const BlockQ8K*>(args.activations + (first + i) * args.activation_row_bytes);
    for (int quarter = 0; quarter < 4; ++quarter) acc[quarter][i] = vdupq_n_f32(0);
  }
  for (std::int32_t block = 0; block < args.k / kColumns; ++block, tile += Tile::kBytes) {
    TileScales scales;
    Tile::unpack_scales(scales, tile);
    for (int quarter = 0; quarter < 4; ++quarter) {
      add_quarter_tile<Tile, Dot, kM>(acc[quarter], tile, scales, a, quarter);
    }
    for (int i = 0; i < kM; ++i) ++a[i];
  }
  for (int i = 0; i < kM; ++i) {
    float* out = args.out + (first + i) * args.out_stride + begin;
    for (int r = 0; r < kRows; r += 4) store_rows(out + r, acc[r / 4][i], args.row_end - begin - r);
  }
}

template <typename Tile, typename Dot>
void matmul_k(const MatmulArgs& args) {
  for (std::int32_t begin = args.row_begin; begin < args.row_end; begin += kRows) {
    std::int32_t i = 0;
    for (; i + 4 <= args.m; i += 4) multiply_strip<Tile, Dot, 4>(args, begin, i);
    for (; i + 2 <= args.m; i += 2) multiply_strip<Tile, Dot, 2>(args, begin, i);
    if (i < args.m) multiply_strip<Tile, Dot, 1>(args, begin, i);
  }
}

}  // namespace
}  // namespace dormouse::kernels
