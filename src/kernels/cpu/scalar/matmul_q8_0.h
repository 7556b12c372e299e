// Matrix products of Q8_0 weights with Q8_0 activations, as kernels.h defines them. Included once, by table.cc.
#pragma once

#include <cstdint>

#include "kernels/cpu/scalar/tile.h"
#include "kernels/kernels.h"

namespace dormouse::kernels {
namespace {

constexpr std::int64_t kQ8TileBytes = 4352;

inline float q8_0_product(const std::uint8_t* tile, int r, std::int32_t k, const std::uint8_t* activation) {
  const auto* q = reinterpret_cast<const std::int8_t*>(activation);
  const auto* scales = reinterpret_cast<const float*>(activation + (k + 63) / 64 * 64);
  float acc = 0;
  for (std::int32_t block = 0; block < k / 32; ++block) {
    const std::uint8_t* at = tile + block / 8 * kQ8TileBytes;
    int dot = 0;
    for (int l = 0; l < 32; ++l) {
      const int column = 32 * (block % 8) + l;
      const auto w = static_cast<std::int8_t>(at[256 + 64 * (column / 4) + 4 * r + column % 4]);
      dot += w * q[32 * block + l];
    }
    const float d = tile_half(at + 32 * (block % 8) + 2 * r);
    acc = __builtin_fmaf(d * scales[block], static_cast<float>(dot), acc);
  }
  return acc;
}

void matmul_q8_0(const MatmulArgs& args) {
  for (std::int32_t row = args.row_begin; row < args.row_end; ++row) {
    const std::uint8_t* strip = args.weights + row / kRows * args.strip_bytes;
    for (std::int32_t i = 0; i < args.m; ++i) {
      args.out[i * args.out_stride + row] =
          q8_0_product(strip, row % kRows, args.k, args.activations + i * args.activation_row_bytes);
    }
  }
}

}  // namespace
}  // namespace dormouse::kernels
