// Packed K-quant tiles (layout.h) as vectors. Each format is a struct with:
//   kBytes, kGroups (16 groups of 16 columns, or 8 of 32), kHasMin, kOffset (subtracted from every quant)
//   scale(), min_scale()        d and dmin of the 16 rows
//   unpack_scales()             [kGroups][16 rows] bytes: scales (signed) and, where there are any, minimums
//   quad<P>(tile, t)            64 unsigned quants: columns 64 P + 4 t ... + 3 of the 16 rows
// Groups and quads run in order of columns. Included once a table.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/kernels.h"

namespace dormouse::kernels {
namespace {

constexpr int kRows = 16;
constexpr int kColumns = 256;

inline __m512i load_64(const std::uint8_t* at) {
  return _mm512_loadu_si512(at);
}
inline void store_64(void* at, __m512i value) {
  _mm512_storeu_si512(at, value);
}
inline __m512 load_halves(const std::uint8_t* at) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)));
}

// The three ways bits of quads share bytes; `at` is the first vector. A shift of 16-bit words moves bits across bytes;
// the mask drops what came from the neighbour.
template <int P>
inline __m512i nibble_quad(const std::uint8_t* at, int t) {
  const __m512i v = load_64(at + 64 * (8 * P + t % 8));
  return _mm512_and_si512(t < 8 ? v : _mm512_srli_epi16(v, 4), _mm512_set1_epi8(15));
}
template <int P>
inline __m512i pair_quad(const std::uint8_t* at, int t) {
  const __m512i v = load_64(at + 64 * t);
  return _mm512_and_si512(P == 0 ? v : _mm512_srli_epi16(v, 2 * P), _mm512_set1_epi8(3));
}
// The bit is moved to place kTo.
template <int P, int kTo>
inline __m512i bit_quad(const std::uint8_t* at, int t) {
  const __m512i v = load_64(at + 64 * (t % 8));
  const int from = 2 * P + t / 8;
  const __m512i moved = from > kTo ? _mm512_srli_epi16(v, static_cast<unsigned>(from - kTo))
                                   : _mm512_slli_epi16(v, static_cast<unsigned>(kTo - from));
  return _mm512_and_si512(moved, _mm512_set1_epi8(1 << kTo));
}

// 256 six-bit values from 192 bytes, in order of entries.
inline void unpack_six_bits(std::uint8_t* out, const std::uint8_t* in) {
  const __m512i low = _mm512_set1_epi8(63);
  const __m512i z0 = load_64(in);
  const __m512i z1 = load_64(in + 64);
  const __m512i z2 = load_64(in + 128);
  store_64(out, _mm512_and_si512(z0, low));
  store_64(out + 64, _mm512_and_si512(z1, low));
  store_64(out + 128, _mm512_and_si512(z2, low));
  const __m512i a = _mm512_and_si512(_mm512_srli_epi16(z0, 6), _mm512_set1_epi8(3));
  const __m512i b = _mm512_and_si512(_mm512_srli_epi16(z1, 4), _mm512_set1_epi8(12));
  const __m512i c = _mm512_and_si512(_mm512_srli_epi16(z2, 2), _mm512_set1_epi8(48));
  store_64(out + 192, _mm512_or_si512(_mm512_or_si512(a, b), c));
}

struct alignas(64) TileScales {
  std::int8_t scale[256];
  std::int8_t min[256];
};

struct TileQ4K {
  static constexpr int kBytes = 2304;
  static constexpr int kGroups = 8;
  static constexpr bool kHasMin = true;
  static constexpr int kOffset = 0;
  static constexpr int kLargest = 15;
  static __m512 scale(const std::uint8_t* tile) { return load_halves(tile); }
  static __m512 min_scale(const std::uint8_t* tile) { return load_halves(tile + 32); }
  static void unpack_scales(TileScales& out, const std::uint8_t* tile) {
    alignas(64) std::uint8_t both[256];
    unpack_six_bits(both, tile + 64);
    store_64(out.scale, load_64(both));
    store_64(out.scale + 64, load_64(both + 64));
    store_64(out.min, load_64(both + 128));
    store_64(out.min + 64, load_64(both + 192));
  }
  template <int P>
  static __m512i quad(const std::uint8_t* tile, int t) {
    return nibble_quad<P>(tile + 256, t);
  }
};

struct TileQ5K : TileQ4K {
  static constexpr int kBytes = 2816;
  static constexpr int kLargest = 31;
  template <int P>
  static __m512i quad(const std::uint8_t* tile, int t) {
    return _mm512_or_si512(nibble_quad<P>(tile + 256, t), bit_quad<P, 4>(tile + 2304, t));
  }
};

