// Matrix products on AMX tiles: bfloat16 factors, float32 sums.
//
// A factor is first packed into tiles of 16 rows by 32 values, one after another: the left one as rows of the product by
// its inner dimension, the right one as columns by the inner dimension, in the pairs that TDPBF16PS wants. All
// dimensions are multiples of 32.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace amx {

using bf16 = std::uint16_t;
constexpr int kTile = 16 * 32;

// Asks the kernel for the tile registers, once a process. False: this machine has none.
bool enable();
// Shapes the eight tiles of the calling thread; before its first product.
void configure_thread();

struct Rows {
  __m512i r[16];
};

// 16 rows of 32 values each.
inline Rows tile_of_rows(const float* at, int ld) {
  Rows t;
  for (int i = 0; i < 16; ++i, at += ld) t.r[i] = (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(at + 16), _mm512_loadu_ps(at));
  return t;
}

// 32 rows of 16 values each, two rows interleaved to one.
inline Rows tile_of_pairs(const float* at, int ld) {
  alignas(64) static constexpr std::uint16_t kWeave[32] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                                           8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  const __m512i weave = _mm512_load_si512(kWeave);
  Rows t;
  for (int i = 0; i < 16; ++i, at += 2 * ld) {
    const auto both = (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(at + ld), _mm512_loadu_ps(at));
    t.r[i] = _mm512_permutexvar_epi16(weave, both);
  }
  return t;
}

// Transposes 16 x 16 pairs: each round exchanges one bit of the row's number with the same bit of the column's.
inline void transpose(Rows& t) {
  const __m512i column = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  for (int s = 1; s < 16; s *= 2) {
    const __mmask16 odd = _mm512_test_epi32_mask(column, _mm512_set1_epi32(s));
    const __m512i low = _mm512_mask_add_epi32(column, odd, column, _mm512_set1_epi32(16 - s));
    const __m512i high = _mm512_mask_add_epi32(_mm512_add_epi32(column, _mm512_set1_epi32(s)), odd, column, _mm512_set1_epi32(16));
    for (int i = 0; i < 16; ++i) {
      if (i & s) continue;
      const __m512i a = t.r[i], b = t.r[i + s];
      t.r[i] = _mm512_permutex2var_epi32(a, low, b);
      t.r[i + s] = _mm512_permutex2var_epi32(a, high, b);
    }
  }
}

inline void put(const Rows& t, bf16* out) {
  for (int i = 0; i < 16; ++i) _mm512_storeu_si512(out + 32 * i, t.r[i]);
}

// x is [outer][inner], packed along its rows. `transposed`: as the right factor (x^T), else as the left one (x).
template <bool transposed>
inline void pack_rows(bf16* out, const float* x, int ld, int outer, int inner) {
  for (int o = 0; o < outer; o += 16) {
    for (int i = 0; i < inner; i += 32, out += kTile) {
      Rows t = tile_of_rows(x + static_cast<std::ptrdiff_t>(o) * ld + i, ld);
      if constexpr (transposed) transpose(t);
      put(t, out);
    }
  }
}

// x is [inner][outer], packed down its columns. `transposed`: as the left factor (x^T), else as the right one (x).
template <bool transposed>
inline void pack_columns(bf16* out, const float* x, int ld, int outer, int inner) {
  for (int o = 0; o < outer; o += 16) {
    for (int i = 0; i < inner; i += 32, out += kTile) {
      Rows t = tile_of_pairs(x + static_cast<std::ptrdiff_t>(i) * ld + o, ld);
      if constexpr (transposed) transpose(t);
      put(t, out);
    }
  }
}

inline void pack_left(bf16* out, const float* x, int ld, int m, int k) { pack_rows<false>(out, x, ld, m, k); }
inline void pack_left_t(bf16* out, const float* x, int ld, int m, int k) { pack_columns<true>(out, x, ld, m, k); }
inline void pack_right(bf16* out, const float* x, int ld, int n, int k) { pack_columns<false>(out, x, ld, n, k); }
inline void pack_right_t(bf16* out, const float* x, int ld, int n, int k) { pack_rows<true>(out, x, ld, n, k); }

// c [m][n] = or += left x right. The strides are the tiles from one row of tiles to the next: k / 32, or more for a part.
void multiply(float* c, int ldc, const bf16* left, int left_stride, const bf16* right, int right_stride, int m, int n, int k,
              bool add);

}  // namespace amx
