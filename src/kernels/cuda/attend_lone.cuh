// Attention of lone generated rows, from the products' queries, keys and values on, in one launch. With one row all is
// latency, so a split has four warps instead of one: each has 16 tokens of the first product and 32 dimensions of the
// second, with the operations of attend_split.cuh in their order. What earlier steps stored is under way before the
// previous kernel ends; the new token's key and value never come from the cache: the warps that make them leave them in
// shared memory as the cache would have them.
// After the wait: a load, a norm, three barriers between the products' parts, and one before the splits are merged.
#pragma once

#include "kernels/cuda/attend_split.cuh"
#include "kernels/cuda/rotate_store.cuh"

namespace dormouse::cuda {

// Of 64 tokens, a warp's 32 dimensions: in q8 they have one scale. Lane (g, p) has tokens 4 p + 0..3 of 16, and of each
// the dimensions 4 g + 0..3.
inline constexpr int kLoneDims = 32;
template <class Shape>
struct LoneValues {
  static constexpr int kWords = Shape::kQ8 ? 1 : 2;
  std::uint32_t words[Shape::kTiles][4][kWords];
  std::uint32_t scales[Shape::kTiles][4];
};

// `row` and `scales` are a token's, from the warp's and the lane's first byte on.
template <class Shape>
DEVICE void load_value_row(std::uint32_t (&words)[LoneValues<Shape>::kWords], std::uint32_t& scale,
                           const TokenBytes& from) {
  if constexpr (Shape::kQ8) {
    words[0] = *reinterpret_cast<const std::uint32_t*>(from.row);
    scale = *reinterpret_cast<const std::uint16_t*>(from.scales);
  } else {
    const Words2 both = *reinterpret_cast<const Words2*>(from.row);
    words[0] = both.x;
    words[1] = both.y;
  }
}
template <class Shape>
DEVICE TokenBytes lane_values(const TokenBytes& token, int part) {
  constexpr int kBytes = Shape::kQ8 ? 1 : 2;
  return {token.row + kBytes * (kLoneDims * part + 4 * Lane().group), token.scales + 2 * part};
}

// A block's work: neighbouring splits of one KV head of a row.
struct LoneBlock {
  int row;
  int head;
  int group;  // of splits
};

// Where a warp works. `left` as in SplitPlace; the tokens before the new one are old.
struct LonePlace {
  int split;  // of the block's
  int part;   // tile of the first product, 32 dimensions of the second
  int left;
};

template <class Shape>
DEVICE void load_old(Unit (&keys)[Shape::kParts], LoneValues<Shape>& values, const HeadPages& pages,
                     const SplitPlace& old, int part) {
  const auto bytes = LaneBytes<Shape>::of(pages);
#pragma unroll
  for (int u = 0; u < Shape::kParts; ++u) load_keys<Shape>(keys[u], bytes, old, part, u);
  if (part >= Shape::kDim / kLoneDims) return;
  const Lane lane;
  std::uint8_t* values_of_0 = const_cast<std::uint8_t*>(pages.memory) + pages.value_bytes;
#pragma unroll
  for (int t = 0; t < Shape::kTiles; ++t) {
    const std::int64_t page = old.page[t / 2] * pages.page_bytes;
    const TokenBytes first =
        lane_values<Shape>(token_bytes<Shape::kDim, Shape::kQ8>(values_of_0 + page, 4 * lane.pair), part);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (16 * t + i >= old.left - 4 * lane.pair) continue;
      const int token = 16 * (t % 2) + i;
      const TokenBytes from = {first.row + token * Shape::kRowBytes,
                               first.scales + token * kTokenScaleBytes<Shape::kDim>};
      load_value_row<Shape>(values.words[t][i], values.scales[t][i], from);
    }
  }
}

// Shared memory, as attend_lone_shared_bytes() counts it.
template <class Shape>
struct LoneShared {
  static constexpr int kQueries = Shape::kWide ? kMostQueries : 4;

