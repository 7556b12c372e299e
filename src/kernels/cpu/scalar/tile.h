// Packed tiles (layout.h) as plain integers: the reading of the layout that every other table is held to. Included
// once, by table.cc.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/kernels.h"
#include "quant/half.h"

namespace dormouse::kernels {
namespace {

constexpr int kRows = 16;
constexpr int kColumns = 256;

// One K-quant tile: weight (r, i) = d[r] * scale[i / 16][r] * q[r][i] - dmin[r] * min[i / 16][r]. Formats with 8 groups
// of 32 repeat theirs: the sums are integers, so nothing changes.
struct IntegerTile {
  float d[kRows];
  float dmin[kRows];
  int scale[16][kRows];
  int min[16][kRows];
  std::int8_t q[kRows][kColumns];
};

inline float tile_half(const std::uint8_t* at) {
  std::uint16_t word = 0;
  std::memcpy(&word, at, sizeof word);
  return quant::half_to_float(word);
}

// The three ways bits of quads share bytes; `at` is the first vector, (r, i) the weight.
inline int nibble_of(const std::uint8_t* at, int r, int i) {
  const int quad = i / 4;
  const int vector = quad / 16 * 8 + quad % 8;
  return (at[64 * vector + 4 * r + i % 4] >> (4 * (quad / 8 % 2))) & 15;
}
inline int pair_of(const std::uint8_t* at, int r, int i) {
  const int quad = i / 4;
  return (at[64 * (quad % 16) + 4 * r + i % 4] >> (2 * (quad / 16))) & 3;
}
inline int bit_of(const std::uint8_t* at, int r, int i) {
  const int quad = i / 4;
  return (at[64 * (quad % 8) + 4 * r + i % 4] >> (quad / 8)) & 1;
}
inline int six_bits_of(const std::uint8_t* z, int entry, int r) {
  const int byte = 16 * (entry % 4) + r;
  if (entry < 12) return z[64 * (entry / 4) + byte] & 63;
  return (z[byte] >> 6) | (z[64 + byte] >> 6 << 2) | (z[128 + byte] >> 6 << 4);
}

struct TileQ2K {
  static constexpr int kBytes = 1344;
  static constexpr bool kHasMin = true;
  static void unpack(IntegerTile& out, const std::uint8_t* tile) {
    for (int r = 0; r < kRows; ++r) {
      out.d[r] = tile_half(tile + 2 * r);
      out.dmin[r] = tile_half(tile + 32 + 2 * r);
      for (int g = 0; g < 16; ++g) {
        out.scale[g][r] = tile[64 + 16 * g + r] & 15;
        out.min[g][r] = tile[64 + 16 * g + r] >> 4;
      }
      for (int i = 0; i < kColumns; ++i) out.q[r][i] = static_cast<std::int8_t>(pair_of(tile + 320, r, i));
    }
  }
};

struct TileQ3K {
  static constexpr int kBytes = 1760;
  static constexpr bool kHasMin = false;
  static void unpack(IntegerTile& out, const std::uint8_t* tile) {
    for (int r = 0; r < kRows; ++r) {
      out.d[r] = tile_half(tile + 2 * r);
      for (int g = 0; g < 16; ++g) out.scale[g][r] = six_bits_of(tile + 32, g, r) - 32;
      for (int i = 0; i < kColumns; ++i) {
        const int low = pair_of(tile + 224, r, i);
        out.q[r][i] = static_cast<std::int8_t>(low - (bit_of(tile + 1248, r, i) != 0 ? 0 : 4));
      }
    }
  }
};

inline void unpack_q4_scales(IntegerTile& out, const std::uint8_t* tile) {
  for (int r = 0; r < kRows; ++r) {
    out.d[r] = tile_half(tile + 2 * r);
    out.dmin[r] = tile_half(tile + 32 + 2 * r);
    for (int g = 0; g < 16; ++g) {
      out.scale[g][r] = six_bits_of(tile + 64, g / 2, r);
      out.min[g][r] = six_bits_of(tile + 64, 8 + g / 2, r);
    }
  }
}

struct TileQ4K {
  static constexpr int kBytes = 2304;
  static constexpr bool kHasMin = true;
  static void unpack(IntegerTile& out, const std::uint8_t* tile) {
    unpack_q4_scales(out, tile);
    for (int r = 0; r < kRows; ++r) {
      for (int i = 0; i < kColumns; ++i) out.q[r][i] = static_cast<std::int8_t>(nibble_of(tile + 256, r, i));
    }
  }
};

struct TileQ5K {
  static constexpr int kBytes = 2816;
  static constexpr bool kHasMin = true;
  static void unpack(IntegerTile& out, const std::uint8_t* tile) {
    unpack_q4_scales(out, tile);
    for (int r = 0; r < kRows; ++r) {
      for (int i = 0; i < kColumns; ++i) {
        out.q[r][i] = static_cast<std::int8_t>(nibble_of(tile + 256, r, i) | (bit_of(tile + 2304, r, i) << 4));
      }
    }
  }
};

struct TileQ6K {
  static constexpr int kBytes = 3360;
  static constexpr bool kHasMin = false;
  static void unpack(IntegerTile& out, const std::uint8_t* tile) {
    for (int r = 0; r < kRows; ++r) {
      out.d[r] = tile_half(tile + 2 * r);
      for (int g = 0; g < 16; ++g) out.scale[g][r] = static_cast<std::int8_t>(tile[32 + 16 * g + r]);
      for (int i = 0; i < kColumns; ++i) {
        const int value = nibble_of(tile + 288, r, i) | (pair_of(tile + 2336, r, i) << 4);
        out.q[r][i] = static_cast<std::int8_t>(value - 32);
      }
    }
  }
};

}  // namespace
}  // namespace dormouse::kernels
