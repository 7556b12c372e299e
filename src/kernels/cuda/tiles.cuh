// Packed tiles (kernels/layout.h) as the 16-row operand of tensor core products. A lane (g = lane / 4, t = lane % 4)
// holds rows 2g and 2g + 1 (the operand's rows g and g + 8) and, of every 32 columns, columns 8t .. 8t + 7 (four of
// them for each of two products 16 deep: the reduction's order is permuted, alike for the activations). Its words of a
// tile are 8-byte loads straight from global memory, 256 neighbouring bytes a warp; nothing is unpacked twice in a
// block. A tile has four parts of 64 columns; part p, half h is the group of 32 columns 2p + h.
#pragma once

#include "base/tensor_type.h"
#include "kernels/cuda/matmul_args.h"
#include "kernels/cuda/simt.h"

namespace dormouse::cuda {

inline constexpr std::uint32_t kHalf1024 = 0x64006400U;  // 1024 + byte, as a half, is 0x6400 | byte
inline constexpr std::uint32_t kHalf1028 = 0x64046404U;
inline constexpr std::uint32_t kHalf1056 = 0x64206420U;
inline constexpr std::uint32_t kHalf1152 = 0x64806480U;

struct LanePlace {
  int g, t;
};
DEVICE LanePlace lane_place() {
  return {lane_index() / 4, lane_index() % 4};
}

// Bytes 0, 1 or 2, 3 of a word as 1024 + byte; byte `which` twice.
DEVICE std::uint32_t low_bytes(std::uint32_t word) {
  return permute_bytes(word, 0x64646464U, 0x4140);
}
DEVICE std::uint32_t high_bytes(std::uint32_t word) {
  return permute_bytes(word, 0x64646464U, 0x4342);
}
DEVICE std::uint32_t first_byte_twice(std::uint32_t word) {
  return permute_bytes(word, 0x64646464U, 0x4040);
}
DEVICE std::uint32_t second_byte_twice(std::uint32_t word) {
  return permute_bytes(word, 0x64646464U, 0x4141);
}

DEVICE std::uint32_t load_u16(const std::uint8_t* at) {
  return load_constant(reinterpret_cast<const std::uint16_t*>(at));
}
DEVICE Words2 load_rows(const std::uint8_t* at) {
  return load_once(reinterpret_cast<const Words2*>(at));
}

// Small scales of a K-quant: 16 entries (six-bit: scales, then minima), four to a slot; lane t of a quad holds entry
// 4 * slot + t, a byte for each of its two rows.
struct SmallScales {
  std::uint32_t slot[4];
};
DEVICE SmallScales load_six_bits(const std::uint8_t* z, LanePlace at) {
  const std::uint8_t* mine = z + 16 * at.t + 2 * at.g;
  const std::uint32_t z0 = load_u16(mine);
  const std::uint32_t z1 = load_u16(mine + 64);
  const std::uint32_t z2 = load_u16(mine + 128);
  return {
      {z0 & 0x3F3F, z1 & 0x3F3F, z2 & 0x3F3F, (z0 >> 6 & 0x0303) | (z1 >> 6 & 0x0303) << 2 | (z2 >> 6 & 0x0303) << 4}};
}
DEVICE SmallScales load_bytes(const std::uint8_t* entries, LanePlace at) {
  const std::uint8_t* mine = entries + 16 * at.t + 2 * at.g;
  return {{load_u16(mine), load_u16(mine + 64), load_u16(mine + 128), load_u16(mine + 192)}};
}
// Of group `group` of 32 columns; in formats of 16-column groups, of the 16 this lane's columns are in.
DEVICE std::uint32_t scale_of_32(const SmallScales& s, int group) {
  return shuffle(s.slot[group / 4], (lane_index() & ~3) | (group & 3));
}
DEVICE std::uint32_t scale_of_16(const SmallScales& s, int group) {
  return shuffle(s.slot[group / 2], (lane_index() & ~3) | ((2 * group + lane_index() % 4 / 2) & 3));
}

// Four entries, a byte for each of two rows, as the operand of the minima's product.
DEVICE void minima_operand(std::uint32_t (&a)[4], const std::uint32_t (&entry)[4]) {
  const std::uint32_t first = entry[0] | entry[1] << 16;
  const std::uint32_t second = entry[2] | entry[3] << 16;
  a[0] = half2_sub(permute_bytes(first, 0x64646464U, 0x4240), kHalf1024);
  a[1] = half2_sub(permute_bytes(first, 0x64646464U, 0x4341), kHalf1024);
  a[2] = half2_sub(permute_bytes(second, 0x64646464U, 0x4240), kHalf1024);
  a[3] = half2_sub(permute_bytes(second, 0x64646464U, 0x4341), kHalf1024);
}

// d of the lane's two rows.
struct RowPair {
  float first, second;
};
DEVICE RowPair load_row_pair(const std::uint8_t* halves, LanePlace at) {
  const std::uint32_t both = load_constant(reinterpret_cast<const std::uint32_t*>(halves + 4 * at.g));
  return {low_half(both), high_half(both)};
}

// q of the lane's two rows for the four columns of one product, as words of bytes: to halves 1024 + q.
struct Quants {
  std::uint32_t first, second;
};
DEVICE void biased_operand(std::uint32_t (&a)[4], Quants q) {
  a[0] = low_bytes(q.first);
  a[1] = low_bytes(q.second);
  a[2] = high_bytes(q.first);
  a[3] = high_bytes(q.second);
}
// scale * q for unsigned q: fma(1024 + q, scale, -1024 * scale) is exact.
struct ScalePair {
  std::uint32_t scale[2], bias[2];
};
DEVICE ScalePair unsigned_scales(std::uint32_t bytes) {
  constexpr std::uint32_t kMinus1024 = 0xE400E400U;
  ScalePair out;
  out.scale[0] = half2_sub(first_byte_twice(bytes), kHalf1024);
  out.scale[1] = half2_sub(second_byte_twice(bytes), kHalf1024);
  out.bias[0] = half2_mul(out.scale[0], kMinus1024);
  out.bias[1] = half2_mul(out.scale[1], kMinus1024);
  return out;
}
DEVICE void scaled_operand(std::uint32_t (&a)[4], Quants q, const ScalePair& s) {
  biased_operand(a, q);
#pragma unroll
  for (int i = 0; i < 4; ++i) a[i] = half2_fma(a[i], s.scale[i % 2], s.bias[i % 2]);
}

template <TensorType type>
struct Tile;

// Six-bit scales and minima, four-bit quants.
template <>
struct Tile<TensorType::kQ4_K> {
  static constexpr int kBytes = 2304;
  static constexpr bool kHasMinima = true;
  static constexpr bool kMinimaOf16 = false;
  static constexpr int kPlanes = 1;
  static constexpr Coding kCoding = Coding::kK;
  struct Whole {
    SmallScales scales;
  };
  struct Part {
    Words2 nibbles[2];
  };
  DEVICE static Whole load_whole(const std::uint8_t* tile, LanePlace at) { return {load_six_bits(tile + 64, at)}; }
  DEVICE static Part load_part(const std::uint8_t* tile, int p, LanePlace at) {
    const std::uint8_t* from = tile + 256 + 64 * (8 * p + 2 * at.t) + 8 * at.g;
    return {{load_rows(from), load_rows(from + 64)}};
  }
  DEVICE static RowPair d(const std::uint8_t* tile, LanePlace at) { return load_row_pair(tile, at); }
  DEVICE static RowPair dmin(const std::uint8_t* tile, LanePlace at) { return load_row_pair(tile + 32, at); }
  DEVICE static void minima(std::uint32_t (&a)[4], const Whole& whole) { six_bit_minima(a, whole.scales); }
  // Operands of both products of one half: a[product][plane].
  DEVICE static void operands(std::uint32_t (&a)[2][1][4], const Whole& whole, const Part& part, int p, int h) {
    const ScalePair s = unsigned_scales(scale_of_32(whole.scales, 2 * p + h));
#pragma unroll
    for (int m = 0; m < 2; ++m) {
      const Words2 w = part.nibbles[m];
      scaled_operand(a[m][0], {w.x >> (4 * h) & 0x0F0F0F0FU, w.y >> (4 * h) & 0x0F0F0F0FU}, s);
    }
  }
  // Entries 8..15 are the minima of eight groups; the sums they meet are given as 16 * high + low.
  DEVICE static void six_bit_minima(std::uint32_t (&a)[4], const SmallScales& scales) {
    constexpr std::uint32_t kSixteen = 0x4C004C00U;
    const std::uint32_t both = scales.slot[2] | scales.slot[3] << 16;
    const int t = lane_index() % 4;
    std::uint32_t entry[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      entry[i] = shuffle(both, (lane_index() & ~3) | i) >> (t % 2 == 0 ? 0 : 16) & 0xFFFF;
    }
    minima_operand(a, entry);
    if (t >= 2) return;
#pragma unroll
    for (int i = 0; i < 4; ++i) a[i] = half2_mul(a[i], kSixteen);
  }
};

// As Q4_K with a fifth bit.
template <>
struct Tile<TensorType::kQ5_K> {
  using Base = Tile<TensorType::kQ4_K>;
  static constexpr int kBytes = 2816;
  static constexpr bool kHasMinima = true;
  static constexpr bool kMinimaOf16 = false;
  static constexpr int kPlanes = 1;
  static constexpr Coding kCoding = Coding::kK;
  struct Whole {
    SmallScales scales;
    Words2 bits[2];
  };
  using Part = Base::Part;
  DEVICE static Whole load_whole(const std::uint8_t* tile, LanePlace at) {
    const std::uint8_t* bits = tile + 2304 + 128 * at.t + 8 * at.g;
    return {load_six_bits(tile + 64, at), {load_rows(bits), load_rows(bits + 64)}};
  }
  DEVICE static Part load_part(const std::uint8_t* tile, int p, LanePlace at) { return Base::load_part(tile, p, at); }
  DEVICE static RowPair d(const std::uint8_t* tile, LanePlace at) { return load_row_pair(tile, at); }
  DEVICE static RowPair dmin(const std::uint8_t* tile, LanePlace at) { return load_row_pair(tile + 32, at); }
  DEVICE static void minima(std::uint32_t (&a)[4], const Whole& whole) { Base::six_bit_minima(a, whole.scales); }
  DEVICE static void operands(std::uint32_t (&a)[2][1][4], const Whole& whole, const Part& part, int p, int h) {
    const ScalePair s = unsigned_scales(scale_of_32(whole.scales, 2 * p + h));
#pragma unroll
    for (int m = 0; m < 2; ++m) {
      const Words2 w = part.nibbles[m];
      const Words2 b = whole.bits[m];
      const int bit = 2 * p + h;
      scaled_operand(a[m][0],
                     {(w.x >> (4 * h) & 0x0F0F0F0FU) | (b.x >> bit & 0x01010101U) << 4,
                      (w.y >> (4 * h) & 0x0F0F0F0FU) | (b.y >> bit & 0x01010101U) << 4},
                     s);
    }
  }
};

// Signed scales of 16 columns times q - 32 in -32..31: up to 4,096 with 12 bits, one more than a half has. The scale is
// taken apart, 16 * (s >> 4) and s & 15: two planes, each exact.
template <>
struct Tile<TensorType::kQ6_K> {
  static constexpr int kBytes = 3360;
  static constexpr bool kHasMinima = false;
  static constexpr bool kMinimaOf16 = false;
  static constexpr int kPlanes = 2;
  static constexpr Coding kCoding = Coding::kK;
  struct Whole {
    SmallScales scales;
    Words2 pairs[4];  // [half][product]
  };
  struct Part {
    Words2 nibbles[2];
  };
  DEVICE static Whole load_whole(const std::uint8_t* tile, LanePlace at) {
    const std::uint8_t* pairs = tile + 2336 + 128 * at.t + 8 * at.g;
    return {load_bytes(tile + 32, at),
            {load_rows(pairs), load_rows(pairs + 64), load_rows(pairs + 512), load_rows(pairs + 576)}};
  }
  DEVICE static Part load_part(const std::uint8_t* tile, int p, LanePlace at) {
    const std::uint8_t* from = tile + 288 + 64 * (8 * p + 2 * at.t) + 8 * at.g;
    return {{load_rows(from), load_rows(from + 64)}};
  }
  DEVICE static RowPair d(const std::uint8_t* tile, LanePlace at) { return load_row_pair(tile, at); }
  DEVICE static RowPair dmin(const std::uint8_t*, LanePlace) { return {0, 0}; }
  DEVICE static void minima(std::uint32_t (&)[4], const Whole&) {}
  DEVICE static void operands(std::uint32_t (&a)[2][2][4], const Whole& whole, const Part& part, int p, int h) {
    const std::uint32_t bytes = scale_of_16(whole.scales, 2 * p + h);
    const std::uint32_t low = bytes & 0x0F0F;
    const std::uint32_t high = (bytes ^ 0x8080) & 0xF0F0;  // 128 + 16 * (s >> 4)
    const std::uint32_t low_scale[2] = {half2_sub(first_byte_twice(low), kHalf1024),
                                        half2_sub(second_byte_twice(low), kHalf1024)};
    const std::uint32_t high_scale[2] = {half2_sub(first_byte_twice(high), kHalf1152),
                                         half2_sub(second_byte_twice(high), kHalf1152)};
#pragma unroll
    for (int m = 0; m < 2; ++m) {
      const Words2 w = part.nibbles[m];
      const Words2 b = whole.pairs[2 * h + m];
      std::uint32_t q[4];
      biased_operand(q, {(w.x >> (4 * h) & 0x0F0F0F0FU) | (b.x >> (2 * p) & 0x03030303U) << 4,
                         (w.y >> (4 * h) & 0x0F0F0F0FU) | (b.y >> (2 * p) & 0x03030303U) << 4});
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        q[i] = half2_sub(q[i], kHalf1056);
        a[m][0][i] = half2_mul(q[i], low_scale[i % 2]);
        a[m][1][i] = half2_mul(q[i], high_scale[i % 2]);
      }
    }
  }
};

