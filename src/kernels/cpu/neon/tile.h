// Packed K-quant tiles (layout.h) as 128-bit vectors. A vector is a quarter of a quad: 4 rows x 4 columns. Each format
// is a struct with:
//   kBytes, kGroups (16 groups of 16 columns, or 8 of 32), kHasMin
//   unpack_scales()       [kGroups][16 rows] bytes: scales (signed) and, where there are any, minimums
//   quad<P>(tile, t, v)   16 signed quants, offset subtracted: columns 64 P + 4 t ... + 3 of rows 4 v ... 4 v + 3
// Every quant fits int8, so SDOT (signed by signed) takes them as they are. Included once a table.
#pragma once

#include <arm_neon.h>

#include <cstdint>

#include "kernels/kernels.h"

namespace dormouse::kernels {
namespace {

constexpr int kRows = 16;
constexpr int kColumns = 256;

inline float32x4_t load_halves(const std::uint8_t* at) {
  return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(at)));
}

// USHR has no count of 0.
template <int kCount>
inline uint8x16_t shift_right(uint8x16_t v) {
  if constexpr (kCount == 0)
    return v;
  else
    return vshrq_n_u8(v, kCount);
}

// The three ways bits of quads share bytes; `at` is the first vector.
template <int P>
inline uint8x16_t nibble_quad(const std::uint8_t* at, int t, int quarter) {
  const uint8x16_t v = vld1q_u8(at + 64 * (8 * P + t % 8) + 16 * quarter);
  return t < 8 ? vandq_u8(v, vdupq_n_u8(15)) : vshrq_n_u8(v, 4);
}
template <int P>
inline uint8x16_t pair_quad(const std::uint8_t* at, int t, int quarter) {
  return vandq_u8(shift_right<2 * P>(vld1q_u8(at + 64 * t + 16 * quarter)), vdupq_n_u8(3));
}
template <int P>
inline uint8x16_t bit_quad(const std::uint8_t* at, int t, int quarter) {
  const uint8x16_t v = vld1q_u8(at + 64 * (t % 8) + 16 * quarter);
  return vandq_u8(t < 8 ? shift_right<2 * P>(v) : shift_right<2 * P + 1>(v), vdupq_n_u8(1));
}

inline int8x16_t subtract(uint8x16_t v, std::uint8_t offset) {
  return vreinterpretq_s8_u8(vsubq_u8(v, vdupq_n_u8(offset)));
}

// 256 six-bit values from 192 bytes, in order of entries.
inline void unpack_six_bits(std::uint8_t* out, const std::uint8_t* in) {
  const uint8x16_t low = vdupq_n_u8(63);
  for (int i = 0; i < 64; i += 16) {
    const uint8x16_t z0 = vld1q_u8(in + i);
    const uint8x16_t z1 = vld1q_u8(in + 64 + i);
    const uint8x16_t z2 = vld1q_u8(in + 128 + i);
    vst1q_u8(out + i, vandq_u8(z0, low));
    vst1q_u8(out + 64 + i, vandq_u8(z1, low));
    vst1q_u8(out + 128 + i, vandq_u8(z2, low));
    const uint8x16_t b = vshlq_n_u8(vshrq_n_u8(z1, 6), 2);
    const uint8x16_t c = vshlq_n_u8(vshrq_n_u8(z2, 6), 4);
    vst1q_u8(out + 192 + i, vorrq_u8(vshrq_n_u8(z0, 6), vorrq_u8(b, c)));
  }
}

struct TileScales {
  std::int8_t scale[256];
  std::int8_t min[256];
};

struct TileQ4K {
  static constexpr int kBytes = 2304;
  static constexpr int kGroups = 8;
  static constexpr bool kHasMin = true;
  static void unpack_scales(TileScales& out, const std::uint8_t* tile) {
    std::uint8_t both[256];
    unpack_six_bits(both, tile + 64);
    __builtin_memcpy(out.scale, both, 128);
    __builtin_memcpy(out.min, both + 128, 128);
  }
  template <int P>
  static int8x16_t quad(const std::uint8_t* tile, int t, int quarter) {
    return vreinterpretq_s8_u8(nibble_quad<P>(tile + 256, t, quarter));
  }
};

struct TileQ5K : TileQ4K {
  static constexpr int kBytes = 2816;
  template <int P>
  static int8x16_t quad(const std::uint8_t* tile, int t, int quarter) {
    const uint8x16_t high = vshlq_n_u8(bit_quad<P>(tile + 2304, t, quarter), 4);
    return vreinterpretq_s8_u8(vorrq_u8(nibble_quad<P>(tile + 256, t, quarter), high));
  }
};

struct TileQ6K {
  static constexpr int kBytes = 3360;
  static constexpr int kGroups = 16;
  static constexpr bool kHasMin = false;
  static void unpack_scales(TileScales& out, const std::uint8_t* tile) { __builtin_memcpy(out.scale, tile + 32, 256); }
  template <int P>
  static int8x16_t quad(const std::uint8_t* tile, int t, int quarter) {
    const uint8x16_t high = vshlq_n_u8(pair_quad<P>(tile + 2336, t, quarter), 4);
    return subtract(vorrq_u8(nibble_quad<P>(tile + 288, t, quarter), high), 32);
  }
};

struct TileQ2K {
  static constexpr int kBytes = 1344;
  static constexpr int kGroups = 16;
  static constexpr bool kHasMin = true;
  static void unpack_scales(TileScales& out, const std::uint8_t* tile) {
    for (int i = 0; i < 256; i += 16) {
      const uint8x16_t v = vld1q_u8(tile + 64 + i);
      vst1q_s8(out.scale + i, vreinterpretq_s8_u8(vandq_u8(v, vdupq_n_u8(15))));
      vst1q_s8(out.min + i, vreinterpretq_s8_u8(vshrq_n_u8(v, 4)));
    }
  }
  template <int P>
  static int8x16_t quad(const std::uint8_t* tile, int t, int quarter) {
    return vreinterpretq_s8_u8(pair_quad<P>(tile + 320, t, quarter));
  }
};

struct TileQ3K {
  static constexpr int kBytes = 1760;
  static constexpr int kGroups = 16;
  static constexpr bool kHasMin = false;
  static void unpack_scales(TileScales& out, const std::uint8_t* tile) {
    std::uint8_t values[256];
    unpack_six_bits(values, tile + 32);
    for (int i = 0; i < 256; i += 16) vst1q_s8(out.scale + i, subtract(vld1q_u8(values + i), 32));
  }
  template <int P>
  static int8x16_t quad(const std::uint8_t* tile, int t, int quarter) {
    const uint8x16_t high = vshlq_n_u8(bit_quad<P>(tile + 1248, t, quarter), 2);
    return subtract(vorrq_u8(pair_quad<P>(tile + 224, t, quarter), high), 4);
  }
};

// Results of 4 rows, of which `rows` are there (none when it is not positive).
inline void store_rows(float* out, float32x4_t values, std::int32_t rows) {
  if (rows >= 4) return vst1q_f32(out, values);
  float all[4];
  vst1q_f32(all, values);
  for (std::int32_t r = 0; r < rows; ++r) out[r] = all[r];
}

}  // namespace
}  // namespace dormouse::kernels
