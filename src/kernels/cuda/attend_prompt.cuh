// Attention of prompt rows: a block is 16 neighbouring rows of one sequence and up to four query heads of one KV head,
// a warp per head; keys and values pass through shared memory 64 tokens at a time, from token 0 on, whatever the
// block's rows are. Tokens after a row's own have probability 0 and change no bit of its state, so a row does not
// depend on the rows that share its block, nor on where its prompt was cut. Cost, head_dim 128, 64 tokens: 128 products
// a warp, 64 ldmatrix, 64 exp2; shared memory delivers 128 KiB for them, which takes about as long as the products do.
#pragma once

#include "kernels/cuda/prompt_tiles.cuh"
#include "kernels/cuda/split_merge.cuh"

namespace dormouse::cuda {

// A warp's 16 rows of one query head. Lane (g, p) has rows g and g + 8; of each, elements 2 p and 2 p + 1 of every 8.
template <int kDim>
struct PromptState {
  std::uint32_t q[kDim / 16][4];  // the 16-row operand, times scale * log2(e)
  float sums[kDim / 8][4];
  float weights[4];  // of the rounded probabilities: a product with ones
  float maxima[2];
  int positions[2];
};

// Rows after the last repeat the first, and are not written.
template <int kDim>
DEVICE PromptState<kDim> begin_rows(const AttendPromptArgs& args, const PromptItem& item, int head) {
  PromptState<kDim> state = {};
  const int group = lane_index() / 4;
  const int pair = lane_index() % 4;
  const float factor = args.scale * kLog2OfE;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int row = item.row + (group + 8 * r < item.count ? group + 8 * r : 0);
    state.positions[r] = args.rows.positions[row];
    state.maxima[r] = bits_to_float(0xFF800000U);
    const float* q = args.q + std::int64_t{row} * args.qkv_stride + head * kDim + 2 * pair;
#pragma unroll
    for (int s = 0; s < kDim / 16; ++s) {
      const float* x = q + 16 * s;
      state.q[s][r] = pack_halves(x[0] * factor, x[1] * factor);
      state.q[s][2 + r] = pack_halves(x[8] * factor, x[9] * factor);
    }
  }
  return state;
}

// scores[t]: of tokens 8 t .. 8 t + 7.
template <int kDim>
DEVICE void score_tokens(float (&scores)[kPromptTokens / 8][4], const PromptState<kDim>& state,
                         const PromptTile<kDim>& keys) {
  const int matrix = lane_index() / 8;
  const auto mine = LaneChunks::of(keys.memory, 2 * kDim, 8 * (matrix / 2) + lane_index() % 8, matrix % 2);
#pragma unroll
  for (int s = 0; s < kDim / 16; ++s) {
    const unsigned char* from = mine.pair(s);
#pragma unroll
    for (int t = 0; t < kPromptTokens / 8; t += 2) {
      std::uint32_t b[4];
      ldmatrix_x4(b, from + 8 * t * 2 * kDim);
      mma_f16(scores[t], state.q[s], b[0], b[1]);
      mma_f16(scores[t + 1], state.q[s], b[2], b[3]);
    }
  }
}

// Scores to probabilities, in halves as the 16-row operand of the second product; what was summed so far is rescaled to
// the new maximum.
template <int kDim>
DEVICE void weigh_tokens(std::uint32_t (&p)[kPromptTokens / 16][4], PromptState<kDim>& state,
                         float (&scores)[kPromptTokens / 8][4]) {
  float factors[2];
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    float maximum = state.maxima[r];
#pragma unroll
    for (const auto& s : scores) maximum = fmaxf(maximum, fmaxf(s[2 * r], s[2 * r + 1]));
    maximum = fmaxf(maximum, shuffle_xor(maximum, 1));
    maximum = fmaxf(maximum, shuffle_xor(maximum, 2));
    factors[r] = fast_exp2(state.maxima[r] - maximum);
    state.maxima[r] = maximum;
  }
#pragma unroll
  for (int t = 0; t < kPromptTokens / 8; ++t) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      p[t / 2][2 * (t % 2) + r] =
          pack_halves(fast_exp2(scores[t][2 * r] - state.maxima[r]), fast_exp2(scores[t][2 * r + 1] - state.maxima[r]));
    }
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) state.weights[i] = state.weights[i] * factors[i / 2];
#pragma unroll
  for (auto& sums : state.sums) {
#pragma unroll
    for (int i = 0; i < 4; ++i) sums[i] = sums[i] * factors[i / 2];
  }
}

template <int kDim>
DEVICE void add_values(PromptState<kDim>& state, const std::uint32_t (&p)[kPromptTokens / 16][4],
                       const PromptTile<kDim>& values) {
  constexpr std::uint32_t kOnes = 0x3C003C00U;
  const int matrix = lane_index() / 8;
  const auto mine = LaneChunks::of(values.memory, 2 * kDim, 8 * (matrix % 2) + lane_index() % 8, matrix / 2);
#pragma unroll
  for (int t = 0; t < kPromptTokens / 16; ++t) {
    mma_f16(state.weights, p[t], kOnes, kOnes);
#pragma unroll
    for (int d = 0; d < kDim / 8; d += 2) {
      std::uint32_t b[4];
      ldmatrix_x4_trans(b, mine.pair(d / 2) + 16 * t * 2 * kDim);
      mma_f16(state.sums[d], p[t], b[0], b[1]);
      mma_f16(state.sums[d + 1], p[t], b[2], b[3]);
    }
  }
}

