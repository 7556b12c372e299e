// Products of 16-bit weights with one activation row (one_row.cuh). Sums of products of halves are rounded, so the
// instructions and their order are those of matmul_few; new is how the bytes come. A lane's share of a tile is 64
// words: two of its four parts are in registers, and one that is used up makes room for the next but one, which may be
// the next tile's.
// Limit: memory. A tile's 32 products wait for each other, about 1,000 cycles (33 each, not measured here): ten warps
// that do nothing else take 80 bytes a cycle, and a multiprocessor's share of an H200's memory is 19.
#pragma once

#include "kernels/cuda/one_row.cuh"

namespace dormouse::cuda {

// 256 coded activations in shared memory.
struct alignas(16) OneHalvesBlock {
  std::uint16_t codes[2][256];  // high, low
  float scale;
  int pad[3];
};
static_assert(sizeof(OneHalvesBlock) == one_block_bytes(Coding::kHalves));

// Of the operand's eight activation rows one is there: the others' codes, which lanes with g > 0 give, are zeros.
template <TensorType type>
DEVICE void add_halves_part(float (&c)[4], const typename Tile<type>::Part& part, const OneHalvesBlock& block, int p,
                            LanePlace at) {
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    std::uint32_t a[2][1][4];
    Tile<type>::operands(a, {}, part, p, h);
    Words4 code[2] = {};
    if (at.g == 0) {
#pragma unroll
      for (int plane = 0; plane < 2; ++plane) {
        code[plane] = *reinterpret_cast<const Words4*>(block.codes[plane] + 64 * p + 32 * h + 8 * at.t);
      }
    }
    add_group<type>(c, a, code);
  }
}
// The one activation row is the first of the two that lanes with t = 0 have.
template <TensorType type>
DEVICE void write_halves(float* out, const float (&c)[4], const OneHalvesBlock& block, LanePlace at) {
  float t[4] = {};
  fold_tile<type>(t, c, {}, {}, {}, {}, {block.scale, 0.0F});
  if (at.t > 0) return;
  out[2 * at.g] = t[0];
  out[2 * at.g + 1] = t[2];
}

template <TensorType type>
struct OneHalves {
  static constexpr int kBytes = Tile<type>::kBytes;
  static constexpr int kHeadBytes = 0;
  static constexpr int kEarlyBytes = kBytes / 2;
  static constexpr bool kAsksForStrips = false;
  using Block = OneHalvesBlock;
  const std::uint8_t* bytes;  // of the tile
  const std::uint8_t* next;   // null: none
  typename Tile<type>::Part parts[2];

  DEVICE static OneHalves load(const std::uint8_t* tile, LanePlace at) {
    return {tile, nullptr, {Tile<type>::load_part(tile, 0, at), Tile<type>::load_part(tile, 1, at)}};
  }
  DEVICE static void code(Block& out, const Eight& v) {
    code_halves({&out.codes[0][0], &out.scale, nullptr, nullptr, 1}, v, 0, 0, 256, false);
  }
  struct Sums {
    float c[4];
  };
  DEVICE Sums begin(const Block& block, unsigned char*, LanePlace at) {
    Sums out{};
    next = nullptr;
#pragma unroll
    for (int p = 0; p < 2; ++p) {
      add_halves_part<type>(out.c, parts[p], block, p, at);
      parts[p] = Tile<type>::load_part(bytes, p + 2, at);
    }
    return out;
  }
  DEVICE void take(const std::uint8_t* tile, LanePlace) {
    next = tile;
  }
  DEVICE void end(float* out, Sums& sums, const Block& block, LanePlace at) {
#pragma unroll
    for (int p = 0; p < 2; ++p) {
      add_halves_part<type>(sums.c, parts[p], block, p + 2, at);
      if (next != nullptr) parts[p] = Tile<type>::load_part(next, p, at);
    }
    bytes = next;
    write_halves<type>(out, sums.c, block, at);
  }
};

// As matmul_one_k.
DEVICE void matmul_one_halves(const MatmulArgs& args) {
  const StripPlace place = strip_place(args, args.strips_a_block);
  with_type<Coding::kHalves>(args.parts[place.part].type,
                             [&]<TensorType type>() { one_row<OneHalves<type>>(args, place); });
}

}  // namespace dormouse::cuda
