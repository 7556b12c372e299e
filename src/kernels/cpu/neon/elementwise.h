// Norm, rotation, activation function and residual; the same bits as scalar/elementwise.h. Included once a table.
#pragma once

#include <arm_neon.h>

#include <cstdint>

#include "kernels/kernels.h"

namespace dormouse::kernels {
namespace {

// scalar/elementwise.h explains the steps. FMIN and FMAX give a NaN for a NaN.
inline float32x4_t exp_approx(float32x4_t x) {
  x = vminq_f32(x, vdupq_n_f32(88.3F));
  x = vmaxq_f32(x, vdupq_n_f32(-87.3F));
  const float32x4_t magic = vdupq_n_f32(12582912.0F);
  const float32x4_t shifted = vfmaq_f32(magic, x, vdupq_n_f32(1.44269504F));
  const float32x4_t n = vsubq_f32(shifted, magic);
  float32x4_t r = vfmaq_f32(x, n, vdupq_n_f32(-0.693359375F));
  r = vfmaq_f32(r, n, vdupq_n_f32(2.12194440e-4F));
  float32x4_t p = vdupq_n_f32(1.9875691500e-4F);
  p = vfmaq_f32(vdupq_n_f32(1.3981999507e-3F), p, r);
  p = vfmaq_f32(vdupq_n_f32(8.3334519073e-3F), p, r);
  p = vfmaq_f32(vdupq_n_f32(4.1665795894e-2F), p, r);
  p = vfmaq_f32(vdupq_n_f32(1.6666665459e-1F), p, r);
  p = vfmaq_f32(vdupq_n_f32(5.0000001201e-1F), p, r);
  p = vaddq_f32(vfmaq_f32(r, p, vmulq_f32(r, r)), vdupq_n_f32(1.0F));
  const uint32x4_t exponent = vshlq_n_u32(vreinterpretq_u32_f32(shifted), 23);
  return vmulq_f32(p, vreinterpretq_f32_u32(vaddq_u32(exponent, vdupq_n_u32(0x3F800000U))));
}

// The last two steps of rule 3: four partial sums to one.
inline float reduce_4(float32x4_t sums) {
  const float32x2_t two = vadd_f32(vget_low_f32(sums), vget_high_f32(sums));
  return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}

void rms_norm(float* out, const float* x, const float* weight, std::int32_t n, float epsilon) {
  float32x4_t sums[4] = {vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0)};
  for (std::int32_t i = 0; i < n; i += 16) {
    for (int s = 0; s < 4; ++s) {
      const float32x4_t a = vld1q_f32(x + i + 4 * s);
      sums[s] = vfmaq_f32(sums[s], a, a);
    }
  }
  const float32x4_t sum = vaddq_f32(vaddq_f32(sums[0], sums[2]), vaddq_f32(sums[1], sums[3]));
  const float mean = reduce_4(sum) / static_cast<float>(n);
  const float inverse = 1.0F / __builtin_sqrtf(mean + epsilon);
  for (std::int32_t i = 0; i < n; i += 4) {
    vst1q_f32(out + i, vmulq_f32(vmulq_n_f32(vld1q_f32(x + i), inverse), vld1q_f32(weight + i)));
  }
}

// head_dim is a multiple of 16, so each half is whole vectors.
void rope(float* head, const float* cosine, const float* sine, std::int32_t head_dim) {
  const std::int32_t half = head_dim / 2;
  for (std::int32_t i = 0; i < half; i += 4) {
    const float32x4_t a = vld1q_f32(head + i);
    const float32x4_t b = vld1q_f32(head + i + half);
    const float32x4_t c = vld1q_f32(cosine + i);
    const float32x4_t s = vld1q_f32(sine + i);
    vst1q_f32(head + i, vsubq_f32(vmulq_f32(a, c), vmulq_f32(b, s)));
    vst1q_f32(head + i + half, vaddq_f32(vmulq_f32(b, c), vmulq_f32(a, s)));
  }
}

void silu_mul(float* gate, const float* up, std::int32_t n) {
  const float32x4_t one = vdupq_n_f32(1.0F);
  for (std::int32_t i = 0; i < n; i += 4) {
    const float32x4_t g = vld1q_f32(gate + i);
    const float32x4_t quotient = vdivq_f32(g, vaddq_f32(one, exp_approx(vnegq_f32(g))));
    vst1q_f32(gate + i, vmulq_f32(quotient, vld1q_f32(up + i)));
  }
}

void add(float* x, const float* y, std::int32_t n) {
  for (std::int32_t i = 0; i < n; i += 4) vst1q_f32(x + i, vaddq_f32(vld1q_f32(x + i), vld1q_f32(y + i)));
}

}  // namespace
}  // namespace dormouse::kernels