// Four-bit scales and minima of 16 columns, two-bit quants: all words of a tile serve all its parts.
template <>
struct Tile<TensorType::kQ2_K> {
  static constexpr int kBytes = 1344;
  static constexpr bool kHasMinima = true;
  static constexpr bool kMinimaOf16 = true;
  static constexpr int kPlanes = 1;
  static constexpr Coding kCoding = Coding::kK;
  struct Whole {
    SmallScales scales;
    Words2 pairs[4];
  };
  struct Part {};
  DEVICE static Whole load_whole(const std::uint8_t* tile, LanePlace at) {
    const std::uint8_t* pairs = tile + 320 + 128 * at.t + 8 * at.g;
    return {load_bytes(tile + 64, at),
            {load_rows(pairs), load_rows(pairs + 64), load_rows(pairs + 512), load_rows(pairs + 576)}};
  }
  DEVICE static Part load_part(const std::uint8_t*, int, LanePlace) { return {}; }
  DEVICE static RowPair d(const std::uint8_t* tile, LanePlace at) { return load_row_pair(tile, at); }
  DEVICE static RowPair dmin(const std::uint8_t* tile, LanePlace at) { return load_row_pair(tile + 32, at); }
  DEVICE static void minima(std::uint32_t (&a)[4], const Whole& whole) {
    const SmallScales& s = whole.scales;
    const int t = lane_index() % 4;
    const std::uint32_t first = (s.slot[0] >> 4 & 0x0F0F) | (s.slot[1] >> 4 & 0x0F0F) << 16;
    const std::uint32_t second = (s.slot[2] >> 4 & 0x0F0F) | (s.slot[3] >> 4 & 0x0F0F) << 16;
    std::uint32_t entry[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const std::uint32_t low = shuffle(first, (lane_index() & ~3) | i);
      const std::uint32_t high = shuffle(second, (lane_index() & ~3) | i);
      entry[i] = (t < 2 ? low : high) >> (t % 2 == 0 ? 0 : 16) & 0xFFFF;
    }
    minima_operand(a, entry);
  }
  DEVICE static void operands(std::uint32_t (&a)[2][1][4], const Whole& whole, const Part&, int p, int h) {
    const ScalePair s = unsigned_scales(scale_of_16(whole.scales, 2 * p + h) & 0x0F0F);
#pragma unroll
    for (int m = 0; m < 2; ++m) {
      const Words2 w = whole.pairs[2 * h + m];
      scaled_operand(a[m][0], {w.x >> (2 * p) & 0x03030303U, w.y >> (2 * p) & 0x03030303U}, s);
    }
  }
};