struct TileQ6K {
  static constexpr int kBytes = 3360;
  static constexpr int kGroups = 16;
  static constexpr bool kHasMin = false;
  static constexpr int kOffset = 32;
  static constexpr int kLargest = 63;
  static __m512 scale(const std::uint8_t* tile) { return load_halves(tile); }
  static __m512 min_scale(const std::uint8_t*) { return _mm512_setzero_ps(); }
  static void unpack_scales(TileScales& out, const std::uint8_t* tile) {
    for (int i = 0; i < 4; ++i) store_64(out.scale + 64 * i, load_64(tile + 32 + 64 * i));
  }
  // The two bits of quad t land on bits 4 and 5.
  template <int P>
  static __m512i quad(const std::uint8_t* tile, int t) {
    const __m512i v = load_64(tile + 2336 + 64 * t);
    constexpr auto kShift = static_cast<unsigned>(P < 2 ? 4 - 2 * P : 2 * P - 4);
    const __m512i moved = P < 2 ? _mm512_slli_epi16(v, kShift) : _mm512_srli_epi16(v, kShift);
    return _mm512_or_si512(nibble_quad<P>(tile + 288, t), _mm512_and_si512(moved, _mm512_set1_epi8(48)));
  }
};

struct TileQ2K {
  static constexpr int kBytes = 1344;
  static constexpr int kGroups = 16;
  static constexpr bool kHasMin = true;
  static constexpr int kOffset = 0;
  static constexpr int kLargest = 3;
  static __m512 scale(const std::uint8_t* tile) { return load_halves(tile); }
  static __m512 min_scale(const std::uint8_t* tile) { return load_halves(tile + 32); }
  static void unpack_scales(TileScales& out, const std::uint8_t* tile) {
    const __m512i low = _mm512_set1_epi8(15);
    for (int i = 0; i < 4; ++i) {
      const __m512i v = load_64(tile + 64 + 64 * i);
      store_64(out.scale + 64 * i, _mm512_and_si512(v, low));
      store_64(out.min + 64 * i, _mm512_and_si512(_mm512_srli_epi16(v, 4), low));
    }
  }
  template <int P>
  static __m512i quad(const std::uint8_t* tile, int t) {
    return pair_quad<P>(tile + 320, t);
  }
};

struct TileQ3K {
  static constexpr int kBytes = 1760;
  static constexpr int kGroups = 16;
  static constexpr bool kHasMin = false;
  static constexpr int kOffset = 4;
  static constexpr int kLargest = 7;
  static __m512 scale(const std::uint8_t* tile) { return load_halves(tile); }
  static __m512 min_scale(const std::uint8_t*) { return _mm512_setzero_ps(); }
  static void unpack_scales(TileScales& out, const std::uint8_t* tile) {
    alignas(64) std::uint8_t values[256];
    unpack_six_bits(values, tile + 32);
    for (int i = 0; i < 4; ++i) {
      store_64(out.scale + 64 * i, _mm512_sub_epi8(load_64(values + 64 * i), _mm512_set1_epi8(32)));
    }
  }
  template <int P>
  static __m512i quad(const std::uint8_t* tile, int t) {
    return _mm512_or_si512(pair_quad<P>(tile + 224, t), bit_quad<P, 2>(tile + 1248, t));
  }
};

// 16 rows' bytes of one group as 32-bit integers.
inline __m512i group_values(const std::int8_t* bytes, int group) {
  return _mm512_cvtepi8_epi32(_mm_load_si128(reinterpret_cast<const __m128i*>(bytes + 16 * group)));
}
// Two neighbouring groups as pairs of 16-bit integers, one pair a row: what VPDPWSSD multiplies with a pair of sums.
inline __m512i group_pairs(const std::int8_t* bytes, int pair) {
  const __m128i a = _mm_load_si128(reinterpret_cast<const __m128i*>(bytes + 32 * pair));
  const __m128i b = _mm_load_si128(reinterpret_cast<const __m128i*>(bytes + 32 * pair + 16));
  const __m256i both =
      _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_unpacklo_epi8(a, b)), _mm_unpackhi_epi8(a, b), 1);
  return _mm512_cvtepi8_epi16(both);
}
// The sums that go with group pair `pair`, broadcast.
inline __m512i broadcast_pair(const std::int16_t* sums) {
  int value = 0;
  __builtin_memcpy(&value, sums, 4);
  return _mm512_set1_epi32(value);
}
template <int kGroups>
inline __m512i sum_pair(const BlockQ8K& a, int pair) {
  return broadcast_pair((kGroups == 16 ? a.sums16 : a.sums32) + 2 * pair);
}

// Rows of the last strip may be fewer than 16.
inline __mmask16 row_mask(std::int32_t rows) {
  return rows >= kRows ? __mmask16{0xFFFF} : static_cast<__mmask16>((1U << static_cast<unsigned>(rows)) - 1U);
}

}  // namespace
}  // namespace dormouse::kernels