  DEVICE static unsigned char* queries() { return shared_memory(); }
  DEVICE static TokenBytes new_token(bool is_value) {
    unsigned char* at = shared_memory() + Shape::kQueryBytes + (is_value ? lone_token_bytes(Shape::kDim) : 0);
    return {at, at + Shape::kRowBytes};
  }
  DEVICE static unsigned char* probabilities(int split) {
    return shared_memory() + Shape::kQueryBytes + 2 * lone_token_bytes(Shape::kDim) +
           split * lone_split_bytes(Shape::kDim, kQueries);
  }
  // [kLoneWarps][8 columns]
  DEVICE static float* maxima(int split) { return reinterpret_cast<float*>(probabilities(split) + kProbabilityBytes); }
  // [8 columns]
  DEVICE static SoftmaxState* states(int split) {
    return reinterpret_cast<SoftmaxState*>(maxima(split) + 8 * kLoneWarps);
  }
  // [kQueries, kDim / 4]
  DEVICE static Floats4* sums(int split) { return reinterpret_cast<Floats4*>(states(split) + 8); }
};

// share_queries (attend_split.cuh) from where norm and rotation leave a query: a dimension at a time.
template <class Shape>
DEVICE void share_query_value(float x, int query, int dim) {
  const std::uint16_t high = float_to_half(x);
  const std::uint16_t low = float_to_half(x - half_to_float(high));
  const int at = (dim / 32 * kWarp + dim % 32 / 8) * 16 + dim % 8 * 2;
  unsigned char* to = LoneShared<Shape>::queries() + at;
  constexpr int kLow = Shape::kWide ? Shape::kSteps / 2 * kWarp * 16 : 4 * 4 * 16;
  *reinterpret_cast<std::uint16_t*>(to + 4 * query * 16) = high;
  *reinterpret_cast<std::uint16_t*>(to + 4 * query * 16 + kLow) = low;
}
// Columns without a query; others write the rest.
template <class Shape>
DEVICE void clear_columns(int queries) {
  auto* words = reinterpret_cast<Words4*>(LoneShared<Shape>::queries());
#pragma unroll 1
  for (int i = thread_index(); i < Shape::kQueryBytes / 16; i += thread_count()) {
    if (i % kWarp / 4 % LoneShared<Shape>::kQueries >= queries) words[i] = {0, 0, 0, 0};
  }
}

// Head `task` of the block's: its queries, then the key, then the value.
template <class Shape, class Made>
DEVICE void prepare_head(const AttendLoneArgs& args, const LoneBlock& block, const Rotation<Shape::kDim>& rotation,
                         int task, int queries) {
  constexpr int kDim = Shape::kDim;
  using Part = HeadLane<kDim>;
  const RotateStoreArgs& step = args.step;
  const float* from = task < queries    ? step.q + (block.head * queries + task) * kDim
                      : task == queries ? step.k + block.head * kDim
                                        : step.v + block.head * kDim;
  from += std::int64_t{block.row} * step.qkv_stride;
  float x[Part::kSums];
#pragma unroll
  for (int j = 0; j < Part::kSums; ++j) x[j] = Made::load(from + lane_index() % 16 + 16 * j);
  Part lane = take_pairs<kDim>(x);
  if (task <= queries) norm_and_rotate<kDim>(lane, x, rotation, step.epsilon);
  if (task >= queries) {
    store_head<kDim, Shape::kQ8>(lane, LoneShared<Shape>::new_token(task > queries), task == queries);
    return;
  }
  const float factor = args.scale * kLog2OfE;
#pragma unroll
  for (int k = 0; k < Part::kPairs; ++k) {
    share_query_value<Shape>(lane.low[k] * factor, task, lane.first + 16 * k);
    share_query_value<Shape>(lane.high[k] * factor, task, lane.first + 16 * k + kDim / 2);
  }
}

template <int kDim>
DEVICE Rotation<kDim> rotation_of(const RotateStoreArgs& step, bool is_query, int position) {
  return Rotation<kDim>::of(first_pair<kDim>(), is_query ? step.q_norm : step.k_norm,
                            step.rope + std::int64_t{position} * kDim);
}

