// exp of sixteen floats; the steps of scalar/elementwise.h, the same bits. Included once a table.
#pragma once

#include <immintrin.h>

#include "kernels/kernels.h"

namespace dormouse::kernels {
namespace {

// min and max keep their second operand when it is a NaN.
inline __m512 exp_approx_512(__m512 x) {
  x = _mm512_min_ps(_mm512_set1_ps(88.3F), x);
  x = _mm512_max_ps(_mm512_set1_ps(-87.3F), x);
  const __m512 magic = _mm512_set1_ps(12582912.0F);
  const __m512 shifted = _mm512_fmadd_ps(x, _mm512_set1_ps(1.44269504F), magic);
  const __m512 n = _mm512_sub_ps(shifted, magic);
  __m512 r = _mm512_fmadd_ps(n, _mm512_set1_ps(-0.693359375F), x);
  r = _mm512_fmadd_ps(n, _mm512_set1_ps(2.12194440e-4F), r);
  __m512 p = _mm512_set1_ps(1.9875691500e-4F);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.3981999507e-3F));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(8.3334519073e-3F));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(4.1665795894e-2F));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.6666665459e-1F));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.0000001201e-1F));
  p = _mm512_add_ps(_mm512_fmadd_ps(p, _mm512_mul_ps(r, r), r), _mm512_set1_ps(1.0F));
  const __m512i exponent = _mm512_slli_epi32(_mm512_castps_si512(shifted), 23);
  return _mm512_mul_ps(p, _mm512_castsi512_ps(_mm512_add_epi32(exponent, _mm512_set1_epi32(0x3F800000))));
}

}  // namespace
}  // namespace dormouse::kernels
