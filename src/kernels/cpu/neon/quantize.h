// Activations to int8; the same bits as scalar/quantize.h. Included once a table.
#pragma once

#include <arm_neon.h>

#include <cstdint>

#include "kernels/kernels.h"

namespace dormouse::kernels {
namespace {

constexpr float kSmallestAmax = 1e-30F;
constexpr std::uint32_t kInfinityBits = 0x7F800000U;

// The largest magnitude of n floats, as bits: compared as integers, so that a NaN is simply the largest.
inline std::uint32_t largest_magnitude_bits(const float* x, int n) {
  uint32x4_t largest = vdupq_n_u32(0);
  for (int i = 0; i < n; i += 4) {
    largest = vmaxq_u32(largest, vreinterpretq_u32_f32(vabsq_f32(vld1q_f32(x + i))));
  }
  return vmaxvq_u32(largest);
}

struct QuantScale {
  float d;
  float inverse;  // 0: the block is all zeros
};

inline QuantScale quant_scale(std::uint32_t amax_bits) {
  if (amax_bits >= kInfinityBits) return {__builtin_nanf(""), 0.0F};
  float amax = 0;
  __builtin_memcpy(&amax, &amax_bits, sizeof amax);
  if (amax < kSmallestAmax) return {0.0F, 0.0F};
  return {amax / 127.0F, 127.0F / amax};
}

// FCVTNS rounds half to even.
inline int16x8_t quantize_8(const float* x, float inverse) {
  const int32x4_t low = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x), inverse));
  const int32x4_t high = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x + 4), inverse));
  return vcombine_s16(vqmovn_s32(low), vqmovn_s32(high));
}

// 16 floats to 16 int8; returns their sum.
inline std::int16_t quantize_16(std::int8_t* out, const float* x, float inverse) {
  if (inverse == 0) {
    vst1q_s8(out, vdupq_n_s8(0));
    return 0;
  }
  const int8x16_t q = vcombine_s8(vqmovn_s16(quantize_8(x, inverse)), vqmovn_s16(quantize_8(x + 8, inverse)));
  vst1q_s8(out, q);
  return vaddlvq_s8(q);
}

void quantize_q8_k(std::uint8_t* out, const float* x, std::int32_t k) {
  auto* blocks = reinterpret_cast<BlockQ8K*>(out);
  for (int block = 0; block < k / 256; ++block, x += 256) {
    BlockQ8K& b = blocks[block];
    const QuantScale scale = quant_scale(largest_magnitude_bits(x, 256));
    b.d = scale.d;
    for (int g = 0; g < 16; ++g) b.sums16[g] = quantize_16(b.q + 16 * g, x + 16 * g, scale.inverse);
    vst1q_s16(b.sums32, vpaddq_s16(vld1q_s16(b.sums16), vld1q_s16(b.sums16 + 8)));
  }
}

void quantize_q8_0(std::uint8_t* out, const float* x, std::int32_t k) {
  auto* q = reinterpret_cast<std::int8_t*>(out);
  auto* scales = reinterpret_cast<float*>(out + (k + 63) / 64 * 64);
  auto* sums = reinterpret_cast<std::int32_t*>(scales + k / 32);
  for (int block = 0; block < k / 32; ++block, x += 32, q += 32) {
    const QuantScale scale = quant_scale(largest_magnitude_bits(x, 32));
    scales[block] = scale.d;
    const int first = quantize_16(q, x, scale.inverse);
    sums[block] = first + quantize_16(q + 16, x + 16, scale.inverse);
  }
}

}  // namespace
}  // namespace dormouse::kernels
