// The K-quant formats as AVX2 sees them: one struct per format, with the same five members, from which matmul_k.h makes
// its GEMV and its panels. Included once, by matmul_k.h.
//  load<j>(block)   weights 32 j .. 32 j + 31 as unsigned bytes, in natural order
//  scale_bytes      formats of 16 groups: the 16 scales as signed bytes; formats of 8 groups: scales in the low 8 bytes
//  min_bytes        what the sums of activations are multiplied with, in the same form: the minima, or (offset formats)
//                   the scales, whose product with kOffset is subtracted
//  kOffset          0: the minima have a factor of their own (dmin); else q = unsigned byte - kOffset
//  kSteps           how many maddubs results fit into int16 without saturating: kSteps * 2 * largest byte * 127 <=
//  32767
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "kernels/kernels.h"
#include "quant/blocks.h"

namespace dormouse::kernels {
namespace {

inline __m256i load_256(const std::uint8_t* at) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
}

inline std::uint32_t load_u32(const std::uint8_t* at) {
  std::uint32_t out = 0;
  std::memcpy(&out, at, sizeof out);
  return out;
}

// Bits [shift, shift + bits) of every byte, moved to the bottom; mask = bits set.
template <int kShift>
inline __m256i low_bits(__m256i bytes, int mask) {
  const __m256i shifted = kShift == 0 ? bytes : _mm256_srli_epi16(bytes, kShift);
  return _mm256_and_si256(shifted, _mm256_set1_epi8(static_cast<char>(mask)));
}

// Bit kBit of every byte as `value` where set.
template <int kBit>
inline __m256i bit_as(__m256i bytes, int value) {
  const __m256i bit = _mm256_set1_epi8(static_cast<char>(1 << kBit));
  const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(bytes, bit), bit);
  return _mm256_and_si256(set, _mm256_set1_epi8(static_cast<char>(value)));
}

// The 8 scales and 8 minima of Q4_K and Q5_K: scales in bytes 0..7, minima in bytes 8..15.
inline __m128i unpack_q4_scales(const std::uint8_t* s) {
  const std::uint32_t a = load_u32(s);
  const std::uint32_t b = load_u32(s + 4);
  const std::uint32_t c = load_u32(s + 8);
  const std::uint32_t scale_high = (c & 0x0F0F0F0FU) | (((a >> 6) & 0x03030303U) << 4);
  const std::uint32_t min_high = ((c >> 4) & 0x0F0F0F0FU) | (((b >> 6) & 0x03030303U) << 4);
  return _mm_setr_epi32(static_cast<int>(a & 0x3F3F3F3FU), static_cast<int>(scale_high),
                        static_cast<int>(b & 0x3F3F3F3FU), static_cast<int>(min_high));
}

struct FormatQ2K {
  using Block = quant::BlockQ2K;
  static constexpr bool kEightGroups = false;
  static constexpr int kOffset = 0;
  static constexpr int kSteps = 4;  // a group's four; 3,048 at most
  template <int j>
  static __m256i load(const Block& b) {
    return low_bits<2 * (j % 4)>(load_256(b.q + 32 * (j / 4)), 3);
  }
  static __m128i scale_bytes(const Block& b) {
    return _mm_and_si128(_mm_loadu_si128(reinterpret_cast<const __m128i*>(b.scales)), _mm_set1_epi8(15));
  }
  static __m128i min_bytes(const Block& b) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(b.scales));
    return _mm_and_si128(_mm_srli_epi16(bytes, 4), _mm_set1_epi8(15));
  }
  static std::uint16_t d(const Block& b) { return b.d; }
  static std::uint16_t dmin(const Block& b) { return b.dmin; }
};

