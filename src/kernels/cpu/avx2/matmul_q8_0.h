// Matrix products of Q8_0 weights with Q8_0 activations; the same bits as scalar/matmul_q8_0.h. Included once a table.
// VPMADDUBSW wants one unsigned side: |w| times a with w's sign. 128 x 127 x 2 = 32,512 fits 16 bits, two such do not,
// so each product is widened at once.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/cpu/avx2/matmul_k.h"
#include "kernels/cpu/avx2/tile.h"
#include "kernels/kernels.h"

namespace dormouse::kernels {
namespace {

constexpr int kQ8TileBytes = 4352;

template <int kM>
inline void q8_0_strip(const MatmulArgs& args, std::int32_t begin, std::int32_t first) {
  const std::uint8_t* tile = args.weights + begin / kRows * args.strip_bytes;
  const std::int64_t scales_at = (args.k + 63) / 64 * 64;
  const std::uint8_t* a[kM];
  __m256 acc[2][kM];
  for (int i = 0; i < kM; ++i) {
    a[i] = args.activations + (first + i) * args.activation_row_bytes;
    acc[0][i] = acc[1][i] = _mm256_setzero_ps();
  }
  const __m256i ones = _mm256_set1_epi16(1);
  for (std::int32_t block = 0; block < args.k / 32; ++block) {
    const std::uint8_t* at = tile + block / 8 * kQ8TileBytes;
    const std::uint8_t* quads = at + 256 + 512 * (block % 8);
    for (int half = 0; half < 2; ++half) {
      __m256i dot[kM];
      for (int i = 0; i < kM; ++i) dot[i] = _mm256_setzero_si256();
#pragma GCC unroll 8
      for (int t = 0; t < 8; ++t) {
        if (half == 0) _mm_prefetch(reinterpret_cast<const char*>(quads + kPrefetchBytes + 64 * t), _MM_HINT_T0);
        const __m256i w = load_32(quads + 64 * t + 32 * half);
        const __m256i magnitude = _mm256_abs_epi8(w);
        for (int i = 0; i < kM; ++i) {
          const __m256i x = _mm256_sign_epi8(broadcast_four(a[i] + 32 * block + 4 * t), w);
          dot[i] = _mm256_add_epi32(dot[i], _mm256_madd_epi16(_mm256_maddubs_epi16(magnitude, x), ones));
        }
      }
      const __m256 d = load_halves(at + 32 * (block % 8) + 16 * half);
      for (int i = 0; i < kM; ++i) {
        const __m256 da = _mm256_set1_ps(reinterpret_cast<const float*>(a[i] + scales_at)[block]);
        acc[half][i] = _mm256_fmadd_ps(_mm256_mul_ps(d, da), _mm256_cvtepi32_ps(dot[i]), acc[half][i]);
      }
    }
  }
  for (int i = 0; i < kM; ++i) {
    float* out = args.out + (first + i) * args.out_stride + begin;
    store_rows(out, acc[0][i], args.row_end - begin);
    if (args.row_end - begin > 8) store_rows(out + 8, acc[1][i], args.row_end - begin - 8);
  }
}

void matmul_q8_0(const MatmulArgs& args) {
  for (std::int32_t begin = args.row_begin; begin < args.row_end; begin += kRows) {
    std::int32_t i = 0;
    for (; i + 4 <= args.m; i += 4) q8_0_strip<4>(args, begin, i);
    for (; i + 2 <= args.m; i += 2) q8_0_strip<2>(args, begin, i);
    if (i < args.m) q8_0_strip<1>(args, begin, i);
  }
}

}  // namespace
}  // namespace dormouse::kernels
