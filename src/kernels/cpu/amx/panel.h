// Weights unpacked for the matrix tiles: a panel is 32 rows (two strips) x a few blocks of 256 columns, each block of a
// strip a stack of four B tiles (16 quads of 64 bytes). It is made once and multiplied with every activation row.
// Two kinds:
//   exact  scale * quant of each weight as 256 * high + low, a signed and an unsigned int8 plane: |scale * quant| <=
//   4,096
//          for every format, so high fits [-16, 16]. Sums of products are the integers of `generated`.
//   fast   the weight as one int8 with one scale per (row, 256 columns): q = round(w / D), D = bound / 126, in 8.8
//   fixed
//          point, w's bound from the block's own scales. One plane, half the multiplications, no minimum term.
// Cost: some 600 operations a tile: 320 cycles, against 64 cycles a 16 activation rows and plane.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/cpu/avx512/matmul_q8_0.h"
#include "kernels/cpu/avx512/tile.h"

namespace dormouse::kernels {
namespace {

constexpr int kStackBytes = 4096;  // 16 rows x 256 columns of int8
constexpr int kPanelStrips = 2;
constexpr int kFastPanelBlocks = 2;  // blocks of 256 columns a panel holds

// What goes with one block of one strip.
struct alignas(64) BlockScales {
  float d[16];
  float dmin[16];
  std::int16_t mins[8][32];  // group_pairs(): exact formats with a minimum
};

struct alignas(64) ExactPanelData {
  std::int8_t low[kPanelStrips][kStackBytes];
  std::int8_t high[kPanelStrips][kStackBytes];
  BlockScales scales[kPanelStrips];
};

struct alignas(64) FastPanelData {
  std::int8_t of[kFastPanelBlocks][kPanelStrips][kStackBytes];
  float d[kFastPanelBlocks][kPanelStrips][16];
};

// A row's 16-bit value in both halves of its 32-bit lane.
inline __m512i both_halves(__m512i values) {
  const __m512i pattern = _mm512_set4_epi32(0x0D0C0D0C, 0x09080908, 0x05040504, 0x01000100);
  return _mm512_shuffle_epi8(values, pattern);
}
// Low bytes of two vectors of words as one vector of bytes: even columns from `even`, odd ones from `odd`.
inline __m512i join_low(__m512i even, __m512i odd) {
  const __m512i mask = _mm512_set1_epi16(0x00FF);
  return _mm512_ternarylogic_epi32(mask, even, _mm512_slli_epi16(odd, 8), 0xCA);  // mask ? even : odd
}
inline __m512i join_high(__m512i even, __m512i odd) {
  const __m512i mask = _mm512_set1_epi16(0x00FF);
  return _mm512_ternarylogic_epi32(mask, _mm512_srli_epi16(even, 8), odd, 0xCA);
}

struct Words {
  __m512i even;
  __m512i odd;
};
inline Words split_unsigned(__m512i bytes) {
  return {_mm512_and_si512(bytes, _mm512_set1_epi16(0x00FF)), _mm512_srli_epi16(bytes, 8)};
}
inline Words split_signed(__m512i bytes) {
  return {_mm512_srai_epi16(_mm512_slli_epi16(bytes, 8), 8), _mm512_srai_epi16(bytes, 8)};
}

// v = scale * (q - offset) as (v >> 8, v & 255): the high and the low bytes of the products, as they are.
template <int kOffset>
inline void store_exact(std::int8_t* high, std::int8_t* low, __m512i quad, __m512i scale, __m512i offset) {
  const Words q = split_unsigned(quad);
  __m512i even = _mm512_mullo_epi16(q.even, scale);
  __m512i odd = _mm512_mullo_epi16(q.odd, scale);
  if constexpr (kOffset != 0) {
    even = _mm512_sub_epi16(even, offset);
    odd = _mm512_sub_epi16(odd, offset);
  }
  store_64(high, join_high(even, odd));
  store_64(low, join_low(even, odd));
}

template <typename Tile, int P>
inline void unpack_exact_columns(std::int8_t* high, std::int8_t* low, const std::uint8_t* tile,
                                 const TileScales& scales) {
  constexpr int kQuads = kColumns / Tile::kGroups / 4;
#pragma GCC unroll 4
  for (int g = 0; g < 16 / kQuads; ++g) {
    const __m512i scale = both_halves(group_values(scales.scale, 16 / kQuads * P + g));
    const __m512i offset = _mm512_mullo_epi16(scale, _mm512_set1_epi16(Tile::kOffset));
#pragma GCC unroll 8
    for (int t = kQuads * g; t < kQuads * g + kQuads; ++t) {
      const int at = 64 * (16 * P + t);
      store_exact<Tile::kOffset>(high + at, low + at, Tile::template quad<P>(tile, t), scale, offset);
    }
  }
}

template <typename Tile>
struct ExactPanel {
  static constexpr bool kHasMin = Tile::kHasMin;
  static constexpr int kGroups = Tile::kGroups;