// Six-bit scales - 32 of 16 columns times q in -4..3.
template <>
struct Tile<TensorType::kQ3_K> {
  static constexpr int kBytes = 1760;
  static constexpr bool kHasMinima = false;
  static constexpr bool kMinimaOf16 = false;
  static constexpr int kPlanes = 1;
  static constexpr Coding kCoding = Coding::kK;
  struct Whole {
    SmallScales scales;
    Words2 pairs[4];
    Words2 bits[2];
  };
  struct Part {};
  DEVICE static Whole load_whole(const std::uint8_t* tile, LanePlace at) {
    const std::uint8_t* pairs = tile + 224 + 128 * at.t + 8 * at.g;
    const std::uint8_t* bits = tile + 1248 + 128 * at.t + 8 * at.g;
    return {load_six_bits(tile + 32, at),
            {load_rows(pairs), load_rows(pairs + 64), load_rows(pairs + 512), load_rows(pairs + 576)},
            {load_rows(bits), load_rows(bits + 64)}};
  }
  DEVICE static Part load_part(const std::uint8_t*, int, LanePlace) { return {}; }
  DEVICE static RowPair d(const std::uint8_t* tile, LanePlace at) { return load_row_pair(tile, at); }
  DEVICE static RowPair dmin(const std::uint8_t*, LanePlace) { return {0, 0}; }
  DEVICE static void minima(std::uint32_t (&)[4], const Whole&) {}
  DEVICE static void operands(std::uint32_t (&a)[2][1][4], const Whole& whole, const Part&, int p, int h) {
    const std::uint32_t bytes = scale_of_16(whole.scales, 2 * p + h);
    const std::uint32_t scale[2] = {half2_sub(first_byte_twice(bytes), kHalf1056),
                                    half2_sub(second_byte_twice(bytes), kHalf1056)};
#pragma unroll
    for (int m = 0; m < 2; ++m) {
      const Words2 w = whole.pairs[2 * h + m];
      const Words2 b = whole.bits[m];
      const int bit = 2 * p + h;
      biased_operand(a[m][0], {(w.x >> (2 * p) & 0x03030303U) | (b.x >> bit & 0x01010101U) << 2,
                               (w.y >> (2 * p) & 0x03030303U) | (b.y >> bit & 0x01010101U) << 2});
#pragma unroll
      for (int i = 0; i < 4; ++i) a[m][0][i] = half2_mul(half2_sub(a[m][0][i], kHalf1028), scale[i % 2]);
    }
  }
};

