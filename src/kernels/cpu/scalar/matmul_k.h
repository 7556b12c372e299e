// Matrix products of K-quant weights with Q8_K activations, as kernels.h defines them. Included once, by table.cc.
// Cost: about 1 ns a multiply-add; nobody waits for this table except tests and CPUs from before 2013.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/kernels.h"
#include "quant/blocks.h"
#include "quant/half.h"

namespace dormouse::kernels {
namespace {

// One block of any K-quant as integers: 16 groups of 16 (formats with 8 groups of 32 repeat theirs: the sums are
// integers, so nothing changes). Weight i = d * scale[i / 16] * q[i] - dmin * min[i / 16].
struct IntegerBlock {
  float d;
  float dmin;
  int scale[16];
  int min[16];
  std::int8_t q[256];
};

inline void unpack_q4_scales(IntegerBlock& out, const std::uint8_t* s) {
  for (int g = 0; g < 8; ++g) {
    const int scale = g < 4 ? s[g] & 63 : (s[g + 4] & 15) | ((s[g - 4] >> 6) << 4);
    const int min = g < 4 ? s[g + 4] & 63 : (s[g + 4] >> 4) | ((s[g] >> 6) << 4);
    out.scale[2 * g] = out.scale[2 * g + 1] = scale;
    out.min[2 * g] = out.min[2 * g + 1] = min;
  }
}

inline void unpack(IntegerBlock& out, const quant::BlockQ2K& b) {
  out.d = quant::half_to_float(b.d);
  out.dmin = quant::half_to_float(b.dmin);
  for (int g = 0; g < 16; ++g) {
    out.scale[g] = b.scales[g] & 15;
    out.min[g] = b.scales[g] >> 4;
  }
  for (int i = 0; i < 256; ++i) {
    out.q[i] = static_cast<std::int8_t>((b.q[32 * (i / 128) + i % 32] >> (2 * (i % 128 / 32))) & 3);
  }
}

inline void unpack(IntegerBlock& out, const quant::BlockQ3K& b) {
  out.d = quant::half_to_float(b.d);
  for (int g = 0; g < 16; ++g) {
    const int low = g < 8 ? b.scales[g] & 15 : b.scales[g - 8] >> 4;
    const int high = (b.scales[8 + g % 4] >> (2 * (g / 4))) & 3;
    out.scale[g] = (low | (high << 4)) - 32;
  }
  for (int i = 0; i < 256; ++i) {
    const int low = (b.q[32 * (i / 128) + i % 32] >> (2 * (i % 128 / 32))) & 3;
    const int offset = ((b.high_mask[i % 32] >> (i / 32)) & 1) != 0 ? 0 : 4;
    out.q[i] = static_cast<std::int8_t>(low - offset);
  }
}

inline void unpack(IntegerBlock& out, const quant::BlockQ4K& b) {
  out.d = quant::half_to_float(b.d);
  out.dmin = quant::half_to_float(b.dmin);
  unpack_q4_scales(out, b.scales);
  for (int i = 0; i < 256; ++i) {
    out.q[i] = static_cast<std::int8_t>((b.q[32 * (i / 64) + i % 32] >> (4 * (i % 64 / 32))) & 15);
  }
}

inline void unpack(IntegerBlock& out, const quant::BlockQ5K& b) {
  out.d = quant::half_to_float(b.d);
  out.dmin = quant::half_to_float(b.dmin);
  unpack_q4_scales(out, b.scales);
  for (int i = 0; i < 256; ++i) {
    const int low = (b.q[32 * (i / 64) + i % 32] >> (4 * (i % 64 / 32))) & 15;
    out.q[i] = static_cast<std::int8_t>(low | (((b.high[i % 32] >> (i / 32)) & 1) << 4));
  }
}

inline void unpack(IntegerBlock& out, const quant::BlockQ6K& b) {
  out.d = quant::half_to_float(b.d);
  for (int g = 0; g < 16; ++g) out.scale[g] = b.scales[g];
  for (int i = 0; i < 256; ++i) {
    const int half = i / 128;
    const int k = i % 128 / 32;
    const int low = (b.low[64 * half + 32 * (k % 2) + i % 32] >> (4 * (k / 2))) & 15;
    const int high = (b.high[32 * half + i % 32] >> (2 * k)) & 3;
    out.q[i] = static_cast<std::int8_t>((low | (high << 4)) - 32);
  }
}

template <typename Block>
constexpr bool kHasMin = sizeof(Block) == sizeof(quant::BlockQ2K) || sizeof(Block) == sizeof(quant::BlockQ4K) ||
                         sizeof(Block) == sizeof(quant::BlockQ5K);

inline float add_block(float acc, const IntegerBlock& w, const BlockQ8K& a, bool has_min) {
  int dot = 0;
  int minimum = 0;
  for (int g = 0; g < 16; ++g) {
    int group = 0;
    for (int i = 16 * g; i < 16 * g + 16; ++i) group += w.q[i] * a.q[i];
    dot += w.scale[g] * group;
    if (has_min) minimum += w.min[g] * a.sums16[g];
  }
  acc = __builtin_fmaf(w.d * a.d, static_cast<float>(dot), acc);
  if (!has_min) return acc;
  return __builtin_fmaf(-(w.dmin * a.d), static_cast<float>(minimum), acc);
}

// out doubles as the accumulator: each weight block is unpacked once for all m activation rows.
template <typename Block>
void matmul_k(const MatmulArgs& args) {
  for (std::int32_t row = args.row_begin; row < args.row_end; ++row) {
    const std::uint8_t* bytes = args.weights + row * args.weight_row_bytes;
    for (std::int32_t i = 0; i < args.m; ++i) args.out[i * args.out_stride + row] = 0;
    for (std::int32_t block = 0; block < args.k / 256; ++block) {
      Block packed;
      std::memcpy(&packed, bytes + static_cast<std::size_t>(block) * sizeof(Block), sizeof(Block));
      IntegerBlock w;
      unpack(w, packed);
      for (std::int32_t i = 0; i < args.m; ++i) {
        const auto* a = reinterpret_cast<const BlockQ8K*>(args.activations + i * args.activation_row_bytes);
        float& acc = args.out[i * args.out_stride + row];
        acc = add_block(acc, w, a[block], kHasMin<Block>);
      }
    }
  }
}

}  // namespace
}  // namespace dormouse::kernels
