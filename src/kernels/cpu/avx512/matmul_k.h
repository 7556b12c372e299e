// Matrix products of K-quant weights with Q8_K activations; the same bits as scalar/matmul_k.h. Included once a table.
// Napkin, Q4_K, one row: a tile is 2,304 bytes = 400 cycles at 15 GB/s a thread and 2.7 GHz; its 64 VPDPBUSD, 64 masks
// and shifts, 8 x 3 for scales and some 40 others are 200 operations on two ports = 100 cycles. So memory decides up to
// four rows or so; each further row adds about 50 cycles.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/cpu/avx512/tile.h"
#include "kernels/kernels.h"

namespace dormouse::kernels {
namespace {

// How far ahead of its use a weight line is asked for. The hardware's streams stop at 4 KiB borders; two pages bridge
// that. Measured: 4B Q4_K_M, see docs/performance.md.
constexpr int kPrefetchBytes = 1024;

inline __m512i broadcast_quad(const std::int8_t* at) {
  int value = 0;
  __builtin_memcpy(&value, at, 4);
  return _mm512_set1_epi32(value);
}

template <typename Tile>
constexpr int kLines = (Tile::kBytes + 63) / 64;

inline void ask_for_line(const std::uint8_t* tile, int line) {
  _mm_prefetch(reinterpret_cast<const char*>(tile + kPrefetchBytes + 64 * line), _MM_HINT_T0);
}

// Evenly between the 64 quads, or all lines at once before them. Measured, one row: Q4_K 29.4 against 28.2 GB/s, but
// Q2_K 22.3 against 24.5 (its lines are few and its quads many), Q6_K the same.
template <typename Tile>
constexpr bool kAskBesideQuads = Tile::kBytes >= 2048 && Tile::kBytes < 3072;

// Adds scale * dot of the groups in columns 64 P ... 64 P + 63 to total.
template <typename Tile, int P, int kM>
inline void add_groups(__m512i* total, const std::uint8_t* tile, const TileScales& scales, const BlockQ8K* const* a) {
  constexpr int kQuads = kColumns / Tile::kGroups / 4;  // of a group
  constexpr int kGroups = 16 / kQuads;                  // in 64 columns
#pragma GCC unroll 4
  for (int g = 0; g < kGroups; ++g) {
    __m512i dot[kM];
    for (int i = 0; i < kM; ++i) dot[i] = _mm512_setzero_si512();
#pragma GCC unroll 8
    for (int t = kQuads * g; t < kQuads * g + kQuads; ++t) {
      if constexpr (kAskBesideQuads<Tile>) {
        constexpr int kFirst = 16 * P;
        for (int line = (kFirst + t) * kLines<Tile> / 64; line < (kFirst + t + 1) * kLines<Tile> / 64; ++line) {
          ask_for_line(tile, line);
        }
      }
      const __m512i q = Tile::template quad<P>(tile, t);
      for (int i = 0; i < kM; ++i) dot[i] = _mm512_dpbusd_epi32(dot[i], q, broadcast_quad(a[i]->q + 64 * P + 4 * t));
    }
    const __m512i scale = group_values(scales.scale, kGroups * P + g);
    for (int i = 0; i < kM; ++i) total[i] = _mm512_add_epi32(total[i], _mm512_mullo_epi32(dot[i], scale));
  }
}

// sum over groups of value[g] * sums[g]: minimums, or the scales for what an offset takes away.
template <typename Tile, int kM>
inline void group_sums(__m512i* out, const std::int8_t* values, const BlockQ8K* const* a) {
  for (int i = 0; i < kM; ++i) out[i] = _mm512_setzero_si512();
#pragma GCC unroll 8
  for (int pair = 0; pair < Tile::kGroups / 2; ++pair) {
    const __m512i v = group_pairs(values, pair);
    for (int i = 0; i < kM; ++i) out[i] = _mm512_dpwssd_epi32(out[i], v, sum_pair<Tile::kGroups>(*a[i], pair));
  }
}

template <typename Tile, int kM>
inline void add_tile(__m512* acc, const std::uint8_t* tile, const BlockQ8K* const* a) {
  if constexpr (!kAskBesideQuads<Tile>) {
    for (int line = 0; line < kLines<Tile>; ++line) ask_for_line(tile, line);
  }
  TileScales scales;
  Tile::unpack_scales(scales, tile);
  __m512i total[kM];
  for (int i = 0; i < kM; ++i) total[i] = _mm512_setzero_si512();
  add_groups<Tile, 0, kM>(total, tile, scales, a);
  add_groups<Tile, 1, kM>(total, tile, scales, a);
  add_groups<Tile, 2, kM>(total, tile, scales, a);
  add_groups<Tile, 3, kM>(total, tile, scales, a);
  __m512i sums[kM];
  group_sums<Tile, kM>(sums, Tile::kHasMin ? scales.min : scales.scale, a);
  const __m512 d = Tile::scale(tile);
  const __m512 dmin = Tile::min_scale(tile);
  for (int i = 0; i < kM; ++i) {
    const __m512 da = _mm512_set1_ps(a[i]->d);
    if constexpr (Tile::kHasMin) {
      acc[i] = _mm512_fmadd_ps(_mm512_mul_ps(d, da), _mm512_cvtepi32_ps(total[i]), acc[i]);
      acc[i] = _mm512_fnmadd_ps(_mm512_mul_ps(dmin, da), _mm512_cvtepi32_ps(sums[i]), acc[i]);
    } else {
      const __m512i offset = _mm512_slli_epi32(sums[i], Tile::kOffset == 32 ? 5 : 2);
      total[i] = _mm512_sub_epi32(total[i], offset);
      acc[i] = _mm512_fmadd_ps(_mm512_mul_ps(d, da), _mm512_cvtepi32_ps(total[i]), acc[i]);
    }
  }
}

// One strip with kM activation rows, beginning with row `first`.
template <typename Tile, int kM>
inline void multiply_strip(const MatmulArgs& args, std::int32_t begin, std::int32_t first) {
  const std::uint8_t* tile = args.weights + begin / kRows * args.strip_bytes;
  const BlockQ8K* a[kM];
  __m512 acc[kM];
  for (int i = 0; i < kM; ++i) {
    a[i] = reinterpret_cast<const BlockQ8K*>(args.activations + (first + i) * args.activation_row_bytes);
    acc[i] = _mm512_setzero_ps();
  }
  for (std::int32_t block = 0; block < args.k / kColumns; ++block, tile += Tile::kBytes) {
    add_tile<Tile, kM>(acc, tile, a);
    for (int i = 0; i < kM; ++i) ++a[i];
  }
  const __mmask16 mask = row_mask(args.row_end - begin);
  for (int i = 0; i < kM; ++i) _mm512_mask_storeu_ps(args.out + (first + i) * args.out_stride + begin, mask, acc[i]);
}

// Eight rows at a time: 8 dots, 8 totals and 8 sums fit 32 registers, and a strip read again lies in the caches.
template <typename Tile>
void matmul_k(const MatmulArgs& args) {
  for (std::int32_t begin = args.row_begin; begin < args.row_end; begin += kRows) {
    std::int32_t i = 0;
    for (; i + 8 <= args.m; i += 8) multiply_strip<Tile, 8>(args, begin, i);
    for (; i + 4 <= args.m; i += 4) multiply_strip<Tile, 4>(args, begin, i);
    switch (args.m - i) {
      case 3: multiply_strip<Tile, 3>(args, begin, i); break;
      case 2: multiply_strip<Tile, 2>(args, begin, i); break;
      case 1: multiply_strip<Tile, 1>(args, begin, i); break;
      default: break;
    }
  }
}

}  // namespace
}  // namespace dormouse::kernels