template <>
struct Tile<TensorType::kQ8_0> {
  static constexpr int kBytes = 4352;
  static constexpr bool kHasMinima = false;
  static constexpr bool kMinimaOf16 = false;
  static constexpr int kPlanes = 1;
  static constexpr Coding kCoding = Coding::kQ8_0;
  struct Whole {};
  struct Part {
    Words2 bytes[4];  // [half][product]
  };
  DEVICE static Whole load_whole(const std::uint8_t*, LanePlace) { return {}; }
  DEVICE static Part load_part(const std::uint8_t* tile, int p, LanePlace at) {
    const std::uint8_t* from = tile + 256 + 64 * (16 * p + 2 * at.t) + 8 * at.g;
    return {{load_rows(from), load_rows(from + 64), load_rows(from + 512), load_rows(from + 576)}};
  }
  // Of group 2p + h.
  DEVICE static RowPair group_d(const std::uint8_t* tile, int group, LanePlace at) {
    return load_row_pair(tile + 32 * group, at);
  }
  DEVICE static void operands(std::uint32_t (&a)[2][1][4], const Whole&, const Part& part, int, int h) {
#pragma unroll
    for (int m = 0; m < 2; ++m) {
      const Words2 w = part.bytes[2 * h + m];
      biased_operand(a[m][0], {w.x ^ 0x80808080U, w.y ^ 0x80808080U});
#pragma unroll
      for (int i = 0; i < 4; ++i) a[m][0][i] = half2_sub(a[m][0][i], kHalf1152);
    }
  }
};

