// Keys and values into their page; the same bits as scalar/attention.h. Included once a table.
#pragma once

#include <arm_neon.h>

#include <cstdint>

#include "kernels/kernels.h"

namespace dormouse::kernels {
namespace {

inline uint16x4_t to_halves(const float* x) {
  return vreinterpret_u16_f16(vcvt_f16_f32(vld1q_f32(x)));
}

// Keys go to one column: 64 bytes apart. The page's 8 KiB stay in L1 while its 32 tokens arrive.
void store_kv(std::uint16_t* k_page, std::uint16_t* v_page, const float* k, const float* v, std::int32_t head_dim,
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

}  // namespace
}  // namespace dormouse::kernels