// The new token's key and value into the page, by one warp.
template <class Shape>
DEVICE void store_new_token(const RotateStoreArgs& step, int kv_head, int position, int page) {
  const bool is_value = lane_index() >= 16;
  const int lane = lane_index() % 16;
  const TokenBytes from = LoneShared<Shape>::new_token(is_value);
  std::uint8_t* head = step.kv.memory + page * step.kv.page_bytes + step.kv.layer * step.kv.layer_bytes +
                       kv_head * step.kv.head_bytes + (is_value ? step.kv.value_bytes : 0);
  const TokenBytes to = token_bytes<Shape::kDim, Shape::kQ8>(head, position % kPageTokens);
  if (lane < Shape::kRowBytes / 16) {
    reinterpret_cast<Words4*>(to.row)[lane] = reinterpret_cast<const Words4*>(from.row)[lane];
  }
  if constexpr (Shape::kQ8) {
    if (lane >= kTokenScaleBytes<Shape::kDim> / 2) return;
    reinterpret_cast<std::uint16_t*>(to.scales)[lane] = reinterpret_cast<const std::uint16_t*>(from.scales)[lane];
  }
}

// The new token among the warp's keys and values: whoever has its place takes it from shared memory.
template <class Shape>
DEVICE void take_new_key(Unit (&keys)[Shape::kParts], const LonePlace& at) {
  const Lane lane;
  const TokenBytes key = LoneShared<Shape>::new_token(false);
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    if (16 * at.part + 8 * r + lane.group != at.left - 1) continue;
#pragma unroll
    for (int u = 0; u < Shape::kParts; ++u) {
#pragma unroll
      for (int c = 0; c < Shape::kKeyWords; ++c) {
        keys[u].data[2 * r + c] = *reinterpret_cast<const Words4*>(key.row + 16 * lane.pair + 64 * (2 * u + c));
      }
      if constexpr (Shape::kQ8) load_key_scales<Shape>(keys[u], r, key.scales);
    }
  }
}
template <class Shape>
DEVICE void take_new_value(LoneValues<Shape>& values, const LonePlace& at) {
  const Lane lane;
  std::uint32_t words[LoneValues<Shape>::kWords];
  std::uint32_t scale = 0;
  load_value_row<Shape>(words, scale, lane_values<Shape>(LoneShared<Shape>::new_token(true), at.part));
#pragma unroll
  for (int t = 0; t < Shape::kTiles; ++t) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (16 * t + i != at.left - 1 - 4 * lane.pair) continue;
#pragma unroll
      for (int w = 0; w < LoneValues<Shape>::kWords; ++w) values.words[t][i][w] = words[w];
      values.scales[t][i] = scale;
    }
  }
}

// The second product: a split's sums of 32 dimensions, and from the first warp the state.
template <class Shape>
DEVICE void sum_values(const LoneValues<Shape>& values, const LonePlace& at, const float (&maxima)[2]) {
  constexpr std::uint32_t kOnes = 0x3C003C00U;
  const Lane lane;
  std::uint32_t p[Shape::kTiles][2];
  take_probabilities<Shape>(p, LoneShared<Shape>::probabilities(at.split));
  float sums[2][4] = {};
  float weights[4] = {0, 0, 0, 0};
#pragma unroll
  for (int t = 0; t < Shape::kTiles; ++t) {
    const auto& words = values.words[t];
    if constexpr (Shape::kQ8) {
      const auto& s = values.scales[t];
      q8_value_word(sums[0], sums[1], {words[0][0], words[1][0], words[2][0], words[3][0]},
                    {s[0] | s[1] << 16, s[2] | s[3] << 16}, p[t]);
    } else {
      half_value_word(sums[0], {words[0][0], words[1][0], words[2][0], words[3][0]}, p[t]);
      half_value_word(sums[1], {words[0][1], words[1][1], words[2][1], words[3][1]}, p[t]);
    }
    mma_f16(weights, {kOnes, kOnes, kOnes, kOnes}, p[t][0], p[t][1]);
  }
  if (at.part == 0 && lane.group == 0) {
    SoftmaxState* states = LoneShared<Shape>::states(at.split) + 2 * lane.pair;
    states[0] = {maxima[0], weights[0]};
    states[1] = {maxima[1], weights[1]};
  }
  constexpr int kQuads = Shape::kDim / 4;
  Floats4* to = LoneShared<Shape>::sums(at.split) + kLoneDims / 4 * at.part + lane.group;
  const Floats4 first = {sums[0][0], sums[0][2], sums[1][0], sums[1][2]};
  const Floats4 second = {sums[0][1], sums[0][3], sums[1][1], sums[1][3]};
  if constexpr (Shape::kWide) {
    to[2 * lane.pair * kQuads] = first;
    to[(2 * lane.pair + 1) * kQuads] = second;
  } else if (lane.pair < 2) {
    // Lanes p and p + 2 have the same two queries: each writes one.
    to[2 * lane.pair * kQuads] = first;
  } else {
    to[(2 * lane.pair - 3) * kQuads] = second;
  }
}

