// Integer products of 4 weight rows with kM activation rows, by SDOT. Included once a table.
// cpu/i8mm/dot.h has the same by SMMLA: matmul_k.h and matmul_q8_0.h take either as their `Dot`.
#pragma once

#include <arm_neon.h>

#include <cstdint>

namespace dormouse::kernels {
namespace {

struct DotProducts {
  // dot[i] = 4 rows times x[i], over 4 * kQuads columns; w[t]: columns 4 t ... 4 t + 3 of the 4 rows. Products are at
  // most 128 * 127, so 32 columns of them are exact.
  template <int kQuads, int kM>
  static void multiply(int32x4_t* dot, const int8x16_t* w, const std::int8_t* const* x) {
    for (int i = 0; i < kM; ++i) {
      dot[i] = vdupq_n_s32(0);
#pragma GCC unroll 2
      for (int t = 0; t < kQuads; t += 4) {
        const int8x16_t v = vld1q_s8(x[i] + 4 * t);
        dot[i] = vdotq_laneq_s32(dot[i], w[t], v, 0);
        dot[i] = vdotq_laneq_s32(dot[i], w[t + 1], v, 1);
        dot[i] = vdotq_laneq_s32(dot[i], w[t + 2], v, 2);
        dot[i] = vdotq_laneq_s32(dot[i], w[t + 3], v, 3);
      }
    }
  }
};

}  // namespace
}  // namespace dormouse::kernels
