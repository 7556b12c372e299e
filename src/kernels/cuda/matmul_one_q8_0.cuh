// Products of Q8_0 with one activation row (one_row.cuh). A lane's share of a tile is two rows of two whole groups of
// 32 columns: four sums of integers, exact in any order. The eight groups of a row are folded one after the other, as
// matmul_few does (matmul_args.h): t goes from lane to lane of the four that share the row.
#pragma once

#include "kernels/cuda/one_row.cuh"
#include "kernels/cuda/tiles.cuh"

namespace dormouse::cuda {

// 256 coded activations in shared memory.
struct alignas(16) OneQ8Block {
  unsigned char codes[4 * kOnePartBytes];  // a part of 64 every kOnePartBytes
  float scales[8];
};
static_assert(sizeof(OneQ8Block) == one_block_bytes(Coding::kQ8_0));

struct OneQ8 {
  static constexpr int kBytes = Tile<TensorType::kQ8_0>::kBytes;
  static constexpr int kHeadBytes = 0;
  static constexpr bool kAsksForStrips = true;
  using Block = OneQ8Block;
  // Of rows 2g and 2g + 1, part t.
  Words2 quads[16];
  std::uint32_t d[2];  // of the part's two groups, a half for each row

  DEVICE static OneQ8 load(const std::uint8_t* tile, LanePlace at) {
    OneQ8 out;
    const std::uint8_t* from = tile + 256 + 1024 * at.t + 8 * at.g;
#pragma unroll
    for (int i = 0; i < 16; ++i) out.quads[i] = load_rows(from + 64 * i);
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      out.d[h] = load_once(reinterpret_cast<const std::uint32_t*>(tile + 32 * (2 * at.t + h) + 4 * at.g));
    }
    return out;
  }
  DEVICE static void code(Block& out, const Eight& v) {
    const int lane = lane_index();
    const Scaling s = int8_scaling(largest_bits(v, 4));
    *reinterpret_cast<Words2*>(out.codes + kOnePartBytes * (lane / 8) + 8 * (lane % 8)) = signed_bytes(v, s.inverse);
    if (lane % 4 == 0) out.scales[lane / 4] = s.scale;
  }
  // Of the lane's two groups and two rows.
  struct Sums {
    int sum[2][2];
    float scale[2][2];  // d * da
  };
  DEVICE Sums begin(const Block& block, unsigned char*, LanePlace at) const {
    Sums out{};
#pragma unroll
    for (int quarter = 0; quarter < 4; ++quarter) {
      const Words4 w = *reinterpret_cast<const Words4*>(block.codes + kOnePartBytes * at.t + 16 * quarter);
      const std::uint32_t code[4] = {w.x, w.y, w.z, w.w};
      int(&sum)[2] = out.sum[quarter / 2];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const Words2 q = quads[4 * quarter + i];
        sum[0] = dp4a_signed(q.x, code[i], sum[0]);
        sum[1] = dp4a_signed(q.y, code[i], sum[1]);
      }
    }
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const float da = block.scales[2 * at.t + h];
      out.scale[h][0] = low_half(d[h]) * da;
      out.scale[h][1] = high_half(d[h]) * da;
    }
    return out;
  }
  DEVICE void take(const std::uint8_t* tile, LanePlace at) {
    *this = load(tile, at);
  }
  // Every lane folds; what counts is lane 0's, then what lane 1 makes of it, and so on.
  DEVICE static void end(float* out, const Sums& sums, const Block&, LanePlace at) {
    float t[2] = {};
#pragma unroll
    for (int lane = 0; lane < 4; ++lane) {
#pragma unroll
      for (int row = 0; row < 2; ++row) {
        if (lane > 0) t[row] = shuffle(t[row], 4 * at.g + lane - 1);
#pragma unroll
        for (int h = 0; h < 2; ++h) t[row] = fmaf(sums.scale[h][row], static_cast<float>(sums.sum[h][row]), t[row]);
      }
    }
    if (at.t < 3) return;
    out[2 * at.g] = t[0];
    out[2 * at.g + 1] = t[1];
  }
};

// As matmul_one_k.
DEVICE void matmul_one_q8_0(const MatmulArgs& args) {
  one_row<OneQ8>(args, strip_place(args, args.strips_a_block));
}

}  // namespace dormouse::cuda
