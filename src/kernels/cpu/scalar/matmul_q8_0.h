// Matrix products of Q8_0 weights with Q8_0 activations, as kernels.h defines them. Included once, by table.cc.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/kernels.h"
#include "quant/blocks.h"
#include "quant/half.h"

namespace dormouse::kernels {
namespace {

void matmul_q8_0(const MatmulArgs& args) {
  const std::int64_t scale_offset = (args.k + 63) / 64 * 64;
  for (std::int32_t row = args.row_begin; row < args.row_end; ++row) {
    const std::uint8_t* bytes = args.weights + row * args.weight_row_bytes;
    for (std::int32_t i = 0; i < args.m; ++i) {
      const std::uint8_t* activation = args.activations + i * args.activation_row_bytes;
      const auto* q = reinterpret_cast<const std::int8_t*>(activation);
      const auto* scales = reinterpret_cast<const float*>(activation + scale_offset);
      float acc = 0;
      for (std::int32_t block = 0; block < args.k / 32; ++block) {
        quant::BlockQ8_0 w;
        std::memcpy(&w, bytes + static_cast<std::size_t>(block) * sizeof w, sizeof w);
        int dot = 0;
        for (int l = 0; l < 32; ++l) dot += w.q[l] * q[32 * block + l];
        acc = __builtin_fmaf(quant::half_to_float(w.d) * scales[block], static_cast<float>(dot), acc);
      }
      args.out[i * args.out_stride + row] = acc;
    }
  }
}

}  // namespace
}  // namespace dormouse::kernels
