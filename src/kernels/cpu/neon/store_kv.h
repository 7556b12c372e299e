// Keys and values into their page; the same bits as scalar/attention.h. Included once a table.
#pragma once

#include <arm_neon.h>

#include <cstdint>

#include "kernels/cpu/neon/quantize.h"
#include "kernels/kernels.h"

namespace dormouse::kernels {
namespace {

inline uint16x4_t to_halves(const float* x) {
  return vreinterpret_u16_f16(vcvt_f16_f32(vld1q_f32(x)));
}

// Keys go to one column: 64 bytes apart. The page's 8 KiB stay in L1 while its 32 tokens arrive.
void store_kv_f16(std::uint16_t* k_page, std::uint16_t* v_page, const float* k, const float* v, std::int32_t head_dim,
                  std::int32_t token) {
  for (std::int32_t d = 0; d < head_dim; d += 4) {
    vst1_u16(v_page + token * head_dim + d, to_halves(v + d));
    std::uint16_t* column = k_page + d * kKvPageTokens + token;
    const uint16x4_t keys = to_halves(k + d);
    vst1_lane_u16(column, keys, 0);
    vst1_lane_u16(column + kKvPageTokens, keys, 1);
    vst1_lane_u16(column + 2 * kKvPageTokens, keys, 2);
    vst1_lane_u16(column + 3 * kKvPageTokens, keys, 3);
  }
}

// 32 values to int8; returns their scale.
inline std::uint16_t quantize_group(std::int8_t* q, const float* x) {
  const QuantScale scale = quant_scale(largest_magnitude_bits(x, 32));
  quantize_16(q, x, scale.inverse);
  quantize_16(q + 16, x + 16, scale.inverse);
  return vget_lane_u16(vreinterpret_u16_f16(vcvt_f16_f32(vdupq_n_f32(scale.d))), 0);
}

void store_kv_q8(std::uint16_t* k_page, std::uint16_t* v_page, const float* k, const float* v, std::int32_t head_dim,
                 std::int32_t token) {
  auto* k_bytes = reinterpret_cast<std::int8_t*>(k_page) + token;
  auto* v_bytes = reinterpret_cast<std::int8_t*>(v_page) + token * head_dim;
  std::uint16_t* k_scales = k_page + kv_scales_at(head_dim, 0) + token;
  std::uint16_t* v_scales = v_page + kv_scales_at(head_dim, 0) + token;
  for (std::int32_t d = 0; d < head_dim; d += 32, k_scales += kKvPageTokens, v_scales += kKvPageTokens) {
    std::int8_t column[32];
    *k_scales = quantize_group(column, k + d);
    for (int i = 0; i < 32; ++i) k_bytes[(d + i) * kKvPageTokens] = column[i];
    *v_scales = quantize_group(v_bytes + d, v + d);
  }
}

}  // namespace
}  // namespace dormouse::kernels
