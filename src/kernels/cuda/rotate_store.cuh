// Rotation table; norm, rotation and storing of a step's new queries, keys and values.
#pragma once

#include <math.h>

#include "kernels/cuda/kv_pages.cuh"

namespace dormouse::cuda {

// Once at load; double as in the engine's CPU path, whose table has the same floats.
DEVICE void rope_table(const RopeTableArgs& args) {
  const std::int64_t at = std::int64_t{block_x()} * thread_count() + thread_index();
  if (at >= std::int64_t{args.positions} * args.half_dim) return;
  const double angle = static_cast<double>(at / args.half_dim) * args.frequencies[at % args.half_dim];
  args.out[2 * at] = static_cast<float>(cos(angle));
  args.out[2 * at + 1] = static_cast<float>(sin(angle));
}

// A head on a warp. Lane l of 16 has dimensions l + 16 j, which are one of the norm's 16 partial sums; the second half
// of the warp has the same and finishes the other half of the pairs. So every pair (i, i + kDim / 2) is in one lane,
// and 16 lanes hold 16 neighbours.
template <int kDim>
struct HeadLane {
  static constexpr int kSums = kDim / 16;
  static constexpr int kPairs = kDim / 64;

  int first;           // dimension of pair 0; pair k is 16 k on
  float low[kPairs];   // dimensions first + 16 k
  float high[kPairs];  // kDim / 2 on
};

template <int kDim>
DEVICE int first_pair() {
  return lane_index() % 16 + (lane_index() >= 16 ? 16 * HeadLane<kDim>::kPairs : 0);
}
template <int kDim>
DEVICE HeadLane<kDim> take_pairs(const float (&x)[HeadLane<kDim>::kSums]) {
  using Part = HeadLane<kDim>;
  const bool second = lane_index() >= 16;
  Part lane;
  lane.first = first_pair<kDim>();
#pragma unroll
  for (int k = 0; k < Part::kPairs; ++k) {
    lane.low[k] = second ? x[k + Part::kPairs] : x[k];
    lane.high[k] = second ? x[k + 3 * Part::kPairs] : x[k + 2 * Part::kPairs];
  }
  return lane;
}

// What a lane's dimensions are multiplied with; rope: the position's.
template <int kDim>
struct Rotation {
  float norm_low[HeadLane<kDim>::kPairs];
  float norm_high[HeadLane<kDim>::kPairs];
  float cosine[HeadLane<kDim>::kPairs];
  float sine[HeadLane<kDim>::kPairs];

