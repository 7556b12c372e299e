// SMMLA for neon/peak.h. Included once, by table.cc.
#pragma once

#include "kernels/cpu/neon/peak.h"

namespace dormouse::kernels {
namespace {

struct Smmla {
  static constexpr int kMultiplies = 32;
  static int32x4_t add(int32x4_t sum, int8x16_t a, int8x16_t b) { return vmmlaq_s32(sum, a, b); }
};

}  // namespace
}  // namespace dormouse::kernels
