// Activations to int8. Included once, by table.cc.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/kernels.h"

namespace dormouse::kernels {
namespace {

// Below this largest magnitude 127 / amax would overflow to infinity (and the block is zero for every purpose).
constexpr float kSmallestAmax = 1e-30F;
constexpr std::uint32_t kInfinityBits = 0x7F800000U;
constexpr std::uint32_t kQuietNanBits = 0x7FC00000U;

inline std::uint32_t float_bits(float x) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}

inline float bits_float(std::uint32_t bits) {
  float x = 0;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

// Adding and subtracting 1.5 * 2^23 leaves the nearest integer, ties to even, for |x| < 2^22.
inline int round_half_even(float x) {
  return static_cast<int>((x + 12582912.0F) - 12582912.0F);
}

// Quantises n values; returns their scale. Magnitudes are compared as integers, so that a NaN is simply the largest.
inline float quantize_values(std::int8_t* q, const float* x, int n) {
  std::uint32_t amax_bits = 0;
  for (int i = 0; i < n; ++i) {
    const std::uint32_t magnitude = float_bits(x[i]) & 0x7FFFFFFFU;
    amax_bits = magnitude > amax_bits ? magnitude : amax_bits;
  }
  const float amax = bits_float(amax_bits);
  if (amax_bits >= kInfinityBits || amax < kSmallestAmax) {
    std::memset(q, 0, static_cast<std::size_t>(n));
    return amax_bits >= kInfinityBits ? bits_float(kQuietNanBits) : 0.0F;
  }
  const float inverse = 127.0F / amax;
  for (int i = 0; i < n; ++i) q[i] = static_cast<std::int8_t>(round_half_even(x[i] * inverse));
  return amax / 127.0F;
}

void quantize_q8_k(std::uint8_t* out, const float* x, std::int32_t k) {
  auto* blocks = reinterpret_cast<BlockQ8K*>(out);
  for (int block = 0; block < k / 256; ++block) {
    BlockQ8K& b = blocks[block];
    b.d = quantize_values(b.q, x + 256 * block, 256);
    for (int g = 0; g < 16; ++g) {
      int sum = 0;
      for (int i = 0; i < 16; ++i) sum += b.q[16 * g + i];
      b.sums16[g] = static_cast<std::int16_t>(sum);
    }
    for (int g = 0; g < 8; ++g) b.sums32[g] = static_cast<std::int16_t>(b.sums16[2 * g] + b.sums16[2 * g + 1]);
  }
}

void quantize_q8_0(std::uint8_t* out, const float* x, std::int32_t k) {
  auto* q = reinterpret_cast<std::int8_t*>(out);
  auto* scales = reinterpret_cast<float*>(out + (k + 63) / 64 * 64);
  auto* sums = reinterpret_cast<std::int32_t*>(scales + k / 32);
  for (int block = 0; block < k / 32; ++block) {
    scales[block] = quantize_values(q + 32 * block, x + 32 * block, 32);
    sums[block] = 0;
    for (int i = 0; i < 32; ++i) sums[block] += q[32 * block + i];
  }
}

}  // namespace
}  // namespace dormouse::kernels