  DEVICE static Rotation of(int first, const float* norm, const float* rope) {
    Rotation out;
#pragma unroll
    for (int k = 0; k < HeadLane<kDim>::kPairs; ++k) {
      const int dim = first + 16 * k;
      out.norm_low[k] = norm[dim];
      out.norm_high[k] = norm[dim + kDim / 2];
      out.cosine[k] = rope[2 * dim];
      out.sine[k] = rope[2 * dim + 1];
    }
    return out;
  }
};

// As kernels/cpu/scalar/elementwise.h has it, bit for bit.
template <int kDim>
DEVICE void norm_and_rotate(HeadLane<kDim>& lane, const float (&x)[HeadLane<kDim>::kSums],
                            const Rotation<kDim>& rotation, float epsilon) {
  float sum = 0.0F;
#pragma unroll
  for (int j = 0; j < HeadLane<kDim>::kSums; ++j) sum = fmaf(x[j], x[j], sum);
#pragma unroll
  for (int width = 8; width > 0; width /= 2) sum = sum + shuffle_xor(sum, width);
  const float inverse = 1.0F / sqrtf(sum / static_cast<float>(kDim) + epsilon);
#pragma unroll
  for (int k = 0; k < HeadLane<kDim>::kPairs; ++k) {
    const float a = lane.low[k] * inverse * rotation.norm_low[k];
    const float b = lane.high[k] * inverse * rotation.norm_high[k];
    lane.low[k] = a * rotation.cosine[k] - b * rotation.sine[k];
    lane.high[k] = b * rotation.cosine[k] + a * rotation.sine[k];
  }
}

DEVICE std::uint32_t magnitude_bits(float x) {
  return float_to_bits(x) & 0x7FFFFFFFU;
}
DEVICE std::uint32_t larger(std::uint32_t a, std::uint32_t b) {
  return a > b ? a : b;
}
struct GroupScale {
  float scale;
  float inverse;  // 0: every value is stored as 0
};
// quantize_values of kernels/cpu/scalar/quantize.h for the 32 values whose largest magnitude is some lane's.
template <int kDim>
DEVICE GroupScale group_scale(const float (&x)[HeadLane<kDim>::kPairs]) {
  std::uint32_t largest = 0;
#pragma unroll
  for (int k = 0; k < HeadLane<kDim>::kPairs; ++k) largest = larger(largest, magnitude_bits(x[k]));
    // Of 128 dimensions a lane has two of its group, of 64 only one: the other 16 are in the warp's other half.
#pragma unroll
  for (int mask = kDim == 64 ? 16 : 8; mask > 0; mask /= 2) largest = larger(largest, shuffle_xor(largest, mask));
  constexpr std::uint32_t kInfinity = 0x7F800000U;
  constexpr float kSmallest = 1e-30F;
  if (largest >= kInfinity) return {bits_to_float(0x7FC00000U), 0.0F};
  const float amax = bits_to_float(largest);
  if (amax < kSmallest) return {0.0F, 0.0F};
  return {amax / 127.0F, 127.0F / amax};
}
DEVICE std::int8_t quantised(float x, const GroupScale& group) {
  if (group.inverse == 0.0F) return 0;
  return static_cast<std::int8_t>(static_cast<int>((x * group.inverse + 12582912.0F) - 12582912.0F));
}

// A token's bytes of keys or values, and its scales in q8.
struct TokenBytes {
  std::uint8_t* row;
  std::uint8_t* scales;
};
// In the page of a head's keys, or of its values.
template <int kDim, bool kQ8>
DEVICE TokenBytes token_bytes(std::uint8_t* page, int token) {
  constexpr int kRowBytes = kTokenBytes<kDim, kQ8>;
  return {page + token * kRowBytes, page + kPageTokens * kRowBytes + token * kTokenScaleBytes<kDim>};
}

template <int kDim>
DEVICE void store_q8(const HeadLane<kDim>& lane, const TokenBytes& to, bool is_key) {
  const GroupScale low = group_scale<kDim>(lane.low);
  const GroupScale high = group_scale<kDim>(lane.high);
  auto* row = reinterpret_cast<std::int8_t*>(to.row);
#pragma unroll
  for (int k = 0; k < HeadLane<kDim>::kPairs; ++k) {
    const int dim = lane.first + 16 * k;
    row[is_key ? key_place(dim) : dim] = quantised(lane.low[k], low);
    row[is_key ? key_place(dim + kDim / 2) : dim + kDim / 2] = quantised(lane.high[k], high);
  }
  if (lane_index() % 16 != 0) return;
  auto* scales = reinterpret_cast<std::uint16_t*>(to.scales);
  scales[lane.first / 32] = float_to_half(low.scale);
  scales[(lane.first + kDim / 2) / 32] = float_to_half(high.scale);
}

template <int kDim, bool kQ8>
DEVICE void store_head(const HeadLane<kDim>& lane, const TokenBytes& to, bool is_key) {
  if constexpr (kQ8) {
    store_q8<kDim>(lane, to, is_key);
    return;
  }
  auto* row = reinterpret_cast<std::uint16_t*>(to.row);
#pragma unroll
  for (int k = 0; k < HeadLane<kDim>::kPairs; ++k) {
    row[lane.first + 16 * k] = float_to_half(lane.low[k]);
    row[lane.first + 16 * k + kDim / 2] = float_to_half(lane.high[k]);
  }
}

template <int kDim>
DEVICE void rotate_store_head(const RotateStoreArgs& args, int row, int head, int position, int page) {
  const bool is_query = head < args.heads;
  const bool is_value = head >= args.heads + args.kv_heads;
  const int kv_head = is_value ? head - args.heads - args.kv_heads : head - args.heads;
  const std::int64_t row_at = std::int64_t{row} * args.qkv_stride;
  const float* from = is_query ? args.q + row_at + head * kDim : (is_value ? args.v : args.k) + row_at + kv_head * kDim;
  float x[HeadLane<kDim>::kSums];
#pragma unroll
  for (int j = 0; j < HeadLane<kDim>::kSums; ++j) x[j] = from[lane_index() % 16 + 16 * j];
  HeadLane<kDim> lane = take_pairs<kDim>(x);
  if (!is_value) {
    const auto rotation =
        Rotation<kDim>::of(lane.first, is_query ? args.q_norm : args.k_norm, args.rope + std::int64_t{position} * kDim);
    norm_and_rotate<kDim>(lane, x, rotation, args.epsilon);
  }
  if (is_query) {
    float* to = args.q + row_at + head * kDim;
    sync_warp();  // both halves of the warp have read what one of them now writes
#pragma unroll
    for (int k = 0; k < HeadLane<kDim>::kPairs; ++k) {
      to[lane.first + 16 * k] = lane.low[k];
      to[lane.first + 16 * k + kDim / 2] = lane.high[k];
    }
    return;
  }
  std::uint8_t* page_at = args.kv.memory + page * args.kv.page_bytes + args.kv.layer * args.kv.layer_bytes +
                          kv_head * args.kv.head_bytes + (is_value ? args.kv.value_bytes : 0);
  if (args.kv.is_q8 != 0) {
    store_head<kDim, true>(lane, token_bytes<kDim, true>(page_at, position % kPageTokens), !is_value);
  } else {
    store_head<kDim, false>(lane, token_bytes<kDim, false>(page_at, position % kPageTokens), !is_value);
  }
}

// k itself is not written back: nobody reads it but through its page.
DEVICE void rotate_store(const RotateStoreArgs& args) {
  const int row = block_x();
  const int head = block_y() * (kRotateStoreThreads / kWarp) + warp_index();
  // What StepRows promises may be read before the previous kernel ends.
  const int position = row < args.row_count ? args.rows.positions[row] : -1;
  const int page = position < 0 ? 0 : args.rows.pages[args.rows.page_begin[row] + position / kPageTokens];
  let_next_begin();
  wait_for_previous();
  if (position < 0 || head >= args.heads + 2 * args.kv_heads) return;
  if (args.head_dim == 128) {
    rotate_store_head<128>(args, row, head, position, page);
  } else {
    rotate_store_head<64>(args, row, head, position, page);
  }
}

}  // namespace dormouse::cuda