  static void unpack(ExactPanelData& panel, int strip, const std::uint8_t* tile) {
    TileScales scales;
    Tile::unpack_scales(scales, tile);
    std::int8_t* high = panel.high[strip];
    std::int8_t* low = panel.low[strip];
    unpack_exact_columns<Tile, 0>(high, low, tile, scales);
    unpack_exact_columns<Tile, 1>(high, low, tile, scales);
    unpack_exact_columns<Tile, 2>(high, low, tile, scales);
    unpack_exact_columns<Tile, 3>(high, low, tile, scales);
    BlockScales& out = panel.scales[strip];
    _mm512_store_ps(out.d, Tile::scale(tile));
    if constexpr (kHasMin) {
      _mm512_store_ps(out.dmin, Tile::min_scale(tile));
      for (int pair = 0; pair < kGroups / 2; ++pair) store_64(out.mins[pair], group_pairs(scales.min, pair));
    }
  }
};

// D of 16 rows and 256 / D; rows whose weights are all zero get 0 and 0.
struct Requantiser {
  __m512 d;
  __m512 factor;
};
inline Requantiser requantiser(__m512 bound) {
  constexpr float kLargest = 126.0F;  // one less than int8 has: rounding of the fixed-point factors may add a half
  const __mmask16 nonzero = _mm512_cmp_ps_mask(bound, _mm512_setzero_ps(), _CMP_NEQ_UQ);
  const __m512 d = _mm512_mul_ps(bound, _mm512_set1_ps(1.0F / kLargest));
  return {d, _mm512_maskz_div_ps(nonzero, _mm512_set1_ps(256.0F * kLargest), bound)};
}

// round(q * factor + bias), factor and bias in 8.8 fixed point; 16-bit sums wrap, the result fits.
inline __m512i requantise(Words q, __m512i factor, __m512i bias) {
  const __m512i even = _mm512_add_epi16(_mm512_mullo_epi16(q.even, factor), bias);
  const __m512i odd = _mm512_add_epi16(_mm512_mullo_epi16(q.odd, factor), bias);
  return join_high(even, odd);
}

struct alignas(64) FastFactors {
  std::int32_t factor[16][16];  // [group][row], both_halves()
  std::int32_t bias[16][16];
};

template <typename Tile, int P>
inline void unpack_fast_columns(std::int8_t* out, const std::uint8_t* tile, const FastFactors& factors) {
  constexpr int kQuads = kColumns / Tile::kGroups / 4;
#pragma GCC unroll 4
  for (int g = 0; g < 16 / kQuads; ++g) {
    const __m512i factor = _mm512_load_si512(factors.factor[16 / kQuads * P + g]);
    const __m512i bias = _mm512_load_si512(factors.bias[16 / kQuads * P + g]);
#pragma GCC unroll 8
    for (int t = kQuads * g; t < kQuads * g + kQuads; ++t) {
      store_64(out + 64 * (16 * P + t), requantise(split_unsigned(Tile::template quad<P>(tile, t)), factor, bias));
    }
  }
}

// The largest |weight| a row's scales allow: quants reach both ends of their range in nearly every group.
template <typename Tile>
inline __m512 largest_weight(const __m512* scale, const __m512* min) {
  __m512 bound = _mm512_setzero_ps();
  for (int g = 0; g < Tile::kGroups; ++g) {
    if constexpr (Tile::kHasMin) {
      const __m512 top = _mm512_fmsub_ps(scale[g], _mm512_set1_ps(Tile::kLargest), min[g]);
      bound = _mm512_max_ps(bound, _mm512_max_ps(_mm512_abs_ps(top), _mm512_abs_ps(min[g])));
    } else {
      bound = _mm512_max_ps(bound, _mm512_mul_ps(_mm512_abs_ps(scale[g]), _mm512_set1_ps(Tile::kOffset)));
    }
  }
  return bound;
}

template <typename Tile>
struct FastPanel {
  static void unpack(std::int8_t* out, float* out_d, const std::uint8_t* tile) {
    TileScales scales;
    Tile::unpack_scales(scales, tile);
    const __m512 d = Tile::scale(tile);
    const __m512 dmin = Tile::min_scale(tile);
    __m512 scale[Tile::kGroups];
    __m512 min[Tile::kGroups];
    for (int g = 0; g < Tile::kGroups; ++g) {
      scale[g] = _mm512_mul_ps(d, _mm512_cvtepi32_ps(group_values(scales.scale, g)));
      if constexpr (Tile::kHasMin) min[g] = _mm512_mul_ps(dmin, _mm512_cvtepi32_ps(group_values(scales.min, g)));
    }
    const Requantiser to = requantiser(largest_weight<Tile>(scale, min));
    _mm512_store_ps(out_d, to.d);
    const __m512i half = _mm512_set1_epi32(128);
    FastFactors factors;
    for (int g = 0; g < Tile::kGroups; ++g) {
      const __m512i factor = _mm512_cvtps_epi32(_mm512_mul_ps(scale[g], to.factor));
      __m512i bias = _mm512_sub_epi32(half, _mm512_mullo_epi32(factor, _mm512_set1_epi32(Tile::kOffset)));
      if constexpr (Tile::kHasMin) bias = _mm512_sub_epi32(half, _mm512_cvtps_epi32(_mm512_mul_ps(min[g], to.factor)));
      _mm512_store_si512(factors.factor[g], both_halves(factor));
      _mm512_store_si512(factors.bias[g], both_halves(bias));
    }
    unpack_fast_columns<Tile, 0>(out, tile, factors);
    unpack_fast_columns<Tile, 1>(out, tile, factors);
    unpack_fast_columns<Tile, 2>(out, tile, factors);
    unpack_fast_columns<Tile, 3>(out, tile, factors);
  }
};

// Eight groups of 32 signed bytes, each with its own d.
struct TileQ8_0 {
  static constexpr int kBytes = kQ8TileBytes;
};
template <>
struct FastPanel<TileQ8_0> {
  static void unpack(std::int8_t* out, float* out_d, const std::uint8_t* tile) {
    __m512 bound = _mm512_setzero_ps();
    for (int g = 0; g < 8; ++g) bound = _mm512_max_ps(bound, _mm512_abs_ps(load_halves(tile + 32 * g)));
    const Requantiser to = requantiser(_mm512_mul_ps(bound, _mm512_set1_ps(128.0F)));
    _mm512_store_ps(out_d, to.d);
    const __m512i half = _mm512_set1_epi16(128);
    for (int g = 0; g < 8; ++g) {
      const __m512 d = load_halves(tile + 32 * g);
      const __m512i factor = both_halves(_mm512_cvtps_epi32(_mm512_mul_ps(d, to.factor)));
#pragma GCC unroll 8
      for (int t = 8 * g; t < 8 * g + 8; ++t) {
        store_64(out + 64 * t, requantise(split_signed(load_64(tile + 256 + 64 * t)), factor, half));
      }
    }
  }
};

}  // namespace
}  // namespace dormouse::kernels
