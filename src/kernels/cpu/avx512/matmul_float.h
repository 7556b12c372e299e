// Matrix products of F32, F16 and BF16 weights with float activations: rule 3 of kernels.h, the same bits as
// scalar/matmul_float.h. Included once a table.
// Napkin, F16: 64 bytes are two conversions and two FMA a row; at 15 GB/s a thread a line comes every 11 cycles.
// Pairs lie row by row, so a vector of eight rows holds columns j and j + 1 side by side: lanes are (s0, s1) of a row
// in one accumulator and (s2, s3) in another.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/cpu/avx512/matmul_k.h"
#include "kernels/cpu/avx512/tile.h"
#include "kernels/kernels.h"

namespace dormouse::kernels {
namespace {

// 8 rows x 2 columns from 32 bytes.
struct WeightF16 {
  static __m512 load(const std::uint8_t* at) { return load_halves(at); }
};
struct WeightBF16 {
  static __m512 load(const std::uint8_t* at) {
    const __m512i words = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)));
    return _mm512_castsi512_ps(_mm512_slli_epi32(words, 16));
  }
};

// (s0 + s2) + (s1 + s3) of 16 rows: low holds rows 0 to 7 as neighbouring pairs, high rows 8 to 15.
inline __m512 add_neighbours(__m512 low, __m512 high) {
  const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  const __m512i odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
  return _mm512_add_ps(_mm512_permutex2var_ps(low, even, high), _mm512_permutex2var_ps(low, odd, high));
}

template <typename Weight, int kM>
inline void pair_strip(const MatmulArgs& args, std::int32_t begin, std::int32_t first) {
  const std::uint8_t* at = args.weights + begin / kRows * args.strip_bytes;
  const float* x[kM];
  __m512 acc[kM][4];  // (s0, s1) of rows 0-7, of rows 8-15, (s2, s3) of rows 0-7, of rows 8-15
  for (int i = 0; i < kM; ++i) {
    x[i] = reinterpret_cast<const float*>(args.activations + (first + i) * args.activation_row_bytes);
    for (__m512& a : acc[i]) a = _mm512_setzero_ps();
  }
  for (std::int32_t j = 0; j < args.k; j += 4, at += 128) {
    _mm_prefetch(reinterpret_cast<const char*>(at + kPrefetchBytes), _MM_HINT_T0);
    _mm_prefetch(reinterpret_cast<const char*>(at + kPrefetchBytes + 64), _MM_HINT_T0);
    const __m512 w[4] = {Weight::load(at), Weight::load(at + 32), Weight::load(at + 64), Weight::load(at + 96)};
    for (int i = 0; i < kM; ++i) {
      const __m512 x01 = _mm512_castpd_ps(_mm512_set1_pd(*reinterpret_cast<const double*>(x[i] + j)));
      const __m512 x23 = _mm512_castpd_ps(_mm512_set1_pd(*reinterpret_cast<const double*>(x[i] + j + 2)));
      acc[i][0] = _mm512_fmadd_ps(x01, w[0], acc[i][0]);
      acc[i][1] = _mm512_fmadd_ps(x01, w[1], acc[i][1]);
      acc[i][2] = _mm512_fmadd_ps(x23, w[2], acc[i][2]);
      acc[i][3] = _mm512_fmadd_ps(x23, w[3], acc[i][3]);
    }
  }
  const __mmask16 mask = row_mask(args.row_end - begin);
  for (int i = 0; i < kM; ++i) {
    const __m512 sum = add_neighbours(_mm512_add_ps(acc[i][0], acc[i][2]), _mm512_add_ps(acc[i][1], acc[i][3]));
    _mm512_mask_storeu_ps(args.out + (first + i) * args.out_stride + begin, mask, sum);
  }
}

template <int kM>
inline void f32_strip(const MatmulArgs& args, std::int32_t begin, std::int32_t first) {
  const auto* w = reinterpret_cast<const float*>(args.weights + begin / kRows * args.strip_bytes);
  __m512 acc[kM][4];
  for (int i = 0; i < kM; ++i) {
    for (__m512& a : acc[i]) a = _mm512_setzero_ps();
  }
  for (std::int32_t j = 0; j < args.k; j += 4, w += 64) {
    for (int i = 0; i < kM; ++i) {
      const auto* x = reinterpret_cast<const float*>(args.activations + (first + i) * args.activation_row_bytes) + j;
      for (int s = 0; s < 4; ++s) {
        acc[i][s] = _mm512_fmadd_ps(_mm512_set1_ps(x[s]), _mm512_loadu_ps(w + 16 * s), acc[i][s]);
      }
    }
  }
  const __mmask16 mask = row_mask(args.row_end - begin);
  for (int i = 0; i < kM; ++i) {
    const __m512 sum = _mm512_add_ps(_mm512_add_ps(acc[i][0], acc[i][2]), _mm512_add_ps(acc[i][1], acc[i][3]));
    _mm512_mask_storeu_ps(args.out + (first + i) * args.out_stride + begin, mask, sum);
  }
}

template <typename Weight>
void matmul_pairs(const MatmulArgs& args) {
  for (std::int32_t begin = args.row_begin; begin < args.row_end; begin += kRows) {
    std::int32_t i = 0;
    for (; i + 4 <= args.m; i += 4) pair_strip<Weight, 4>(args, begin, i);
    for (; i < args.m; ++i) pair_strip<Weight, 1>(args, begin, i);
  }
}

void matmul_f32(const MatmulArgs& args) {
  for (std::int32_t begin = args.row_begin; begin < args.row_end; begin += kRows) {
    std::int32_t i = 0;
    for (; i + 4 <= args.m; i += 4) f32_strip<4>(args, begin, i);
    for (; i < args.m; ++i) f32_strip<1>(args, begin, i);
  }
}

}  // namespace
}  // namespace dormouse::kernels
