// One tile of weights times eight rows of codes: what both product kernels are made of. A lane's four results are rows
// 2g, 2g + 1 of the strip times activation rows 2t, 2t + 1: [2g][2t], [2g][2t+1], [2g+1][2t], [2g+1][2t+1].
#pragma once

#include "kernels/cuda/tiles.cuh"

namespace dormouse::cuda {

// This block's part and the first of its strips, of as many as blocks_across() was asked with.
struct StripPlace {
  int part;
  int strip;
};
DEVICE StripPlace strip_place(const MatmulArgs& args, int strips_a_block) {
  int block = block_x();
  int part = 0;
  while (part + 1 < parts_across(args) && block >= blocks_of(args.parts[part], strips_a_block)) {
    block -= blocks_of(args.parts[part++], strips_a_block);
  }
  return {part, block * strips_a_block};
}

template <TensorType type>
constexpr int code_planes() {
  return Tile<type>::kCoding == Coding::kHalves ? 2 : 1;
}

// Adds both products of one group of 32 columns; `code`: this lane's eight codes of it, a plane each.
template <TensorType type>
DEVICE void add_group(float (&c)[4], const std::uint32_t (&a)[2][Tile<type>::kPlanes][4],
                      const Words4 (&code)[code_planes<type>()]) {
#pragma unroll
  for (int plane = 0; plane < Tile<type>::kPlanes; ++plane) {
#pragma unroll
    for (int b = 0; b < code_planes<type>(); ++b) {
      mma_f16(c, a[0][plane], code[b].x, code[b].y);
      mma_f16(c, a[1][plane], code[b].z, code[b].w);
    }
  }
}

// Of one scale's stretch: a tile, or 32 columns of Q8_0. t = fma(d * da, c, t).
DEVICE void fold(float (&t)[4], const float (&c)[4], RowPair d, const float (&da)[2]) {
  t[0] = fmaf(d.first * da[0], c[0], t[0]);
  t[1] = fmaf(d.first * da[1], c[1], t[1]);
  t[2] = fmaf(d.second * da[0], c[2], t[2]);
  t[3] = fmaf(d.second * da[1], c[3], t[3]);
}

// A tile's t from its sums and, where the format has minima, theirs: `minima` is their operand, `sums` the lane's four
// halves of the activations' sums.
template <TensorType type>
DEVICE void fold_tile(float (&t)[4], const float (&c)[4], RowPair d, RowPair dmin, const std::uint32_t (&minima)[4],
                      Words2 sums, const float (&da)[2]) {
  if constexpr (Tile<type>::kCoding == Coding::kHalves) {
    fold(t, c, {1.0F, 1.0F}, da);
  } else {
    fold(t, c, d, da);
    if constexpr (Tile<type>::kHasMinima) {
      float least[4] = {};
      mma_f16(least, minima, sums.x, sums.y);
      fold(t, least, {-dmin.first, -dmin.second}, da);
    }
  }
}

// Calls f with the type as a template argument: one kernel for each coding, so that a format that needs many registers
// costs the others nothing. A type of another coding never comes here (engine/forward_cuda.cc).
template <Coding coding, typename F>
DEVICE void with_type(std::int32_t id, const F& f) {
  const auto type = static_cast<TensorType>(id);
  if constexpr (coding == Coding::kK) {
    switch (type) {
      case TensorType::kQ4_K: return f.template operator()<TensorType::kQ4_K>();
      case TensorType::kQ6_K: return f.template operator()<TensorType::kQ6_K>();
      case TensorType::kQ5_K: return f.template operator()<TensorType::kQ5_K>();
      case TensorType::kQ2_K: return f.template operator()<TensorType::kQ2_K>();
      case TensorType::kQ3_K: return f.template operator()<TensorType::kQ3_K>();
      default: return;
    }
  } else if constexpr (coding == Coding::kQ8_0) {
    f.template operator()<TensorType::kQ8_0>();
  } else if (type == TensorType::kF16) {
    f.template operator()<TensorType::kF16>();
  } else {
    f.template operator()<TensorType::kBF16>();
  }
}

}  // namespace dormouse::cuda
