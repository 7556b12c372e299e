// Matrix products of K-quant weights with Q8_K activations; the same bits as scalar/matmul_k.h. Included once a table.
// Half a quad times four broadcast activations is one VPMADDUBSW: two 16-bit sums a row. They are added in 16 bits as
// far as that is safe, then one VPMADDWD with the group's scale in both halves makes scale * dot of each row: no 32-bit
// multiplication. Napkin, Q4_K: 128 half-quads x (unpack 1.5 + VPMADDUBSW + VPADDW + broadcast load) for one row, about
// 200 cycles a tile of 2,304 bytes: memory decides at one row; at many rows 32 multiply-adds cost about one cycle.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/cpu/avx2/tile.h"
#include "kernels/kernels.h"

namespace dormouse::kernels {
namespace {

inline __m256i broadcast_four(const void* at) {
  int value = 0;
  __builtin_memcpy(&value, at, 4);
  return _mm256_set1_epi32(value);
}

// 8 rows' bytes of one group as 16-bit integers, twice each.
inline __m256i group_scales(const std::int8_t* bytes, int group, int half) {
  const __m128i eight = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes + 16 * group + 8 * half));
  return _mm256_cvtepi8_epi16(_mm_unpacklo_epi8(eight, eight));
}
// Two neighbouring groups side by side, one pair a row.
inline __m256i group_pairs(const std::int8_t* bytes, int pair, int half) {
  const __m128i a = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes + 32 * pair + 8 * half));
  const __m128i b = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes + 32 * pair + 16 + 8 * half));
  return _mm256_cvtepi8_epi16(_mm_unpacklo_epi8(a, b));
}

// Adds scale * dot of the groups in columns 64 P ... 64 P + 63 to total.
template <typename Tile, int P, int kM>
inline void add_groups(__m256i* total, const std::uint8_t* tile, const TileScales& scales, const BlockQ8K* const* a,
                       int half) {
  constexpr int kQuads = kColumns / Tile::kGroups / 4;  // of a group
  constexpr int kSafe = Tile::kSafeQuads < kQuads ? Tile::kSafeQuads : kQuads;
#pragma GCC unroll 8
  for (int begin = 0; begin < 16; begin += kSafe) {
    __m256i dot[kM];
#pragma GCC unroll 8
    for (int t = begin; t < begin + kSafe; ++t) {
      const __m256i q = Tile::template quad<P>(tile, t, half);
      for (int i = 0; i < kM; ++i) {
        const __m256i product = _mm256_maddubs_epi16(q, broadcast_four(a[i]->q + 64 * P + 4 * t));
        dot[i] = t == begin ? product : _mm256_add_epi16(dot[i], product);
      }
    }
    const __m256i scale = group_scales(scales.scale, (16 * P + begin) / kQuads, half);
    for (int i = 0; i < kM; ++i) total[i] = _mm256_add_epi32(total[i], _mm256_madd_epi16(dot[i], scale));
  }
}

// sum over groups of value[g] * sums[g]: minimums, or the scales for what an offset takes away.
template <typename Tile>
inline __m256i group_sums(const std::int8_t* values, const BlockQ8K& a, int half) {
  const std::int16_t* sums = Tile::kGroups == 16 ? a.sums16 : a.sums32;
  __m256i out = _mm256_setzero_si256();
  for (int pair = 0; pair < Tile::kGroups / 2; ++pair) {
    const __m256i product = _mm256_madd_epi16(group_pairs(values, pair, half), broadcast_four(sums + 2 * pair));
    out = _mm256_add_epi32(out, product);
  }
  return out;
}

template <typename Tile, int kM>
inline void add_half_tile(__m256* acc, const std::uint8_t* tile, const TileScales& scales, const BlockQ8K* const* a,
                          int half) {
  __m256i total[kM];
  for (int i = 0; i < kM; ++i) total[i] = _mm256_setzero_si256();
  add_groups<Tile, 0, kM>(total, tile, scales, a, half);
  add_groups<Tile, 1, kM>(total, tile, scales, a, half);
  add_groups<Tile, 2, kM>(total, tile, scales, a, half);
  add_groups<Tile, 3, kM>(total, tile, scales, a, half);
  const __m256 d = load_halves(tile + 16 * half);
  for (int i = 0; i < kM; ++i) {
    const __m256 da = _mm256_set1_ps(a[i]->d);
    const __m256i sums = group_sums<Tile>(Tile::kHasMin ? scales.min : scales.scale, *a[i], half);
    if constexpr (Tile::kHasMin) {
      const __m256 dmin = load_halves(tile + 32 + 16 * half);
      acc[i] = _mm256_fmadd_ps(_mm256_mul_ps(d, da), _mm256_cvtepi32_ps(total[i]), acc[i]);
      acc[i] = _mm256_fnmadd_ps(_mm256_mul_ps(dmin, da), _mm256_cvtepi32_ps(sums), acc[i]);
    } else {
      const __m256i offset = _mm256_slli_epi32(sums, Tile::kOffset == 32 ? 5 : 2);
      const __m256i value = _mm256_sub_epi32(total[i], offset);
      acc[i] = _mm256_fmadd_ps(_mm256_mul_ps(d, da), _mm256_cvtepi32_ps(value), acc[i]);
    }
  }
}

// One strip with kM activation rows, beginning with row `first`.
template <typename Tile, int kM>
inline void multiply_strip(const MatmulArgs& args, std::int32_t begin, std::int32_t first) {
  const std::uint8_t* tile = args.weights + begin / kRows * args.strip_bytes;
  const BlockQ8K* a[kM];
  __m256 acc[2][kM];
  for (int i = 0; i < kM; ++i) {
    a[i] = reinterpret_cast<const BlockQ8K*>(args.activations + (first + i) * args.activation_row_bytes);
    acc[0][i] = acc[1][i] = _mm256_setzero_ps();
  }
  for (std::int32_t block = 0; block < args.k / kColumns; ++block, tile += Tile::kBytes) {
    for (int line = 0; line < Tile::kBytes; line += 64) {
      _mm_prefetch(reinterpret_cast<const char*>(tile + kPrefetchBytes + line), _MM_HINT_T0);
    }
    TileScales scales;
    Tile::unpack_scales(scales, tile);
    add_half_tile<Tile, kM>(acc[0], tile, scales, a, 0);
    add_half_tile<Tile, kM>(acc[1], tile, scales, a, 1);
    for (int i = 0; i < kM; ++i) ++a[i];
  }
  for (int i = 0; i < kM; ++i) {
    float* out = args.out + (first + i) * args.out_stride + begin;
    store_rows(out, acc[0][i], args.row_end - begin);
    if (args.row_end - begin > 8) store_rows(out + 8, acc[1][i], args.row_end - begin - 8);
  }
}

// Four rows at a time: four 16-bit sums and four totals leave registers for the quad; a strip read again lies in the
// caches.
template <typename Tile>
void matmul_k(const MatmulArgs& args) {
  for (std::int32_t begin = args.row_begin; begin < args.row_end; begin += kRows) {
    std::int32_t i = 0;
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
