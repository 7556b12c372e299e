// Norm, rotation, activation function and residual, as kernels.h defines them. Included once, by table.cc.
#pragma once

#include <cstdint>

#include "kernels/cpu/scalar/quantize.h"
#include "kernels/kernels.h"

namespace dormouse::kernels {
namespace {

// exp(x) for x clamped to [-87.3, 88.3], relative error below 2 ulp: x = n ln 2 + r, |r| <= ln 2 / 2 (ln 2 in two parts
// so that n * high is exact), a degree-6 polynomial in r, times 2^n. Coefficients: Cephes expf.
// A NaN stays a NaN. n comes from the low bits of 1.5 * 2^23 + n.
inline float exp_approx(float x) {
  constexpr float kLimitHigh = 88.3F;
  constexpr float kLimitLow = -87.3F;
  x = kLimitHigh < x ? kLimitHigh : x;
  x = kLimitLow > x ? kLimitLow : x;
  const float shifted = __builtin_fmaf(x, 1.44269504F, 12582912.0F);
  const float n = shifted - 12582912.0F;
  float r = __builtin_fmaf(n, -0.693359375F, x);
  r = __builtin_fmaf(n, 2.12194440e-4F, r);
  float p = 1.9875691500e-4F;
  p = __builtin_fmaf(p, r, 1.3981999507e-3F);
  p = __builtin_fmaf(p, r, 8.3334519073e-3F);
  p = __builtin_fmaf(p, r, 4.1665795894e-2F);
  p = __builtin_fmaf(p, r, 1.6666665459e-1F);
  p = __builtin_fmaf(p, r, 5.0000001201e-1F);
  p = __builtin_fmaf(p, r * r, r) + 1.0F;
  return p * bits_float((float_bits(shifted) << 23) + 0x3F800000U);
}

// The 16 partial sums of rule 3 to one.
inline float reduce_16(float* sums) {
  for (int width = 8; width > 0; width /= 2) {
    for (int l = 0; l < width; ++l) sums[l] += sums[l + width];
  }
  return sums[0];
}

void rms_norm(float* out, const float* x, const float* weight, std::int32_t n, float epsilon) {
  float sums[16] = {};
  for (std::int32_t i = 0; i < n; ++i) sums[i % 16] = __builtin_fmaf(x[i], x[i], sums[i % 16]);
  const float mean = reduce_16(sums) / static_cast<float>(n);
  const float inverse = 1.0F / __builtin_sqrtf(mean + epsilon);
  for (std::int32_t i = 0; i < n; ++i) out[i] = x[i] * inverse * weight[i];
}

void rope(float* head, const float* cosine, const float* sine, std::int32_t head_dim) {
  const std::int32_t half = head_dim / 2;
  for (std::int32_t i = 0; i < half; ++i) {
    const float a = head[i];
    const float b = head[i + half];
    head[i] = a * cosine[i] - b * sine[i];
    head[i + half] = b * cosine[i] + a * sine[i];
  }
}

void silu_mul(float* gate, const float* up, std::int32_t n) {
  for (std::int32_t i = 0; i < n; ++i) gate[i] = gate[i] / (1.0F + exp_approx(-gate[i])) * up[i];
}

void add(float* x, const float* y, std::int32_t n) {
  for (std::int32_t i = 0; i < n; ++i) x[i] += y[i];
}

}  // namespace
}  // namespace dormouse::kernels