// Halves as they are. BF16 is rounded to halves: exact from 2^-14 up to 65,504, off by 2^-25 at most below.
template <bool is_bf16>
struct HalvesTile {
  static constexpr int kBytes = 8192;
  static constexpr bool kHasMinima = false;
  static constexpr bool kMinimaOf16 = false;
  static constexpr int kPlanes = 1;
  static constexpr Coding kCoding = Coding::kHalves;
  struct Whole {};
  struct Part {
    Words2 pairs[8];  // [half][column pair of the lane]
  };
  DEVICE static Whole load_whole(const std::uint8_t*, LanePlace) { return {}; }
  DEVICE static Part load_part(const std::uint8_t* tile, int p, LanePlace at) {
    const std::uint8_t* from = tile + 64 * (32 * p + 4 * at.t) + 8 * at.g;
    Part out;
#pragma unroll
    for (int i = 0; i < 8; ++i) out.pairs[i] = load_rows(from + 64 * (i % 4) + 1024 * (i / 4));
    return out;
  }
  DEVICE static std::uint32_t halves(std::uint32_t word) {
    if constexpr (!is_bf16) return word;
    return pack_halves(bits_to_float(word << 16), bits_to_float(word & 0xFFFF0000U));
  }
  DEVICE static void operands(std::uint32_t (&a)[2][1][4], const Whole&, const Part& part, int, int h) {
#pragma unroll
    for (int m = 0; m < 2; ++m) {
      const Words2 first = part.pairs[4 * h + 2 * m];
      const Words2 second = part.pairs[4 * h + 2 * m + 1];
      a[m][0][0] = halves(first.x);
      a[m][0][1] = halves(first.y);
      a[m][0][2] = halves(second.x);
      a[m][0][3] = halves(second.y);
    }
  }
};
template <>
struct Tile<TensorType::kF16> : HalvesTile<false> {};
template <>
struct Tile<TensorType::kBF16> : HalvesTile<true> {};

}  // namespace dormouse::cuda
