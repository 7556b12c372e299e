// Matrix products of Q8_0 weights with Q8_0 activations; the same bits as scalar/matmul_q8_0.h. Included once a table.
// Napkin: 4,352 bytes a tile = 770 cycles at 15 GB/s; 64 VPDPBUSD and XOR, 8 x 4 floats: 80 cycles. Memory decides up
// to eight rows.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/cpu/avx512/matmul_k.h"
#include "kernels/cpu/avx512/tile.h"
#include "kernels/kernels.h"

namespace dormouse::kernels {
namespace {

constexpr int kQ8TileBytes = 4352;

// VPDPBUSD wants unsigned weights: w + 128, less 128 times the sum of the activations, which the dot starts with.
template <int kM>
inline void q8_0_strip(const MatmulArgs& args, std::int32_t begin, std::int32_t first) {
  const std::uint8_t* tile = args.weights + begin / kRows * args.strip_bytes;
  const std::int64_t scales_at = (args.k + 63) / 64 * 64;
  const std::int32_t blocks = args.k / 32;
  const std::uint8_t* a[kM];
  __m512 acc[kM];
  for (int i = 0; i < kM; ++i) {
    a[i] = args.activations + (first + i) * args.activation_row_bytes;
    acc[i] = _mm512_setzero_ps();
  }
  const __m512i flip = _mm512_set1_epi8(-128);
  for (std::int32_t block = 0; block < blocks; ++block) {
    const std::uint8_t* at = tile + block / 8 * kQ8TileBytes;
    const std::uint8_t* quads = at + 256 + 512 * (block % 8);
    __m512i dot[kM];
    for (int i = 0; i < kM; ++i) {
      const auto* sums = reinterpret_cast<const std::int32_t*>(a[i] + scales_at + 4 * blocks);
      dot[i] = _mm512_set1_epi32(-128 * sums[block]);
    }
#pragma GCC unroll 8
    for (int t = 0; t < 8; ++t) {
      _mm_prefetch(reinterpret_cast<const char*>(quads + kPrefetchBytes + 64 * t), _MM_HINT_T0);
      const __m512i q = _mm512_xor_si512(load_64(quads + 64 * t), flip);
      for (int i = 0; i < kM; ++i) {
        dot[i] = _mm512_dpbusd_epi32(dot[i], q,
                                     broadcast_quad(reinterpret_cast<const std::int8_t*>(a[i]) + 32 * block + 4 * t));
      }
    }
    const __m512 d = load_halves(at + 32 * (block % 8));
    for (int i = 0; i < kM; ++i) {
      const __m512 da = _mm512_set1_ps(reinterpret_cast<const float*>(a[i] + scales_at)[block]);
      acc[i] = _mm512_fmadd_ps(_mm512_mul_ps(d, da), _mm512_cvtepi32_ps(dot[i]), acc[i]);
    }
  }
  const __mmask16 mask = row_mask(args.row_end - begin);
  for (int i = 0; i < kM; ++i) _mm512_mask_storeu_ps(args.out + (first + i) * args.out_stride + begin, mask, acc[i]);
}

void matmul_q8_0(const MatmulArgs& args) {
  for (std::int32_t begin = args.row_begin; begin < args.row_end; begin += kRows) {
    std::int32_t i = 0;
    for (; i + 8 <= args.m; i += 8) q8_0_strip<8>(args, begin, i);
    for (; i + 2 <= args.m; i += 2) q8_0_strip<2>(args, begin, i);
    if (i < args.m) q8_0_strip<1>(args, begin, i);
  }
}

}  // namespace
}  // namespace dormouse::kernels
