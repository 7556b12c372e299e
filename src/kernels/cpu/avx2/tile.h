// Packed K-quant tiles (layout.h) as 256-bit vectors. A vector is half a quad: 8 rows x 4 columns. Each format is a
// struct with:
//   kBytes, kGroups (16 groups of 16 columns, or 8 of 32), kHasMin, kOffset (subtracted from every quant)
//   kSafeQuads            so many products of quads with int8 activations add up in 16 bits
//   scale(), min_scale()  addresses of d and dmin of the 16 rows
//   unpack_scales()       [kGroups][16 rows] bytes: scales (signed) and, where there are any, minimums
//   quad<P>(tile, t, h)   32 unsigned quants: columns 64 P + 4 t ... + 3 of rows 8 h ... 8 h + 7
// Included once a table.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/kernels.h"

namespace dormouse::kernels {
namespace {

constexpr int kRows = 16;
constexpr int kColumns = 256;
// How far ahead of its use a weight line is asked for (measured, docs/performance.md).
constexpr int kPrefetchBytes = 1024;

inline __m256i load_32(const std::uint8_t* at) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
}
inline void store_32(void* at, __m256i value) {
  _mm256_storeu_si256(static_cast<__m256i*>(at), value);
}
inline __m256 load_halves(const std::uint8_t* at) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
}

// A shift of 16-bit words moves bits across bytes; the mask drops what came from the neighbour.
template <int P>
inline __m256i nibble_quad(const std::uint8_t* at, int t, int half) {
  const __m256i v = load_32(at + 64 * (8 * P + t % 8) + 32 * half);
  return _mm256_and_si256(t < 8 ? v : _mm256_srli_epi16(v, 4), _mm256_set1_epi8(15));
}
template <int P>
inline __m256i pair_quad(const std::uint8_t* at, int t, int half) {
  const __m256i v = load_32(at + 64 * t + 32 * half);
  return _mm256_and_si256(P == 0 ? v : _mm256_srli_epi16(v, 2 * P), _mm256_set1_epi8(3));
}
// The bit is moved to place kTo.
template <int P, int kTo>
inline __m256i bit_quad(const std::uint8_t* at, int t, int half) {
  const __m256i v = load_32(at + 64 * (t % 8) + 32 * half);
  const int from = 2 * P + t / 8;
  const __m256i moved = from > kTo ? _mm256_srli_epi16(v, from - kTo) : _mm256_slli_epi16(v, kTo - from);
  return _mm256_and_si256(moved, _mm256_set1_epi8(1 << kTo));
}

// 256 six-bit values from 192 bytes, in order of entries.
inline void unpack_six_bits(std::uint8_t* out, const std::uint8_t* in) {
  const __m256i low = _mm256_set1_epi8(63);
  for (int i = 0; i < 64; i += 32) {
    const __m256i z0 = load_32(in + i);
    const __m256i z1 = load_32(in + 64 + i);
    const __m256i z2 = load_32(in + 128 + i);
    store_32(out + i, _mm256_and_si256(z0, low));
    store_32(out + 64 + i, _mm256_and_si256(z1, low));
    store_32(out + 128 + i, _mm256_and_si256(z2, low));
    const __m256i a = _mm256_and_si256(_mm256_srli_epi16(z0, 6), _mm256_set1_epi8(3));
    const __m256i b = _mm256_and_si256(_mm256_srli_epi16(z1, 4), _mm256_set1_epi8(12));
    const __m256i c = _mm256_and_si256(_mm256_srli_epi16(z2, 2), _mm256_set1_epi8(48));
    store_32(out + 192 + i, _mm256_or_si256(_mm256_or_si256(a, b), c));
  }
}

struct alignas(32) TileScales {
  std::int8_t scale[256];
  std::int8_t min[256];
};