struct FormatQ3K {
  using Block = quant::BlockQ3K;
  static constexpr bool kEightGroups = false;
  static constexpr int kOffset = 4;
  static constexpr int kSteps = 4;  // 7,112 at most
  template <int j>
  static __m256i load(const Block& b) {
    return _mm256_or_si256(low_bits<2 * (j % 4)>(load_256(b.q + 32 * (j / 4)), 3), bit_as<j>(load_256(b.high_mask), 4));
  }
  static __m128i scale_bytes(const Block& b) {
    const std::uint32_t low = load_u32(b.scales);
    const std::uint32_t middle = load_u32(b.scales + 4);
    const std::uint32_t high = load_u32(b.scales + 8);
    const auto join = [high](std::uint32_t nibbles, int shift) {
      return static_cast<int>((nibbles & 0x0F0F0F0FU) | (((high >> shift) & 0x03030303U) << 4));
    };
    const __m128i bytes = _mm_setr_epi32(join(low, 0), join(middle, 2), join(low >> 4, 4), join(middle >> 4, 6));
    return _mm_sub_epi8(bytes, _mm_set1_epi8(32));
  }
  static __m128i min_bytes(const Block& b) { return scale_bytes(b); }
  static std::uint16_t d(const Block& b) { return b.d; }
  static std::uint16_t dmin(const Block&) { return 0; }
};

struct FormatQ4K {
  using Block = quant::BlockQ4K;
  static constexpr bool kEightGroups = true;
  static constexpr int kOffset = 0;
  static constexpr int kSteps = 8;  // a group's eight; 30,480 at most
  template <int j>
  static __m256i load(const Block& b) {
    return low_bits<4 * (j % 2)>(load_256(b.q + 32 * (j / 2)), 15);
  }
  static __m128i scale_bytes(const Block& b) { return unpack_q4_scales(b.scales); }
  static __m128i min_bytes(const Block& b) {
    return _mm_unpackhi_epi64(unpack_q4_scales(b.scales), _mm_setzero_si128());
  }
  static std::uint16_t d(const Block& b) { return b.d; }
  static std::uint16_t dmin(const Block& b) { return b.dmin; }
};

struct FormatQ5K {
  using Block = quant::BlockQ5K;
  static constexpr bool kEightGroups = true;
  static constexpr int kOffset = 0;
  static constexpr int kSteps = 4;  // 31,496 at most
  template <int j>
  static __m256i load(const Block& b) {
    return _mm256_or_si256(low_bits<4 * (j % 2)>(load_256(b.q + 32 * (j / 2)), 15), bit_as<j>(load_256(b.high), 16));
  }
  static __m128i scale_bytes(const Block& b) { return unpack_q4_scales(b.scales); }
  static __m128i min_bytes(const Block& b) {
    return _mm_unpackhi_epi64(unpack_q4_scales(b.scales), _mm_setzero_si128());
  }
  static std::uint16_t d(const Block& b) { return b.d; }
  static std::uint16_t dmin(const Block& b) { return b.dmin; }
};

struct FormatQ6K {
  using Block = quant::BlockQ6K;
  static constexpr bool kEightGroups = false;
  static constexpr int kOffset = 32;
  static constexpr int kSteps = 2;  // 32,004 at most
  template <int j>
  static __m256i load(const Block& b) {
    constexpr int k = j % 4;
    const __m256i low = low_bits<4 * (k / 2)>(load_256(b.low + 64 * (j / 4) + 32 * (k % 2)), 15);
    const __m256i high = load_256(b.high + 32 * (j / 4));
    const __m256i moved = k == 0   ? _mm256_slli_epi16(high, 4)
                          : k == 1 ? _mm256_slli_epi16(high, 2)
                          : k == 2 ? high
                                   : _mm256_srli_epi16(high, 2);
    return _mm256_or_si256(low, _mm256_and_si256(moved, _mm256_set1_epi8(0x30)));
  }
  static __m128i scale_bytes(const Block& b) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(b.scales)); }
  static __m128i min_bytes(const Block& b) { return scale_bytes(b); }
  static std::uint16_t d(const Block& b) { return b.d; }
  static std::uint16_t dmin(const Block&) { return 0; }
};

}  // namespace
}  // namespace dormouse::kernels
