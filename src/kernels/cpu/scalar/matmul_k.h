// Matrix products of K-quant weights with Q8_K activations, as kernels.h defines them. Included once, by table.cc.
// Cost: about 1 ns a multiply-add; nobody waits for this table except tests and CPUs from before 2013.
#pragma once

#include <cstdint>

#include "kernels/cpu/scalar/tile.h"
#include "kernels/kernels.h"

namespace dormouse::kernels {
namespace {

inline float add_block(float acc, const IntegerTile& w, int r, const BlockQ8K& a, bool has_min) {
  int dot = 0;
  int minimum = 0;
  for (int g = 0; g < 16; ++g) {
    int group = 0;
    for (int i = 16 * g; i < 16 * g + 16; ++i) group += w.q[r][i] * a.q[i];
    dot += w.scale[g][r] * group;
    if (has_min) minimum += w.min[g][r] * a.sums16[g];
  }
  acc = __builtin_fmaf(w.d[r] * a.d, static_cast<float>(dot), acc);
  if (!has_min) return acc;
  return __builtin_fmaf(-(w.dmin[r] * a.d), static_cast<float>(minimum), acc);
}

// out doubles as the accumulator: each tile is unpacked once for all m activation rows.
template <typename Tile>
void matmul_k(const MatmulArgs& args) {
  for (std::int32_t begin = args.row_begin; begin < args.row_end; begin += kRows) {
    const std::uint8_t* tile = args.weights + begin / kRows * args.strip_bytes;
    const int rows = args.row_end - begin < kRows ? args.row_end - begin : kRows;
    for (std::int32_t i = 0; i < args.m; ++i) {
      for (int r = 0; r < rows; ++r) args.out[i * args.out_stride + begin + r] = 0;
    }
    for (std::int32_t block = 0; block < args.k / kColumns; ++block, tile += Tile::kBytes) {
      IntegerTile w;
      Tile::unpack(w, tile);
      for (std::int32_t i = 0; i < args.m; ++i) {
        const auto* a = reinterpret_cast<const BlockQ8K*>(args.activations + i * args.activation_row_bytes);
        float* out = args.out + i * args.out_stride + begin;
        for (int r = 0; r < rows; ++r) out[r] = add_block(out[r], w, r, a[block], Tile::kHasMin);
      }
    }
  }
}

}  // namespace
}  // namespace dormouse::kernels
