// Products of K-quants of four and six bits with one activation row (one_row.cuh). Sums are of integers, by dot
// products of four bytes: a third of the instructions the tensor cores' way needs for one row, and the same bits
// (matmul_args.h).
#pragma once

#include "kernels/cuda/one_row.cuh"
#include "kernels/cuda/tiles.cuh"

namespace dormouse::cuda {

// Sums of a lane's two rows over its columns: of scale * q * code, and of minimum * code.
struct RowSums {
  int sum[2];
  int least[2];
};
// 256 coded activations in shared memory. `pad`: a multiple of 16 bytes.
struct alignas(16) OneBlock {
  unsigned char codes[4 * kOnePartBytes];  // a part of 64 every kOnePartBytes
  int sums32[8];
  float scale;
  int pad[3];
};
static_assert(sizeof(OneBlock) == one_block_bytes(Coding::kK));

DEVICE int byte_of(std::uint32_t word, int which) {
  return static_cast<int>(word >> (8 * which) & 0xFF);
}
DEVICE int signed_byte_of(std::uint32_t word, int which) {
  return static_cast<int>(word << (24 - 8 * which)) >> 24;
}

DEVICE std::uint32_t shared_u16(const unsigned char* at) {
  return *reinterpret_cast<const std::uint16_t*>(at);
}

// d and dmin of row 2g + t % 2, as halves.
struct OneScales {
  std::uint32_t d, dmin;
};

// A tile in a warp's registers. What lies in it by rows and groups, `head`, goes by shared memory to the lanes that
// need it: 256 bytes a warp, `heads`.
template <TensorType type>
struct OneTile;

// A lane takes rows 2g, 2g + 1 of part t: whole groups, so that a scale meets one sum.
template <>
struct OneTile<TensorType::kQ4_K> {
  Words2 nibbles[8];
  Words2 head;  // the lane's eight bytes of d, dmin and the six-bit scales

  DEVICE static OneTile load(const std::uint8_t* tile, LanePlace at) {
    OneTile out;
    const std::uint8_t* from = tile + 256 + 512 * at.t + 8 * at.g;
#pragma unroll
    for (int i = 0; i < 8; ++i) out.nibbles[i] = load_rows(from + 64 * i);
    out.head = load_rows(tile + 8 * lane_index());
    return out;
  }
  DEVICE OneScales scales(const unsigned char* heads, LanePlace at) const {
    const unsigned char* d = heads + 4 * at.g + 2 * (at.t % 2);
    return {shared_u16(d), shared_u16(d + 32)};
  }
  DEVICE RowSums sums(const OneBlock& block, const unsigned char* heads, LanePlace at) const {
    int dot[2][2] = {};  // [half][row]; 16 times the sum where the nibbles are the high ones
#pragma unroll
    for (int quarter = 0; quarter < 2; ++quarter) {
      const unsigned char* from = block.codes + kOnePartBytes * at.t + 16 * quarter;
      const Words4 low = *reinterpret_cast<const Words4*>(from);
      const Words4 high = *reinterpret_cast<const Words4*>(from + 32);
      const std::uint32_t code[2][4] = {{low.x, low.y, low.z, low.w}, {high.x, high.y, high.z, high.w}};
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const Words2 w = nibbles[4 * quarter + i];
        dot[0][0] = dp4a(w.x & 0x0F0F0F0FU, code[0][i], dot[0][0]);
        dot[0][1] = dp4a(w.y & 0x0F0F0F0FU, code[0][i], dot[0][1]);
        dot[1][0] = dp4a(w.x & 0xF0F0F0F0U, code[1][i], dot[1][0]);
        dot[1][1] = dp4a(w.y & 0xF0F0F0F0U, code[1][i], dot[1][1]);
      }
    }
    RowSums out{};
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const unsigned char* z = heads + 64 + 32 * (at.t % 2) + 16 * h + 2 * at.g;
      const std::uint32_t z0 = shared_u16(z);
      const std::uint32_t z1 = shared_u16(z + 64);
      const std::uint32_t z2 = shared_u16(z + 128);
      const std::uint32_t spread = (z0 >> 6 & 0x0303) | (z1 >> 4 & 0x0C0C) | (z2 >> 2 & 0x3030);
      const std::uint32_t minima = at.t < 2 ? z2 & 0x3F3F : spread;
      const std::uint32_t scale = (at.t < 2 ? z0 : z1) & 0x3F3F;
#pragma unroll
      for (int row = 0; row < 2; ++row) {
        out.sum[row] += byte_of(scale, row) * (h == 0 ? dot[h][row] : dot[h][row] >> 4);
        out.least[row] += byte_of(minima, row) * block.sums32[2 * at.t + h];
      }
    }
    return out;
  }
};

// Bits of four quads share a byte of the pairs: a lane takes columns 8t .. 8t + 7 of every group, as in tiles.cuh.
template <>
struct OneTile<TensorType::kQ6_K> {
  Words2 nibbles[8];
  Words2 pairs[4];
  Words2 head;  // the lane's eight bytes of the scales
  std::uint32_t d;

