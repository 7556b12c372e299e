// What SDOT reaches from registers (KernelTable::int8_peak). Included once, by table.cc.
#pragma once

#include <arm_neon.h>

#include <cstdint>

namespace dormouse::kernels {
namespace {

std::int64_t int8_peak(std::int64_t rounds) {
  constexpr int kChains = 16;
  const int8x16_t a = vdupq_n_s8(1);
  const int8x16_t b = vdupq_n_s8(1);
  int32x4_t sum[kChains] = {};
  for (std::int64_t i = 0; i < rounds; ++i) {
    for (auto& chain : sum) chain = vdotq_s32(chain, a, b);
  }
  for (auto& chain : sum) asm volatile("" : "+w"(chain));
  return rounds * kChains * 16 * 2;
}

}  // namespace
}  // namespace dormouse::kernels