// The block's splits, each a chain of its own, into the row's output: what write_row of attend_rows.cuh makes of them.
template <class Shape>
DEVICE void write_whole(const AttendLoneArgs& args, const LoneBlock& block, int queries, int tokens) {
  constexpr int kQuads = Shape::kDim / 4;
  const std::int64_t head = std::int64_t{block.row} * args.step.heads + block.head * queries;
#pragma unroll 1
  for (int i = thread_index(); i < queries * kQuads; i += thread_count()) {
    SoftmaxState states[kSplitChains];
    Floats4 sums[kSplitChains];
#pragma unroll
    for (int c = 0; c < kSplitChains; ++c) {
      states[c] = no_tokens();
      sums[c] = {0, 0, 0, 0};
      if (c * kSplitTokens >= tokens) continue;
      const MergeFactors factors = merge(states[c], LoneShared<Shape>::states(c)[i / kQuads]);
      merge_sums(sums[c], LoneShared<Shape>::sums(c)[i], factors);
    }
    const ChainFactors factors = chain_factors(states);
    Floats4 out = {0, 0, 0, 0};
#pragma unroll
    for (int c = 0; c < kSplitChains; ++c) add_chain(out, sums[c], factors.of[c]);
    reinterpret_cast<Floats4*>(args.out + head * Shape::kDim)[i] = out;
  }
}
// The block's splits as partials: what store_split of attend_rows.cuh writes.
template <class Shape>
DEVICE void write_partials(const AttendLoneArgs& args, const LoneBlock& block, int queries, int first_split,
                           int splits) {
  constexpr int kQuads = Shape::kDim / 4;
  const std::int64_t row = std::int64_t{block.row} * args.step.kv_heads + block.head;
  const std::int64_t first = (row * args.max_splits + first_split) * queries;
#pragma unroll 1
  for (int i = thread_index(); i < splits * queries * kQuads; i += thread_count()) {
    const int split = i / (queries * kQuads);
    const int query = i / kQuads % queries;
    const int quad = i % kQuads;
    float* partial = args.partials + (first + split * queries + query) * partial_floats(Shape::kDim);
    reinterpret_cast<Floats4*>(partial)[quad] = LoneShared<Shape>::sums(split)[query * kQuads + quad];
    if (quad > 0) continue;
    const SoftmaxState state = LoneShared<Shape>::states(split)[query];
    partial[Shape::kDim] = state.maximum;
    partial[Shape::kDim + 1] = state.weight;
  }
}

