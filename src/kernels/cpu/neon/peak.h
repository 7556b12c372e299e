// What the int8 products of Arm reach from registers (KernelTable::int8_peak). Included once a table; i8mm/peak.h gives
// it another product.
#pragma once

#include <arm_neon.h>

#include <cstdint>

namespace dormouse::kernels {
namespace {

struct Sdot {
  static constexpr int kMultiplies = 16;
  static int32x4_t add(int32x4_t sum, int8x16_t a, int8x16_t b) { return vdotq_s32(sum, a, b); }
};

template <typename Product>
std::int64_t int8_peak(std::int64_t rounds) {
  constexpr int kChains = 16;
  const int8x16_t a = vdupq_n_s8(1);
  const int8x16_t b = vdupq_n_s8(1);
  int32x4_t sum[kChains] = {};
  for (std::int64_t i = 0; i < rounds; ++i) {
    for (auto& chain : sum) chain = Product::add(chain, a, b);
  }
  for (auto& chain : sum) asm volatile("" : "+w"(chain));
  return rounds * kChains * Product::kMultiplies * 2;
}

}  // namespace
}  // namespace dormouse::kernels
