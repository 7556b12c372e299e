// Norm, rotation, activation function and residual; the same bits as scalar/elementwise.h. Included once, by table.cc.
// Cost: everything here is under 1 % of a step; one pass over rows that lie in L1 or L2.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/kernels.h"

namespace dormouse::kernels {
namespace {

// scalar/elementwise.h explains the steps. min and max keep their second operand when it is a NaN.
inline __m256 exp_approx(__m256 x) {
  x = _mm256_min_ps(_mm256_set1_ps(88.3F), x);
  x = _mm256_max_ps(_mm256_set1_ps(-87.3F), x);
  const __m256 magic = _mm256_set1_ps(12582912.0F);
  const __m256 shifted = _mm256_fmadd_ps(x, _mm256_set1_ps(1.44269504F), magic);
  const __m256 n = _mm256_sub_ps(shifted, magic);
  __m256 r = _mm256_fmadd_ps(n, _mm256_set1_ps(-0.693359375F), x);
  r = _mm256_fmadd_ps(n, _mm256_set1_ps(2.12194440e-4F), r);
  __m256 p = _mm256_set1_ps(1.9875691500e-4F);
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.3981999507e-3F));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(8.3334519073e-3F));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(4.1665795894e-2F));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.6666665459e-1F));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(5.0000001201e-1F));
  p = _mm256_add_ps(_mm256_fmadd_ps(p, _mm256_mul_ps(r, r), r), _mm256_set1_ps(1.0F));
  const __m256i exponent = _mm256_slli_epi32(_mm256_castps_si256(shifted), 23);
  return _mm256_mul_ps(p, _mm256_castsi256_ps(_mm256_add_epi32(exponent, _mm256_set1_epi32(0x3F800000))));
}

// The 16 partial sums of rule 3 to one: low holds sums 0 to 7, high 8 to 15.
inline float reduce_16(__m256 low, __m256 high) {
  const __m256 eight = _mm256_add_ps(low, high);
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  four = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(four, _mm_shuffle_ps(four, four, 1)));
}

void rms_norm(float* out, const float* x, const float* weight, std::int32_t n, float epsilon) {
  __m256 low = _mm256_setzero_ps();
  __m256 high = _mm256_setzero_ps();
  for (std::int32_t i = 0; i < n; i += 16) {
    const __m256 a = _mm256_loadu_ps(x + i);
    const __m256 b = _mm256_loadu_ps(x + i + 8);
    low = _mm256_fmadd_ps(a, a, low);
    high = _mm256_fmadd_ps(b, b, high);
  }
  const float mean = reduce_16(low, high) / static_cast<float>(n);
  const __m256 inverse = _mm256_set1_ps(1.0F / __builtin_sqrtf(mean + epsilon));
  for (std::int32_t i = 0; i < n; i += 8) {
    const __m256 scaled = _mm256_mul_ps(_mm256_loadu_ps(x + i), inverse);
    _mm256_storeu_ps(out + i, _mm256_mul_ps(scaled, _mm256_loadu_ps(weight + i)));
  }
}

// head_dim is a multiple of 16, so each half is whole vectors.
void rope(float* head, const float* cosine, const float* sine, std::int32_t head_dim) {
  const std::int32_t half = head_dim / 2;
  for (std::int32_t i = 0; i < half; i += 8) {
    const __m256 a = _mm256_loadu_ps(head + i);
    const __m256 b = _mm256_loadu_ps(head + i + half);
    const __m256 c = _mm256_loadu_ps(cosine + i);
    const __m256 s = _mm256_loadu_ps(sine + i);
    _mm256_storeu_ps(head + i, _mm256_sub_ps(_mm256_mul_ps(a, c), _mm256_mul_ps(b, s)));
    _mm256_storeu_ps(head + i + half, _mm256_add_ps(_mm256_mul_ps(b, c), _mm256_mul_ps(a, s)));
  }
}

void silu_mul(float* gate, const float* up, std::int32_t n) {
  const __m256 sign = _mm256_set1_ps(-0.0F);
  const __m256 one = _mm256_set1_ps(1.0F);
  for (std::int32_t i = 0; i < n; i += 8) {
    const __m256 g = _mm256_loadu_ps(gate + i);
    const __m256 quotient = _mm256_div_ps(g, _mm256_add_ps(one, exp_approx(_mm256_xor_ps(g, sign))));
    _mm256_storeu_ps(gate + i, _mm256_mul_ps(quotient, _mm256_loadu_ps(up + i)));
  }
}

void add(float* x, const float* y, std::int32_t n) {
  for (std::int32_t i = 0; i < n; i += 8) {
    _mm256_storeu_ps(x + i, _mm256_add_ps(_mm256_loadu_ps(x + i), _mm256_loadu_ps(y + i)));
  }
}

}  // namespace
}  // namespace dormouse::kernels