// Both products of the warps that have tokens; all warps of the block come to its two barriers.
template <class Shape>
DEVICE void attend_block(Unit (&keys)[Shape::kParts], LoneValues<Shape>& values, const LonePlace& at) {
  const Lane lane;
  float scores[4] = {0, 0, 0, 0};
  float maxima[2] = {minus_infinity(), minus_infinity()};
  float* shared_maxima = LoneShared<Shape>::maxima(at.split) + 2 * lane.pair;
  if (at.left > 0) {
    take_new_key<Shape>(keys, at);
#pragma unroll
    for (int u = 0; u < Shape::kParts; ++u) {
      multiply_keys<Shape>(scores, keys[u], reinterpret_cast<const Words4*>(LoneShared<Shape>::queries()), u);
    }
    finish_scores<Shape>(scores, maxima, at.part, at.left);
    share_maxima(maxima);
    if (lane.group < 2) shared_maxima[8 * at.part + lane.group] = lane.group == 0 ? maxima[0] : maxima[1];
    take_new_value<Shape>(values, at);
  }
  sync_block();
  if (at.left > 0) {
#pragma unroll
    for (int w = 0; w < kLoneWarps; ++w) {
      maxima[0] = fmaxf(maxima[0], shared_maxima[8 * w]);
      maxima[1] = fmaxf(maxima[1], shared_maxima[8 * w + 1]);
    }
    put_probabilities(LoneShared<Shape>::probabilities(at.split), scores, maxima, at.part);
  }
  sync_block();
  if (at.left > 0 && at.part < Shape::kDim / kLoneDims) sum_values<Shape>(values, at, maxima);
}

// `wait` returns when the products are there.
template <class Shape, class Made, typename Wait>
DEVICE void attend_lone_row(const AttendLoneArgs& args, const LoneBlock& block, int position, const Wait& wait) {
  const RotateStoreArgs& step = args.step;
  const int warps = thread_count() / kWarp;
  const int queries = step.heads / step.kv_heads;
  const int splits = warps / kLoneWarps;
  const int first_split = block.group * splits;
  const int tokens = position + 1 - first_split * kSplitTokens;  // from the block's first on
  const bool has_new = tokens > 0 && tokens <= splits * kSplitTokens;
  const int split = warp_index() / kLoneWarps;
  const LonePlace at = {split, warp_index() % kLoneWarps, tokens - split * kSplitTokens};
  const HeadPages pages = head_pages(step.kv, step.rows, block.row, block.head);
  const SplitPlace old = SplitPlace::of(pages, first_split + at.split, at.left - 1);
  Unit keys[Shape::kParts] = {};
  LoneValues<Shape> values = {};
  load_old<Shape>(keys, values, pages, old, at.part);
  const int page = pages.pages[position / kPageTokens];
  Rotation<Shape::kDim> rotation = rotation_of<Shape::kDim>(step, warp_index() < queries, position);
  clear_columns<Shape>(queries);
  wait();
  if (tokens <= 0) return;
#pragma unroll 1
  for (int task = warp_index(); task < queries + (has_new ? 2 : 0);) {
    prepare_head<Shape, Made>(args, block, rotation, task, queries);
    task += warps;
    if (task < queries + 2) rotation = rotation_of<Shape::kDim>(step, task < queries, position);
  }
  sync_block();
  attend_block<Shape>(keys, values, at);
  sync_block();
  if (args.partials == nullptr) {
    write_whole<Shape>(args, block, queries, tokens);
  } else {
    const int present = splits_of(tokens);
    write_partials<Shape>(args, block, queries, first_split, present < splits ? present : splits);
  }
  if (has_new && warp_index() == warps - 1) store_new_token<Shape>(step, block.head, position, page);
}

template <int kDim, bool kQ8>
DEVICE void attend_lone_queries(const AttendLoneArgs& args, int position) {
  const LoneBlock block = {block_x(), block_y(), block_z()};
  const auto wait = [] { wait_for_previous(); };
  if (args.step.heads / args.step.kv_heads > 4) {
    attend_lone_row<SplitShape<kDim, kQ8, true>, MadeBefore>(args, block, position, wait);
  } else {
    attend_lone_row<SplitShape<kDim, kQ8, false>, MadeBefore>(args, block, position, wait);
  }
}

DEVICE void attend_lone(const AttendLoneArgs& args) {
  let_next_begin();
  const int position = args.step.rows.positions[block_x()];
  if (args.step.head_dim == 128) {
    if (args.step.kv.is_q8 != 0) {
      attend_lone_queries<128, true>(args, position);
    } else {
      attend_lone_queries<128, false>(args, position);
    }
  } else {
    if (args.step.kv.is_q8 != 0) {
      attend_lone_queries<64, true>(args, position);
    } else {
      attend_lone_queries<64, false>(args, position);
    }
  }
}

}  // namespace dormouse::cuda
