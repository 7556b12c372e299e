// Matrix products of F32, F16 and BF16 weights with float activations: rule 3 of kernels.h, the same bits as
// scalar/matmul_float.h. Included once a table.
// Pairs lie row by row: a vector of four rows holds columns j and j + 1 side by side, so lanes are (s0, s1) of a row in
// one accumulator and (s2, s3) in another. One activation row takes all 16 rows (8 accumulators), three take 8 of them
// (12 accumulators) twice.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/cpu/avx2/tile.h"
#include "kernels/kernels.h"

namespace dormouse::kernels {
namespace {

// 4 rows x 2 columns from 16 bytes.
struct WeightF16 {
  static __m256 load(const std::uint8_t* at) { return load_halves(at); }
};
struct WeightBF16 {
  static __m256 load(const std::uint8_t* at) {
    const __m256i words = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
    return _mm256_castsi256_ps(_mm256_slli_epi32(words, 16));
  }
};

// Sums of neighbours of two vectors of four rows: rows 0 to 7.
inline __m256 add_neighbours(__m256 low, __m256 high) {
  const __m256 mixed = _mm256_hadd_ps(low, high);
  return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(mixed), 0xD8));
}

// kM activation rows with 8 * kHalves weight rows from `half`.
template <typename Weight, int kM, int kHalves>
inline void pair_rows(const MatmulArgs& args, std::int32_t begin, std::int32_t first, int half) {
  const std::uint8_t* at = args.weights + begin / kRows * args.strip_bytes + 32 * half;
  __m256 acc[kM][kHalves][2][2];  // [half][(s0, s1), (s2, s3)][four rows]
  for (int i = 0; i < kM; ++i) {
    for (auto& h : acc[i]) h[0][0] = h[0][1] = h[1][0] = h[1][1] = _mm256_setzero_ps();
  }
  for (std::int32_t j = 0; j < args.k; j += 4, at += 128) {
    _mm_prefetch(reinterpret_cast<const char*>(at + kPrefetchBytes), _MM_HINT_T0);
    _mm_prefetch(reinterpret_cast<const char*>(at + kPrefetchBytes + 64), _MM_HINT_T0);
    for (int pair = 0; pair < 2; ++pair) {
      for (int h = 0; h < kHalves; ++h) {
        const __m256 w0 = Weight::load(at + 64 * pair + 32 * h);
        const __m256 w1 = Weight::load(at + 64 * pair + 32 * h + 16);
        for (int i = 0; i < kM; ++i) {
          const auto* x = reinterpret_cast<const float*>(args.activations + (first + i) * args.activation_row_bytes);
          const auto* both = reinterpret_cast<const double*>(x + j + 2 * pair);
          const __m256 x01 = _mm256_castpd_ps(_mm256_broadcast_sd(both));
          acc[i][h][pair][0] = _mm256_fmadd_ps(x01, w0, acc[i][h][pair][0]);
          acc[i][h][pair][1] = _mm256_fmadd_ps(x01, w1, acc[i][h][pair][1]);
        }
      }
    }
  }
  for (int i = 0; i < kM; ++i) {
    for (int h = 0; h < kHalves; ++h) {
      const std::int32_t row = begin + 8 * (half + h);
      if (row >= args.row_end) break;
      const __m256 low = _mm256_add_ps(acc[i][h][0][0], acc[i][h][1][0]);
      const __m256 high = _mm256_add_ps(acc[i][h][0][1], acc[i][h][1][1]);
      store_rows(args.out + (first + i) * args.out_stride + row, add_neighbours(low, high), args.row_end - row);
    }
  }
}

template <typename Weight>
void matmul_pairs(const MatmulArgs& args) {
  for (std::int32_t begin = args.row_begin; begin < args.row_end; begin += kRows) {
    std::int32_t i = 0;
    for (; i + 3 <= args.m; i += 3) {
      pair_rows<Weight, 3, 1>(args, begin, i, 0);
      pair_rows<Weight, 3, 1>(args, begin, i, 1);
    }
    for (; i < args.m; ++i) pair_rows<Weight, 1, 2>(args, begin, i, 0);
  }
}

void matmul_f32(const MatmulArgs& args) {
  for (std::int32_t begin = args.row_begin; begin < args.row_end; begin += kRows) {
    for (std::int32_t i = 0; i < args.m; ++i) {
      const auto* w = reinterpret_cast<const float*>(args.weights + begin / kRows * args.strip_bytes);
      const auto* x = reinterpret_cast<const float*>(args.activations + i * args.activation_row_bytes);
      __m256 acc[4][2];
      for (auto& a : acc) a[0] = a[1] = _mm256_setzero_ps();
      for (std::int32_t j = 0; j < args.k; j += 4, w += 64) {
        for (int s = 0; s < 4; ++s) {
          const __m256 value = _mm256_broadcast_ss(x + j + s);
          acc[s][0] = _mm256_fmadd_ps(value, _mm256_loadu_ps(w + 16 * s), acc[s][0]);
          acc[s][1] = _mm256_fmadd_ps(value, _mm256_loadu_ps(w + 16 * s + 8), acc[s][1]);
        }
      }
      for (int h = 0; h < 2 && begin + 8 * h < args.row_end; ++h) {
        const __m256 sum = _mm256_add_ps(_mm256_add_ps(acc[0][h], acc[2][h]), _mm256_add_ps(acc[1][h], acc[3][h]));
        store_rows(args.out + i * args.out_stride + begin + 8 * h, sum, args.row_end - begin - 8 * h);
      }
    }
  }
}

}  // namespace
}  // namespace dormouse::kernels