template <int kDim>
DEVICE void attend_block(PromptState<kDim>& state, const PromptTile<kDim>& keys, const PromptTile<kDim>& values,
                         int first_token) {
  float scores[kPromptTokens / 8][4] = {};
  score_tokens<kDim>(scores, state, keys);
  // Only the last blocks have tokens that a row does not see.
  if (first_token + kPromptTokens - 1 > state.positions[0] || first_token + kPromptTokens - 1 > state.positions[1]) {
    const int token = first_token + 2 * (lane_index() % 4);
#pragma unroll
    for (int t = 0; t < kPromptTokens / 8; ++t) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        if (token + 8 * t + i % 2 > state.positions[i / 2]) scores[t][i] = bits_to_float(0xFF800000U);
      }
    }
  }
  std::uint32_t p[kPromptTokens / 16][4];
  weigh_tokens<kDim>(p, state, scores);
  add_values<kDim>(state, p, values);
}

struct alignas(8) Floats2 {
  float x, y;
};
template <int kDim>
DEVICE void write_rows(const AttendPromptArgs& args, const PromptState<kDim>& state, const PromptItem& item, int head) {
  const int group = lane_index() / 4;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    if (group + 8 * r >= item.count) continue;
    const float inverse = 1.0F / state.weights[2 * r];
    float* out = args.out + ((std::int64_t{item.row} + group + 8 * r) * args.heads + head) * kDim;
#pragma unroll
    for (int d = 0; d < kDim / 8; ++d) {
      *reinterpret_cast<Floats2*>(out + 8 * d + 2 * (lane_index() % 4)) = {state.sums[d][2 * r] * inverse,
                                                                           state.sums[d][2 * r + 1] * inverse};
    }
  }
}

// fp16: the next block's keys and values come while this one's are used.
template <int kDim>
DEVICE void walk_halves(PromptState<kDim>& state, const HeadPages& pages, int tokens, bool has_head) {
  constexpr int kTileBytes = PromptTile<kDim>::kBytes;
  const auto tile = [](int buffer, int part) {
    return PromptTile<kDim>{shared_memory() + (2 * buffer + part) * kTileBytes};
  };
  begin_halves<kDim>(tile(0, 0), tile(0, 1), pages, {0, tokens});
#pragma unroll 1
  for (int first = 0; first < tokens; first += kPromptTokens) {
    const int buffer = first / kPromptTokens % 2;
    const int next = first + kPromptTokens;
    copy_async_wait<0>();
    sync_block();  // this block is there, and nobody uses the other buffer
    if (next < tokens) begin_halves<kDim>(tile(1 - buffer, 0), tile(1 - buffer, 1), pages, {next, tokens - next});
    if (has_head) attend_block<kDim>(state, tile(buffer, 0), tile(buffer, 1), first);
  }
}

// q8: the next block comes as it is while this one, made halves, is used.
template <int kDim>
DEVICE void walk_q8(PromptState<kDim>& state, const HeadPages& pages, int tokens, bool has_head) {
  constexpr int kTileBytes = PromptTile<kDim>::kBytes;
  const PromptTile<kDim> keys = {shared_memory()};
  const PromptTile<kDim> values = {shared_memory() + kTileBytes};
  const RawTile<kDim> raw = {shared_memory() + 2 * kTileBytes};
  begin_raw<kDim>(raw, pages, {0, tokens});
#pragma unroll 1
  for (int first = 0; first < tokens; first += kPromptTokens) {
    const int next = first + kPromptTokens;
    copy_async_wait<0>();
    sync_block();  // the raw block is there, and nobody uses the halves
    raw_to_halves<kDim, 0>(keys, raw, tokens - first);
    raw_to_halves<kDim, 1>(values, raw, tokens - first);
    sync_block();
    if (next < tokens) begin_raw<kDim>(raw, pages, {next, tokens - next});
    if (has_head) attend_block<kDim>(state, keys, values, first);
  }
}

template <int kDim>
DEVICE void attend_item(const AttendPromptArgs& args, const PromptItem& item) {
  const int queries = args.heads / args.kv_heads;
  const int query = block_z() * (kAttendPromptThreads / kWarp) + warp_index();
  const bool has_head = query < queries;
  const int head = block_y() * queries + (has_head ? query : 0);
  const HeadPages pages = head_pages(args.kv, args.rows, item.row, block_y());
  const int tokens = args.rows.positions[item.row + item.count - 1] + 1;
  PromptState<kDim> state = begin_rows<kDim>(args, item, head);
  if (args.kv.is_q8 != 0) {
    walk_q8<kDim>(state, pages, tokens, has_head);
  } else {
    walk_halves<kDim>(state, pages, tokens, has_head);
  }
  if (has_head) write_rows<kDim>(args, state, item, head);
}

DEVICE void attend_prompt(const AttendPromptArgs& args) {
  // Later rows see more tokens: the longest first leaves the short for the end.
  const PromptItem item = args.items[grid_x() - 1 - block_x()];
  let_next_begin();
  wait_for_previous();
  if (item.count == 0) return;
  if (args.head_dim == 128) {
    attend_item<128>(args, item);
  } else {
    attend_item<64>(args, item);
  }
}

}  // namespace dormouse::cuda
