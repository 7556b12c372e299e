// Activations to int8; the same bits as scalar/quantize.h. Included once, by table.cc.
// Cost: 256 values in about 150 cycles; an activation row is quantised once and multiplied thousands of times.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/kernels.h"

namespace dormouse::kernels {
namespace {

constexpr float kSmallestAmax = 1e-30F;
constexpr std::uint32_t kInfinityBits = 0x7F800000U;

// The largest magnitude of 32 * chunks floats, as bits: compared as integers, so that a NaN is simply the largest.
inline std::uint32_t largest_magnitude_bits(const float* x, int chunks) {
  const __m256i mask = _mm256_set1_epi32(0x7FFFFFFF);
  __m256i largest = _mm256_setzero_si256();
  for (int i = 0; i < 4 * chunks; ++i) {
    const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + 8 * i));
    largest = _mm256_max_epi32(largest, _mm256_and_si256(bits, mask));
  }
  __m128i m = _mm_max_epi32(_mm256_castsi256_si128(largest), _mm256_extracti128_si256(largest, 1));
  m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4E));
  m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0xB1));
  return static_cast<std::uint32_t>(_mm_cvtsi128_si32(m));
}

struct QuantScale {
  float d;
  float inverse;  // 0: the block is all zeros
};

inline QuantScale quant_scale(std::uint32_t amax_bits) {
  const float amax = _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(static_cast<int>(amax_bits))));
  if (amax_bits >= kInfinityBits) return {__builtin_nanf(""), 0.0F};
  if (amax < kSmallestAmax) return {0.0F, 0.0F};
  return {amax / 127.0F, 127.0F / amax};
}

// 32 floats to 32 int8. Rounds half to even, the default mode of _mm256_cvtps_epi32.
inline __m256i quantize_32(const float* x, float inverse) {
  const __m256 factor = _mm256_set1_ps(inverse);
  const __m256i a = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x), factor));
  const __m256i b = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 8), factor));
  const __m256i c = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 16), factor));
  const __m256i d = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 24), factor));
  const __m256i packed = _mm256_packs_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
  // The two packs interleave the 128-bit halves: a0 b0 c0 d0 a1 b1 c1 d1, four bytes each.
  return _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

void quantize_q8_k(std::uint8_t* out, const float* x, std::int32_t k) {
  auto* blocks = reinterpret_cast<BlockQ8K*>(out);
  const __m256i ones8 = _mm256_set1_epi8(1);
  const __m256i ones16 = _mm256_set1_epi16(1);
  for (int block = 0; block < k / 256; ++block, x += 256) {
    BlockQ8K& b = blocks[block];
    const QuantScale scale = quant_scale(largest_magnitude_bits(x, 8));
    b.d = scale.d;
    for (int half = 0; half < 2; ++half) {
      __m256i sums[4];  // per 32 values: four sums of 4 of its first 16, four of its last 16
      for (int i = 0; i < 4; ++i) {
        const int at = 128 * half + 32 * i;
        const __m256i q = scale.inverse == 0 ? _mm256_setzero_si256() : quantize_32(x + at, scale.inverse);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(b.q + at), q);
        sums[i] = _mm256_madd_epi16(_mm256_maddubs_epi16(ones8, q), ones16);
      }
      const __m256i all = _mm256_hadd_epi32(_mm256_hadd_epi32(sums[0], sums[1]), _mm256_hadd_epi32(sums[2], sums[3]));
      const __m128i first = _mm256_castsi256_si128(all);
      const __m128i second = _mm256_extracti128_si256(all, 1);
      const __m128i sums16 = _mm_packs_epi32(_mm_unpacklo_epi32(first, second), _mm_unpackhi_epi32(first, second));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(b.sums16 + 8 * half), sums16);
      const __m128i sums32 = _mm_add_epi32(first, second);
      _mm_storel_epi64(reinterpret_cast<__m128i*>(b.sums32 + 4 * half), _mm_packs_epi32(sums32, sums32));
    }
  }
}

void quantize_q8_0(std::uint8_t* out, const float* x, std::int32_t k) {
  auto* scales = reinterpret_cast<float*>(out + (k + 63) / 64 * 64);
  auto* sums = reinterpret_cast<std::int32_t*>(scales + k / 32);
  for (int block = 0; block < k / 32; ++block, x += 32, out += 32) {
    const QuantScale scale = quant_scale(largest_magnitude_bits(x, 1));
    scales[block] = scale.d;
    const __m256i q = scale.inverse == 0 ? _mm256_setzero_si256() : quantize_32(x, scale.inverse);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), q);
    const __m256i eight = _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_set1_epi8(1), q), _mm256_set1_epi16(1));
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4E));
    sums[block] = _mm_cvtsi128_si32(_mm_add_epi32(four, _mm_shuffle_epi32(four, 0xB1)));
  }
}

}  // namespace
}  // namespace dormouse::kernels