  DEVICE static OneTile load(const std::uint8_t* tile, LanePlace at) {
    OneTile out;
    const std::uint8_t* from = tile + 288 + 128 * at.t + 8 * at.g;
#pragma unroll
    for (int i = 0; i < 8; ++i) out.nibbles[i] = load_rows(from + 512 * (i / 2) + 64 * (i % 2));
    const std::uint8_t* high = tile + 2336 + 128 * at.t + 8 * at.g;
#pragma unroll
    for (int i = 0; i < 4; ++i) out.pairs[i] = load_rows(high + 512 * (i / 2) + 64 * (i % 2));
    out.head = load_rows(tile + 32 + 8 * lane_index());
    out.d = load_u16(tile + 4 * at.g + 2 * (at.t % 2));
    return out;
  }
  DEVICE OneScales scales(const unsigned char*, LanePlace) const {
    return {d, 0};
  }
  DEVICE RowSums sums(const OneBlock& block, const unsigned char* heads, LanePlace at) const {
    RowSums out{};
#pragma unroll
    for (int group = 0; group < 8; ++group) {
      const int p = group / 2;
      const int h = group % 2;
      const Words2 code = *reinterpret_cast<const Words2*>(block.codes + kOnePartBytes * p + 32 * h + 8 * at.t);
      const std::uint32_t scale = shared_u16(heads + 16 * (at.t / 2) + 2 * at.g + 32 * group);
      const int bias = -32 * dp4a(kOnes, code.x, dp4a(kOnes, code.y, 0));
      int dot[2] = {bias, bias};
#pragma unroll
      for (int m = 0; m < 2; ++m) {
        const Words2 w = nibbles[2 * p + m];
        const Words2 b = pairs[2 * h + m];
        const std::uint32_t a = m == 0 ? code.x : code.y;
        dot[0] = dp4a((w.x >> (4 * h) & 0x0F0F0F0FU) | (b.x >> (2 * p) & 0x03030303U) << 4, a, dot[0]);
        dot[1] = dp4a((w.y >> (4 * h) & 0x0F0F0F0FU) | (b.y >> (2 * p) & 0x03030303U) << 4, a, dot[1]);
      }
#pragma unroll
      for (int row = 0; row < 2; ++row) out.sum[row] += signed_byte_of(scale, row) * dot[row];
    }
    return out;
  }
};

// The two rows' sums over the four lanes that share them; a lane keeps that of row t % 2.
DEVICE int sum_of_four(const int (&sum)[2], LanePlace at) {
  const int mine = at.t % 2 == 0 ? sum[0] : sum[1];
  const int other = at.t % 2 == 0 ? sum[1] : sum[0];
  const int both = mine + shuffle_xor(other, 1);
  return both + shuffle_xor(both, 2);
}

// The tile's t of row 2g + t % 2.
template <TensorType type>
DEVICE float one_fold(const RowSums& sums, OneScales scales, float da, LanePlace at) {
  const float d = half_to_float(static_cast<std::uint16_t>(scales.d));
  const float t = fmaf(d * da, static_cast<float>(sum_of_four(sums.sum, at)), 0.0F);
  if constexpr (!Tile<type>::kHasMinima) return t;
  const float dmin = half_to_float(static_cast<std::uint16_t>(scales.dmin));
  return fmaf(-dmin * da, static_cast<float>(sum_of_four(sums.least, at)), t);
}

// Codes 256 values as code_block does for matmul_few.
DEVICE void code_for_one(OneBlock& out, const Eight& v) {
  const int lane = lane_index();
  const Scaling s = int8_scaling(largest_bits(v, kWarp));
  const Words2 word = signed_bytes(v, s.inverse);
  int sum = dp4a(kOnes, word.x, dp4a(kOnes, word.y, 0));
  *reinterpret_cast<Words2*>(out.codes + kOnePartBytes * (lane / 8) + 8 * (lane % 8)) = word;
  sum += shuffle_xor(sum, 1);
  sum += shuffle_xor(sum, 2);
  if (lane % 4 == 0) out.sums32[lane / 4] = sum;
  if (lane == 0) out.scale = s.scale;
}

template <TensorType type>
struct OneK {
  static constexpr int kBytes = Tile<type>::kBytes;
  static constexpr int kHeadBytes = kOneHeadBytes;
  static constexpr bool kAsksForStrips = true;
  using Block = OneBlock;
  OneTile<type> tile;

  DEVICE static OneK load(const std::uint8_t* from, LanePlace at) { return {OneTile<type>::load(from, at)}; }
  DEVICE static void code(Block& out, const Eight& v) { code_for_one(out, v); }

  struct Sums {
    OneScales scales;
    RowSums rows;
  };
  DEVICE Sums begin(const Block& block, unsigned char* heads, LanePlace at) const {
    *reinterpret_cast<Words2*>(heads + 8 * lane_index()) = tile.head;
    sync_warp();
    const OneScales scales = tile.scales(heads, at);
    return {scales, tile.sums(block, heads, at)};
  }
  DEVICE void take(const std::uint8_t* from, LanePlace at) { tile = OneTile<type>::load(from, at); }
  DEVICE static void end(float* out, const Sums& sums, const Block& block, LanePlace at) {
    const float t = one_fold<type>(sums.rows, sums.scales, block.scale, at);
    if (at.t < 2) out[2 * at.g + at.t] = t;
  }
};

// Grid x: per part, strips / strips_a_block rounded up (kSwiglu: of one). Threads: one_warps(coding, k / 256) warps.
// Shared: one_shared_bytes().
DEVICE void matmul_one_k(const MatmulArgs& args) {
  const StripPlace place = strip_place(args, args.strips_a_block);
  if (static_cast<TensorType>(args.parts[place.part].type) == TensorType::kQ4_K) {
    one_row<OneK<TensorType::kQ4_K>>(args, place);
  } else {
    one_row<OneK<TensorType::kQ6_K>>(args, place);
  }
}

}  // namespace dormouse::cuda
