// How decode_step copies, codes and multiplies the tiles of one coding: what matmul_one_* do (one_row.cuh), from tiles
// in shared memory. There the bytes behind a tile's head lie turned: of every second group of bytes that belong to
// lanes of one t, halves of 128 bytes are swapped, so that the lanes of a load touch different banks.
//
//   Block        256 coded activations
//   code()       a warp codes a block, eight neighbouring values a lane
//   kTileBytes   of the largest tile
//   copy()       tile `tile` of a row of tiles at `from` to shared memory, in the background
//   multiply()   the tile's t of 16 rows
#pragma once

#include "kernels/cuda/matmul_one.cuh"
#include "kernels/cuda/matmul_one_halves.cuh"
#include "kernels/cuda/matmul_one_q8_0.cuh"
#include "kernels/cuda/step_args.h"

namespace dormouse::cuda {

// Bytes before the quants, and the bit of a byte's place behind them that is the lowest of its lanes' t.
template <TensorType type>
struct StoredTile;
template <>
struct StoredTile<TensorType::kQ4_K> {
  static constexpr int kHead = 256, kTurnBit = 9;
};
template <>
struct StoredTile<TensorType::kQ6_K> {
  static constexpr int kHead = 288, kTurnBit = 7;
};
template <>
struct StoredTile<TensorType::kQ8_0> {
  static constexpr int kHead = 256, kTurnBit = 10;
};
template <>
struct StoredTile<TensorType::kF16> {
  static constexpr int kHead = 0, kTurnBit = 8;
};

template <TensorType type>
DEVICE void copy_tile(unsigned char* to, const std::uint8_t* row, int tile) {
  constexpr int kHead = StoredTile<type>::kHead;
  const std::uint8_t* from = row + std::int64_t{tile} * Tile<type>::kBytes;
#pragma unroll
  for (int i = 0; i < (Tile<type>::kBytes / 16 + kWarp - 1) / kWarp; ++i) {
    const int at = 16 * (lane_index() + kWarp * i);
    if (at >= Tile<type>::kBytes) continue;
    const int behind = at - kHead;
    const int turned = kHead + (behind ^ (behind >> StoredTile<type>::kTurnBit & 1) << 6);
    copy_async16(to + (behind < 0 ? at : turned), from + at, true);
  }
}
// Words `i` of 64 bytes each, counted from a lane's first on: where they are.
DEVICE Words2 turned_words(const unsigned char* first, int i, LanePlace at) {
  return *reinterpret_cast<const Words2*>(first + 64 * (i ^ (at.t & 1)));
}

template <Coding coding>
struct StepWay;

template <>
struct StepWay<Coding::kK> {
  using Block = OneBlock;
  static constexpr int kTileBytes = Tile<TensorType::kQ6_K>::kBytes;

  DEVICE static void code(Block& out, const Eight& v) { code_for_one(out, v); }
  DEVICE static void copy(unsigned char* to, const std::uint8_t* from, int tile, TensorType type) {
    if (type == TensorType::kQ4_K) {
      copy_tile<TensorType::kQ4_K>(to, from, tile);
    } else {
      copy_tile<TensorType::kQ6_K>(to, from, tile);
    }
  }
  DEVICE static void take(OneTile<TensorType::kQ4_K>& out, const unsigned char* tile, LanePlace at) {
    const unsigned char* from = tile + 256 + 512 * at.t + 8 * at.g;
#pragma unroll
    for (int i = 0; i < 8; ++i) out.nibbles[i] = turned_words(from, i, at);
  }
  DEVICE static void take(OneTile<TensorType::kQ6_K>& out, const unsigned char* tile, LanePlace at) {
    const unsigned char* from = tile + 288 + 128 * at.t + 8 * at.g;
#pragma unroll
    for (int i = 0; i < 8; ++i) out.nibbles[i] = turned_words(from + 512 * (i / 2), i % 2, at);
#pragma unroll
    for (int i = 0; i < 4; ++i) out.pairs[i] = turned_words(from + 2048 + 512 * (i / 2), i % 2, at);
    out.d = shared_u16(tile + 4 * at.g + 2 * (at.t % 2));
  }
  template <TensorType type>
  DEVICE static void multiply_tile(float* out, const unsigned char* tile, const Block& block, LanePlace at) {
    OneTile<type> words;
    take(words, tile, at);
    const unsigned char* heads = tile + (type == TensorType::kQ6_K ? 32 : 0);
    const OneScales scales = words.scales(heads, at);
    const RowSums sums = words.sums(block, heads, at);
    const float t = one_fold<type>(sums, scales, block.scale, at);
    if (at.t < 2) out[2 * at.g + at.t] = t;
  }
  DEVICE static void multiply(float* out, const unsigned char* tile, TensorType type, const Block& block,
                              LanePlace at) {
    if (type == TensorType::kQ4_K) {
      multiply_tile<TensorType::kQ4_K>(out, tile, block, at);
    } else {
      multiply_tile<TensorType::kQ6_K>(out, tile, block, at);
    }
  }
};

template <>
struct StepWay<Coding::kQ8_0> {
  using Block = OneQ8Block;
  static constexpr int kTileBytes = Tile<TensorType::kQ8_0>::kBytes;

  DEVICE static void code(Block& out, const Eight& v) { OneQ8::code(out, v); }
  DEVICE static void copy(unsigned char* to, const std::uint8_t* from, int tile, TensorType) {
    copy_tile<TensorType::kQ8_0>(to, from, tile);
  }
  DEVICE static void multiply(float* out, const unsigned char* tile, TensorType, const Block& block, LanePlace at) {
    OneQ8 words;
    const unsigned char* from = tile + 256 + 1024 * at.t + 8 * at.g;
#pragma unroll
    for (int i = 0; i < 16; ++i) words.quads[i] = turned_words(from, i, at);
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      words.d[h] = *reinterpret_cast<const std::uint32_t*>(tile + 32 * (2 * at.t + h) + 4 * at.g);
    }
    OneQ8::end(out, words.begin(block, nullptr, at), block, at);
  }
};

template <>
struct StepWay<Coding::kHalves> {
  using Block = OneHalvesBlock;
  static constexpr int kTileBytes = Tile<TensorType::kF16>::kBytes;

  DEVICE static void code(Block& out, const Eight& v) { OneHalves<TensorType::kF16>::code(out, v); }
  DEVICE static void copy(unsigned char* to, const std::uint8_t* from, int tile, TensorType) {
    copy_tile<TensorType::kF16>(to, from, tile);
  }
  template <TensorType type>
  DEVICE static void multiply_tile(float* out, const unsigned char* tile, const Block& block, LanePlace at) {
    float c[4] = {};
#pragma unroll
    for (int p = 0; p < 4; ++p) {
      typename Tile<type>::Part part;
      const unsigned char* from = tile + 64 * (32 * p + 4 * at.t) + 8 * at.g;
#pragma unroll
      for (int i = 0; i < 8; ++i) part.pairs[i] = turned_words(from + 1024 * (i / 4), i % 4, at);
      add_halves_part<type>(c, part, block, p, at);
    }
    write_halves<type>(out, c, block, at);
  }
  DEVICE static void multiply(float* out, const unsigned char* tile, TensorType type, const Block& block,
                              LanePlace at) {
    if (type == TensorType::kF16) {
      multiply_tile<TensorType::kF16>(out, tile, block, at);
    } else {
      multiply_tile<TensorType::kBF16>(out, tile, block, at);
    }
  }
};

}  // namespace dormouse::cuda