struct TileQ4K {
  static constexpr int kBytes = 2304;
  static constexpr int kGroups = 8;
  static constexpr bool kHasMin = true;
  static constexpr int kOffset = 0;
  static constexpr int kSafeQuads = 8;  // 8 x 2 x 15 x 127 = 30,480
  static void unpack_scales(TileScales& out, const std::uint8_t* tile) {
    alignas(32) std::uint8_t both[256];
    unpack_six_bits(both, tile + 64);
    for (int i = 0; i < 128; i += 32) {
      store_32(out.scale + i, load_32(both + i));
      store_32(out.min + i, load_32(both + 128 + i));
    }
  }
  template <int P>
  static __m256i quad(const std::uint8_t* tile, int t, int half) {
    return nibble_quad<P>(tile + 256, t, half);
  }
};

struct TileQ5K : TileQ4K {
  static constexpr int kBytes = 2816;
  static constexpr int kSafeQuads = 4;  // 4 x 2 x 31 x 127 = 31,496
  template <int P>
  static __m256i quad(const std::uint8_t* tile, int t, int half) {
    return _mm256_or_si256(nibble_quad<P>(tile + 256, t, half), bit_quad<P, 4>(tile + 2304, t, half));
  }
};

struct TileQ6K {
  static constexpr int kBytes = 3360;
  static constexpr int kGroups = 16;
  static constexpr bool kHasMin = false;
  static constexpr int kOffset = 32;
  static constexpr int kSafeQuads = 2;  // 2 x 2 x 63 x 127 = 32,004
  static void unpack_scales(TileScales& out, const std::uint8_t* tile) {
    for (int i = 0; i < 256; i += 32) store_32(out.scale + i, load_32(tile + 32 + i));
  }
  // The two bits of quad t land on bits 4 and 5.
  template <int P>
  static __m256i quad(const std::uint8_t* tile, int t, int half) {
    const __m256i v = load_32(tile + 2336 + 64 * t + 32 * half);
    constexpr int kShift = P < 2 ? 4 - 2 * P : 2 * P - 4;
    const __m256i moved = P < 2 ? _mm256_slli_epi16(v, kShift) : _mm256_srli_epi16(v, kShift);
    return _mm256_or_si256(nibble_quad<P>(tile + 288, t, half), _mm256_and_si256(moved, _mm256_set1_epi8(48)));
  }
};

struct TileQ2K {
  static constexpr int kBytes = 1344;
  static constexpr int kGroups = 16;
  static constexpr bool kHasMin = true;
  static constexpr int kOffset = 0;
  static constexpr int kSafeQuads = 4;
  static void unpack_scales(TileScales& out, const std::uint8_t* tile) {
    const __m256i low = _mm256_set1_epi8(15);
    for (int i = 0; i < 256; i += 32) {
      const __m256i v = load_32(tile + 64 + i);
      store_32(out.scale + i, _mm256_and_si256(v, low));
      store_32(out.min + i, _mm256_and_si256(_mm256_srli_epi16(v, 4), low));
    }
  }
  template <int P>
  static __m256i quad(const std::uint8_t* tile, int t, int half) {
    return pair_quad<P>(tile + 320, t, half);
  }
};

struct TileQ3K {
  static constexpr int kBytes = 1760;
  static constexpr int kGroups = 16;
  static constexpr bool kHasMin = false;
  static constexpr int kOffset = 4;
  static constexpr int kSafeQuads = 4;
  static void unpack_scales(TileScales& out, const std::uint8_t* tile) {
    alignas(32) std::uint8_t values[256];
    unpack_six_bits(values, tile + 32);
    for (int i = 0; i < 256; i += 32) {
      store_32(out.scale + i, _mm256_sub_epi8(load_32(values + i), _mm256_set1_epi8(32)));
    }
  }
  template <int P>
  static __m256i quad(const std::uint8_t* tile, int t, int half) {
    return _mm256_or_si256(pair_quad<P>(tile + 224, t, half), bit_quad<P, 2>(tile + 1248, t, half));
  }
};

// Results of 8 rows, of which `rows` are there.
inline void store_rows(float* out, __m256 values, std::int32_t rows) {
  if (rows >= 8) return _mm256_storeu_ps(out, values);
  alignas(32) float all[8];
  _mm256_store_ps(all, values);
  for (std::int32_t r = 0; r < rows; ++r) out[r] = all[r];
}

}  // namespace
}  // namespace dormouse::kernels
