// Integer products of 4 weight rows with kM activation rows, by SMMLA; neon/dot.h has the contract. Included once, by
// table.cc.
// SMMLA multiplies 2 rows x 8 columns with 8 columns x 2 rows: 32 products where SDOT makes 16. Two quads interleaved
// are two such vectors, which all pairs of activation rows share; a single row has nothing to pair with and takes SDOT.
#pragma once

#include <arm_neon.h>

#include <cstdint>

#include "kernels/cpu/neon/dot.h"

namespace dormouse::kernels {
namespace {

struct MatrixProducts {
  template <int kQuads, int kM>
  static void multiply(int32x4_t* dot, const int8x16_t* w, const std::int8_t* const* x) {
    if constexpr (kM % 2 != 0) {
      DotProducts::multiply<kQuads, kM>(dot, w, x);
    } else {
      int8x16_t upper[kQuads / 2];  // rows 0 and 1
      int8x16_t lower[kQuads / 2];  // rows 2 and 3
#pragma GCC unroll 4
      for (int t = 0; t < kQuads / 2; ++t) {
        const int32x4_t a = vreinterpretq_s32_s8(w[2 * t]);
        const int32x4_t b = vreinterpretq_s32_s8(w[2 * t + 1]);
        upper[t] = vreinterpretq_s8_s32(vzip1q_s32(a, b));
        lower[t] = vreinterpretq_s8_s32(vzip2q_s32(a, b));
      }
      for (int i = 0; i < kM; i += 2) {
        int32x4_t first = vdupq_n_s32(0);  // row 0 with x[i], x[i + 1]; row 1 with both
        int32x4_t second = vdupq_n_s32(0);
#pragma GCC unroll 4
        for (int t = 0; t < kQuads / 2; ++t) {
          const int8x16_t both = vcombine_s8(vld1_s8(x[i] + 8 * t), vld1_s8(x[i + 1] + 8 * t));
          first = vmmlaq_s32(first, upper[t], both);
          second = vmmlaq_s32(second, lower[t], both);
        }
        dot[i] = vuzp1q_s32(first, second);
        dot[i + 1] = vuzp2q_s32(first, second);
      }
    }
  }
};

}  // namespace
}  // namespace dormouse::kernels
