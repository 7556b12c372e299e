// What happens to rows before the first layer and after the last: embedding, and the most likely token.
#pragma once

#include "base/tensor_type.h"
#include "kernels/cuda/matmul_args.h"
#include "kernels/cuda/simt.h"

namespace dormouse::cuda {

// Weight (r, i) of a tile as kernels/layout.h stores its bits; the same reading as cpu/scalar/tile.h.
DEVICE int nibble_of(const std::uint8_t* at, int r, int i) {
  const int quad = i / 4;
  return at[64 * (quad / 16 * 8 + quad % 8) + 4 * r + i % 4] >> (4 * (quad / 8 % 2)) & 15;
}
DEVICE int pair_of(const std::uint8_t* at, int r, int i) {
  const int quad = i / 4;
  return at[64 * (quad % 16) + 4 * r + i % 4] >> (2 * (quad / 16)) & 3;
}
DEVICE int bit_of(const std::uint8_t* at, int r, int i) {
  const int quad = i / 4;
  return at[64 * (quad % 8) + 4 * r + i % 4] >> (quad / 8) & 1;
}
DEVICE int six_bits_of(const std::uint8_t* z, int entry, int r) {
  const int byte = 16 * (entry % 4) + r;
  if (entry < 12) return z[64 * (entry / 4) + byte] & 63;
  return z[byte] >> 6 | z[64 + byte] >> 6 << 2 | z[128 + byte] >> 6 << 4;
}
DEVICE float half_at(const std::uint8_t* at) {
  return half_to_float(*reinterpret_cast<const std::uint16_t*>(at));
}

// w = (d * scale) * q - dmin * min, each operation rounded, as quant/decode.cc does it.
DEVICE float k_weight(float d, int scale, int q) {
  return d * static_cast<float>(scale) * static_cast<float>(q);
}
DEVICE float q4_like_weight(const std::uint8_t* tile, int r, int i, int q) {
  const float least = half_at(tile + 32 + 2 * r) * static_cast<float>(six_bits_of(tile + 64, 8 + i / 32, r));
  return k_weight(half_at(tile + 2 * r), six_bits_of(tile + 64, i / 32, r), q) - least;
}

DEVICE float weight_of(TensorType type, const std::uint8_t* tile, int r, int i) {
  switch (type) {
    case TensorType::kQ4_K: return q4_like_weight(tile, r, i, nibble_of(tile + 256, r, i));
    case TensorType::kQ5_K:
      return q4_like_weight(tile, r, i, nibble_of(tile + 256, r, i) | bit_of(tile + 2304, r, i) << 4);
    case TensorType::kQ6_K:
      return k_weight(half_at(tile + 2 * r), static_cast<std::int8_t>(tile[32 + 16 * (i / 16) + r]),
                      (nibble_of(tile + 288, r, i) | pair_of(tile + 2336, r, i) << 4) - 32);
    case TensorType::kQ2_K: {
      const int both = tile[64 + 16 * (i / 16) + r];
      const float least = half_at(tile + 32 + 2 * r) * static_cast<float>(both >> 4);
      return k_weight(half_at(tile + 2 * r), both & 15, pair_of(tile + 320, r, i)) - least;
    }
    case TensorType::kQ3_K:
      return k_weight(half_at(tile + 2 * r), six_bits_of(tile + 32, i / 16, r) - 32,
                      pair_of(tile + 224, r, i) - (bit_of(tile + 1248, r, i) != 0 ? 0 : 4));
    case TensorType::kQ8_0:
      return half_at(tile + 32 * (i / 32) + 2 * r) *
             static_cast<float>(static_cast<std::int8_t>(tile[256 + 64 * (i / 4) + 4 * r + i % 4]));
    case TensorType::kF16: return half_at(tile + 64 * (i / 2) + 4 * r + 2 * (i % 2));
    case TensorType::kBF16: {
      const auto bits = *reinterpret_cast<const std::uint16_t*>(tile + 64 * (i / 2) + 4 * r + 2 * (i % 2));
      return bits_to_float(static_cast<std::uint32_t>(bits) << 16);
    }
    default: return 0;
  }
}

// Grid x: rows.
DEVICE void embed_rows(const EmbedArgs& args) {
  let_next_begin();
  wait_for_previous();
  const int token = args.tokens[block_x()];
  const auto type = static_cast<TensorType>(args.type);
  const std::uint8_t* strip = args.weights + token / 16 * args.strip_bytes;
  const std::int64_t tile_bytes = args.strip_bytes / (args.columns / 256);
  for (int i = thread_index(); i < args.columns; i += thread_count()) {
    args.out[std::int64_t{block_x()} * args.columns + i] =
        weight_of(type, strip + i / 256 * tile_bytes, token % 16, i % 256);
  }
}

struct Best {
  float logit;
  std::int32_t token;
};
DEVICE Best better(Best a, Best b) {
  return b.logit > a.logit || (b.logit == a.logit && b.token < a.token) ? b : a;
}

// Grid x: rows. Shared: a Best a warp. A NaN is never the largest; a row of nothing else gives token 0.
DEVICE void best_tokens(const BestTokensArgs& args) {
  let_next_begin();
  wait_for_previous();
  const float* logits = args.logits + std::int64_t{block_x()} * args.vocab;
  constexpr float kLowest = -3.4e38F;
  Best best{kLowest, 0};
  for (int i = thread_index(); i < args.vocab; i += thread_count()) best = better(best, {logits[i], i});
#pragma unroll
  for (int mask = kWarp / 2; mask > 0; mask /= 2) {
    best = better(best, {shuffle_xor(best.logit, mask), shuffle_xor(best.token, mask)});
  }
  auto* of_warps = reinterpret_cast<Best*>(shared_memory());
  if (lane_index() == 0) of_warps[warp_index()] = best;
  sync_block();
  if (thread_index() != 0) return;
  for (int warp = 1; warp < thread_count() / kWarp; ++warp) best = better(best, of_warps[warp]);
  args.out[block_x()] = best.token;
}

}  // namespace dormouse::cuda
