// The bytes of every block format, as ggml lays them out on disk (little endian, no padding). 256 weights make a
// K-quant block, 32 a Q8_0 block; inside a K-quant, groups of 16 or 32 weights carry small integer scales.
// Plain structs of bytes and 16-bit words, no functions, no STL: ISA folders include this.
// Invariant: sizeof == TensorTypeTraits::block_bytes, alignment <= 2 (a block may sit at any even address).
// Source: the format is defined by ggml's reference dequantiser; quant/decode.cc is our reading of it.
#pragma once

#include <cstdint>

namespace dormouse::quant {

inline constexpr int kQ8Elements = 32;
inline constexpr int kSuperBlockElements = 256;

// w = d * q
struct BlockQ8_0 {
  std::uint16_t d;  // half
  std::int8_t q[32];
};

// 16 groups of 16. w = d * (scales[g] & 15) * q - dmin * (scales[g] >> 4), q in 0..3.
// Weight i of half h = i / 128: bits 2 * ((i % 128) / 32) of q[32 * h + i % 32].
struct BlockQ2K {
  std::uint8_t scales[16];
  std::uint8_t q[64];
  std::uint16_t d;     // half
  std::uint16_t dmin;  // half
};

// 16 groups of 16. w = d * (scale[g] - 32) * q, q in -4..3: two low bits as in Q2_K, and bit i / 32 of
// high_mask[i % 32] set means "do not subtract 4". Scales: 6 bits; low nibbles in scales[0..7] (g < 8 low half, g >= 8
// high half of scales[g % 8]), the two high bits of g at bit 2 * (g / 4) of scales[8 + g % 4].
struct BlockQ3K {
  std::uint8_t high_mask[32];
  std::uint8_t q[64];
  std::uint8_t scales[12];
  std::uint16_t d;  // half
};

// 8 groups of 32. w = d * scale[g] * q - dmin * min[g], q in 0..15.
// Weights 64 c + l (low nibbles) and 64 c + 32 + l (high nibbles) share q[32 c + l].
// scales: 6-bit pairs. g < 4: scale = scales[g] & 63, min = scales[g + 4] & 63. g >= 4: the low four bits in
// scales[g + 4] (scale low, min high nibble), the two high bits on top of scales[g - 4] and scales[g].
struct BlockQ4K {
  std::uint16_t d;     // half
  std::uint16_t dmin;  // half
  std::uint8_t scales[12];
  std::uint8_t q[128];
};

// As Q4_K with a fifth bit: bit g of high[i % 32] belongs to weight i of group g = i / 32.
struct BlockQ5K {
  std::uint16_t d;     // half
  std::uint16_t dmin;  // half
  std::uint8_t scales[12];
  std::uint8_t high[32];
  std::uint8_t q[128];
};

// 16 groups of 16. w = d * scales[g] * (q - 32), q in 0..63.
// In half h, weight 32 k + l (k = 0..3): nibble k / 2 of low[64 h + 32 (k % 2) + l], bits 2 k of high[32 h + l].
struct BlockQ6K {
  std::uint8_t low[128];
  std::uint8_t high[64];
  std::int8_t scales[16];
  std::uint16_t d;  // half
};

static_assert(sizeof(BlockQ8_0) == 34 && alignof(BlockQ8_0) == 2);
static_assert(sizeof(BlockQ2K) == 84 && alignof(BlockQ2K) == 2);
static_assert(sizeof(BlockQ3K) == 110 && alignof(BlockQ3K) == 2);
static_assert(sizeof(BlockQ4K) == 144 && alignof(BlockQ4K) == 2);
static_assert(sizeof(BlockQ5K) == 176 && alignof(BlockQ5K) == 2);
static_assert(sizeof(BlockQ6K) == 210 && alignof(BlockQ6K) == 2);

}  // namespace dormouse::quant
