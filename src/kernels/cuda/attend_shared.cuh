// A prefix that several sequences share, read once for the rows of a tile: what walk_row (attend_rows.cuh) has of a
// chain after the shared splits, which attend_rest goes on from. Each row's operations are those of compute_split and
// of the merges, in their order; only where an operand comes from differs. So a row's bits do not show who it shares
// with, or whether.
//
// A block brings a split's keys and values to shared memory as halves, and each of its warps multiplies them with eight
// columns: the queries of one row, or up to four of each of two. int8 keys are exact as halves; an int8 value times its
// scale is rounded to a half, as q8_value_step rounds it. Which of the 16 products of a step is added where decides
// bits, and is as in attend_split.cuh: keys by dimension, values by token. Which dimension of the result a row of a
// step stands for does not: values are rows g and g + 8 as ldmatrix brings them.
// Values arrive while keys are multiplied, and the next keys while values are: two barriers a split.
// Cost: of 32 KiB in shared memory a warp reads all, for two rows (head_dim 128, four queries): 128 cycles a row at 128
// bytes a cycle, beside 50 matrix products. attend_rows has a split of fp16 from memory in 1,500 cycles of an H200's
// multiprocessor (21 bytes a cycle), of q8 in 800; T4 7,000 and 3,700.
#pragma once

#include "kernels/cuda/attend_rows.cuh"

namespace dormouse::cuda {

template <int kHeadDim, bool kIsQ8, bool kIsWide>
struct SharedShape {
  static constexpr int kDim = kHeadDim;
  static constexpr bool kQ8 = kIsQ8;
  static constexpr bool kWide = kIsWide;
  using Columns = SplitShape<kDim, kQ8, true>;  // eight, all different
  static constexpr int kSteps = Columns::kSteps;
  static constexpr int kTiles = Columns::kTiles;
  static constexpr int kScaleGroups = kDim / 32;
};

// Shared memory, as attend_shared_shared_bytes() counts it.
template <class Shape>
struct SplitShared {
  DEVICE static unsigned char* keys() { return shared_memory(); }
  DEVICE static unsigned char* values() { return shared_memory() + kSplitTokens * shared_key_bytes(Shape::kDim); }
  // Of a token's 16 bytes. Of 16 values, tokens 4 i and 4 i + 1 come before 4 i + 2 and 4 i + 3: eight rows that
  // ldmatrix takes together are neighbours.
  DEVICE static unsigned char* key(int token, int chunk) {
    return keys() + token * shared_key_bytes(Shape::kDim) + 16 * chunk;
  }
  DEVICE static unsigned char* value(int token, int chunk) {
    const int row = token / 16 * 16 + token / 2 % 2 * 8 + token % 16 / 4 * 2 + token % 2;
    return values() + row * shared_value_bytes(Shape::kDim) + 16 * chunk;
  }
  // [64 tokens, kScaleGroups]
  DEVICE static float* key_scales() {
    return reinterpret_cast<float*>(values() + kSplitTokens * shared_value_bytes(Shape::kDim));
  }
  // This warp's. Queries: [2 (high, low), kSteps / 2][32 lanes].
  DEVICE static unsigned char* of_warp() {
    return shared_memory() + shared_split_bytes(Shape::kDim) + warp_index() * shared_warp_bytes(Shape::kDim);
  }
  DEVICE static Words4* queries() { return reinterpret_cast<Words4*>(of_warp()); }
  DEVICE static unsigned char* probabilities() { return of_warp() + Shape::Columns::kQueryBytes; }
  // [4][2 columns] of the chain: between two splits there is no register for them.
  DEVICE static SoftmaxState* states() { return reinterpret_cast<SoftmaxState*>(probabilities() + kProbabilityBytes); }
};

// A thread's share of a split's keys or values on their way to shared memory, in the background. int8 comes to where
// the first of the halves that the same thread makes of it will be.
template <class Shape>
struct Incoming {
  static constexpr int kRowPieces = kTokenBytes<Shape::kDim, Shape::kQ8> / 16;
  static constexpr int kPieces = kSplitTokens * kRowPieces / kAttendSharedThreads;
  std::uint32_t scales[kPieces];  // of q8. Keys: of both halves of a piece; values: of the piece

  // A thread's pieces are of tokens so far from each other.
  static constexpr int kStride = kAttendSharedThreads / kRowPieces;
  static_assert(kStride % 16 == 0);

  DEVICE static int token() { return thread_index() / kRowPieces; }
  DEVICE static int piece() { return thread_index() % kRowPieces; }
  DEVICE static unsigned char* to(bool is_value, int i, int chunk) {
    return is_value ? SplitShared<Shape>::value(token(), chunk) + i * kStride * shared_value_bytes(Shape::kDim)
                    : SplitShared<Shape>::key(token(), chunk) + i * kStride * shared_key_bytes(Shape::kDim);
  }

  // What a piece becomes: q8 two chunks, of keys four apart (key_place(): eight dimensions of one scale, eight of the
  // next), of values neighbours.
  DEVICE static int first_chunk(bool is_value) {
    if constexpr (!Shape::kQ8) return piece();
    return is_value ? 2 * piece() : piece() / 4 * 8 + piece() % 4;
  }

  DEVICE void begin(const HeadPages& pages, const SplitPlace& place, bool is_value) {
    const std::uint8_t* memory = pages.memory + (is_value ? pages.value_bytes : 0);
#pragma unroll
    for (int i = 0; i < kPieces; ++i) {
      const int first = token() + i * kStride % kPageTokens;  // token() is below kStride
      const bool is_second = kStride > kPageTokens ? token() >= kPageTokens : i * kStride >= kPageTokens;
      const int page = is_second ? place.page[1] : place.page[0];
      const int row = kStride > kPageTokens ? first % kPageTokens : first;
      const std::uint8_t* from = memory + page * pages.page_bytes;
      copy_async16(to(is_value, i, first_chunk(is_value)), from + row * 16 * kRowPieces + 16 * piece(), true);
      if constexpr (Shape::kQ8) {
        const std::uint8_t* scale = from + kPageTokens * Shape::kDim + row * kTokenScaleBytes<Shape::kDim>;
        scales[i] = is_value ? reinterpret_cast<const std::uint16_t*>(scale)[piece() / 2]
                             : reinterpret_cast<const std::uint32_t*>(scale)[piece() / 4];
      }
    }
    copy_async_commit();
  }

  // Eight int8 as a chunk of halves.
  DEVICE static Words4 halves(std::uint32_t a, std::uint32_t b) {
    const std::uint32_t w[2] = {a ^ kFlipSigns, b ^ kFlipSigns};
    return {int8_to_halves<kBytes01>(w[0]), int8_to_halves<kBytes23>(w[0]), int8_to_halves<kBytes01>(w[1]),
            int8_to_halves<kBytes23>(w[1])};
  }

  DEVICE void finish(bool is_value) {
    copy_async_wait<0>();
#pragma unroll
    for (int i = 0; Shape::kQ8 && i < kPieces; ++i) {
      unsigned char* first = to(is_value, i, first_chunk(is_value));
      const Words4 w = *reinterpret_cast<const Words4*>(first);
      const Words4 chunks[2] = {halves(w.x, w.y), halves(w.z, w.w)};
      const std::uint32_t scale = scales[i] | scales[i] << 16;
#pragma unroll
      for (int c = 0; c < 2; ++c) {
        const Words4& q = chunks[c];
        *reinterpret_cast<Words4*>(first + 16 * c * (is_value ? 1 : 4)) =
            is_value
                ? Words4{half2_mul(q.x, scale), half2_mul(q.y, scale), half2_mul(q.z, scale), half2_mul(q.w, scale)}
                : q;
      }
      if (is_value || piece() % 4 > 0) continue;
      float* key_scale =
          SplitShared<Shape>::key_scales() + (token() + i * kStride) * Shape::kScaleGroups + piece() / 4 * 2;
      key_scale[0] = low_half(scales[i]);
      key_scale[1] = high_half(scales[i]);
    }
  }
};

// Of the tile's members, and of its row, what a column of the warp stands for.
struct ColumnPlace {
  int member;
  int query;
};
template <class Shape>
DEVICE ColumnPlace column_place(int column) {
  if constexpr (Shape::kWide) return {warp_index(), column};
  return {2 * warp_index() + column / 4, column % 4};
}

// share_queries (attend_split.cuh) of the warp's eight columns: its arithmetic.
template <class Shape>
DEVICE void share_columns(const AttendSharedArgs& args, const SharedTile& tile) {
  const Lane lane;
  const ColumnPlace at = column_place<Shape>(lane.group);
  const bool is_there = at.member < tile.count && at.query < args.queries;
  const float* q = args.rows.q + 8 * lane.pair;
  if (is_there) {
    const std::int64_t row = args.rows.items[args.members[tile.begin + at.member]];
    q += row * args.rows.qkv_stride + (block_y() * args.queries + at.query) * Shape::kDim;
  }
  const float factor = args.rows.scale * kLog2OfE;
#pragma unroll 1
  for (int pair = 0; pair < Shape::kSteps / 2; ++pair) {
    std::uint32_t high[4];
    std::uint32_t low[4];
#pragma unroll
    for (int s = 0; s < 2; ++s) {
      Floats4 x = {0, 0, 0, 0};
      if (is_there) x = *reinterpret_cast<const Floats4*>(q + 32 * pair + 4 * s);
      x = {x.x * factor, x.y * factor, x.z * factor, x.w * factor};
      high[2 * s] = pack_halves(x.x, x.y);
      high[2 * s + 1] = pack_halves(x.z, x.w);
      low[2 * s] = pack_halves(x.x - low_half(high[2 * s]), x.y - high_half(high[2 * s]));
      low[2 * s + 1] = pack_halves(x.z - low_half(high[2 * s + 1]), x.w - high_half(high[2 * s + 1]));
    }
    Words4* mine = SplitShared<Shape>::queries() + pair * kWarp + lane_index();
    mine[0] = {high[0], high[1], high[2], high[3]};
    mine[Shape::kSteps / 2 * kWarp] = {low[0], low[1], low[2], low[3]};
  }
}

// Two steps of one tile with the high or the low parts of the queries.
DEVICE void two_steps(float (&scores)[4], const Words4& a, const Words4& b, const Words4& q) {
  mma_f16(scores, {a.x, b.x, a.y, b.y}, q.x, q.y);
  mma_f16(scores, {a.z, b.z, a.w, b.w}, q.z, q.w);
}
// The same of q8, whose scales multiply the sum.
DEVICE void add_scaled(float (&scores)[4], const float (&sums)[4], float scale_a, float scale_b) {
  scores[0] = fmaf(sums[0], scale_a, scores[0]);
  scores[1] = fmaf(sums[1], scale_a, scores[1]);
  scores[2] = fmaf(sums[2], scale_b, scores[2]);
  scores[3] = fmaf(sums[3], scale_b, scores[3]);
}

// multiply_keys of kCount tiles from `first` on. With up to four queries a row, high and low parts are summed apart and
// added last, as columns 4..7 are there; with more, each pair of steps adds both.
template <class Shape, int kCount>
DEVICE void shared_scores(float (&scores)[Shape::kTiles][4], int first) {
  const Lane lane;
  const Words4* queries = SplitShared<Shape>::queries() + lane_index();
  float low_scores[kCount][4] = {};
#pragma unroll
  for (int t = 0; t < kCount; ++t) {
    for (float& score : scores[first + t]) score = 0.0F;
  }
#pragma unroll 1
  for (int pair = 0; pair < Shape::kSteps / 2; ++pair) {
    const Words4 high = queries[pair * kWarp];
    const Words4 low = queries[(Shape::kSteps / 2 + pair) * kWarp];
#pragma unroll
    for (int t = 0; t < kCount; ++t) {
      const int token = 16 * (first + t) + lane.group;
      const unsigned char* key = SplitShared<Shape>::key(token, 4 * pair + lane.pair);
      const Words4 a = *reinterpret_cast<const Words4*>(key);
      const Words4 b = *reinterpret_cast<const Words4*>(key + 8 * shared_key_bytes(Shape::kDim));
      auto& mine = scores[first + t];
      auto& low_mine = Shape::kWide ? mine : low_scores[t];
      if constexpr (!Shape::kQ8) {
        two_steps(mine, a, b, high);
        two_steps(low_mine, a, b, low);
      } else {
        const float* scales = SplitShared<Shape>::key_scales() + token * Shape::kScaleGroups + pair;
        const float scale_a = scales[0];
        const float scale_b = scales[8 * Shape::kScaleGroups];
        float sums[4] = {0, 0, 0, 0};
        two_steps(sums, a, b, high);
        if constexpr (Shape::kWide) {
          two_steps(sums, a, b, low);
        } else {
          float rest[4] = {0, 0, 0, 0};
          two_steps(rest, a, b, low);
          add_scaled(low_mine, rest, scale_a, scale_b);
        }
        add_scaled(mine, sums, scale_a, scale_b);
      }
    }
  }
  if constexpr (!Shape::kWide) {
#pragma unroll
    for (int t = 0; t < kCount; ++t) {
#pragma unroll
      for (int i = 0; i < 4; ++i) scores[first + t][i] = scores[first + t][i] + low_scores[t][i];
    }
  }
}

// multiply_values of kCount steps from `first` on: sums[j] are dimensions 16 (first + j) + g and + 8 + g of the lane's
// two columns.
template <class Shape, int kCount>
DEVICE void shared_values(float (&sums)[kCount][4], const std::uint32_t (&p)[Shape::kTiles][2], int first) {
  // Matrix m of four: tokens 4 i and 4 i + 1 or the next two, dimensions 0..7 or 8..15 of a step.
  const int matrix = lane_index() / 8;
  const int row = lane_index() % 8 + 8 * (matrix / 2);
  const unsigned char* values =
      SplitShared<Shape>::values() + row * shared_value_bytes(Shape::kDim) + 16 * (matrix % 2) + 32 * first;
#pragma unroll
  for (int t = 0; t < Shape::kTiles; ++t) {
#pragma unroll
    for (int j = 0; j < kCount; ++j) {
      std::uint32_t a[4];
      ldmatrix_x4_trans(a, values + 16 * t * shared_value_bytes(Shape::kDim) + 32 * j);
      mma_f16(sums[j], a, p[t][0], p[t][1]);
    }
  }
}

// A warp's chain: of its columns 2 p and 2 p + 1.
template <class Shape>
struct SharedChain {
  float sums[Shape::kSteps][4];

  DEVICE void start() {
    const SoftmaxState states[2] = {no_tokens(), no_tokens()};
    put_states(states);
#pragma unroll
    for (int j = 0; j < Shape::kSteps; ++j) {
      for (float& sum : sums[j]) sum = 0.0F;
    }
  }

  DEVICE static void put_states(const SoftmaxState (&states)[2]) {
    const Lane lane;
    if (lane.group > 0) return;  // all have the same
    SplitShared<Shape>::states()[2 * lane.pair] = states[0];
    SplitShared<Shape>::states()[2 * lane.pair + 1] = states[1];
  }

  // From the split's scores on; a barrier between two calls. A few dimensions at a time: registers.
  DEVICE void add(float (&scores)[Shape::kTiles][4]) {
    constexpr std::uint32_t kOnes = 0x3C003C00U;
    constexpr int kAtOnce = 4;
    std::uint32_t p[Shape::kTiles][2];
    float maxima[2];
    float weights[4] = {0, 0, 0, 0};
    probabilities<typename Shape::Columns>(p, maxima, scores, kSplitTokens, SplitShared<Shape>::probabilities());
#pragma unroll
    for (int t = 0; t < Shape::kTiles; ++t) mma_f16(weights, {kOnes, kOnes, kOnes, kOnes}, p[t][0], p[t][1]);
    const SoftmaxState* before = SplitShared<Shape>::states() + 2 * (lane_index() % 4);
    SoftmaxState states[2] = {before[0], before[1]};
    const MergeFactors factors[2] = {merge(states[0], {maxima[0], weights[0]}),
                                     merge(states[1], {maxima[1], weights[1]})};
    sync_warp();  // all have read them
    put_states(states);
#pragma unroll
    for (int first = 0; first < Shape::kSteps; first += kAtOnce) {
      float part[kAtOnce][4] = {};
      shared_values<Shape, kAtOnce>(part, p, first);
#pragma unroll
      for (int j = 0; j < kAtOnce; ++j) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          float& sum = sums[first + j][i];
          sum = fmaf(sum, factors[i % 2].before, part[j][i] * factors[i % 2].part);
        }
      }
    }
  }

  DEVICE void write(const AttendSharedArgs& args) {
    const SharedTile tile = args.tiles[block_x()];  // again: the walk has no register for it
    const Lane lane;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const ColumnPlace at = column_place<Shape>(2 * lane.pair + i);
      if (at.member >= tile.count || at.query >= args.queries) continue;
      const std::int64_t item = args.members[tile.begin + at.member];
      const std::int64_t chain = (item * args.rows.kv_heads + block_y()) * kSplitChains + block_z();
      float* partial = args.rows.partials + (chain * args.queries + at.query) * partial_floats(Shape::kDim);
#pragma unroll
      for (int j = 0; j < Shape::kSteps; ++j) {
        partial[16 * j + lane.group] = sums[j][i];
        partial[16 * j + 8 + lane.group] = sums[j][2 + i];
      }
      if (lane.group > 0) continue;
      const SoftmaxState state = SplitShared<Shape>::states()[2 * lane.pair + i];
      partial[Shape::kDim] = state.maximum;
      partial[Shape::kDim + 1] = state.weight;
    }
  }
};

DEVICE int splits_of_chain(int splits) {
  return (splits - block_z() + kSplitChains - 1) / kSplitChains;
}

template <class Shape>
DEVICE void attend_tile(const AttendSharedArgs& args) {
  const SharedTile tile = args.tiles[block_x()];
  if (block_z() >= tile.splits) return;
  const int row = args.rows.items[args.members[tile.begin]];
  HeadPages pages = head_pages(args.rows.kv, args.rows.rows, row, block_y());
  const bool has_rows = warp_index() < args.warps && column_place<Shape>(0).member < tile.count;
  SplitPlace here = SplitPlace::of(pages, block_z(), kSplitTokens);
  Incoming<Shape> incoming;
  incoming.begin(pages, here, false);
  if (has_rows) share_columns<Shape>(args, tile);
  SharedChain<Shape> chain;
  if (has_rows) chain.start();
  incoming.finish(false);
  sync_block();
#pragma unroll 1
  for (int left = splits_of_chain(tile.splits); left > 0; --left) {
    float scores[Shape::kTiles][4];
    incoming.begin(pages, here, true);
    pages.pages += kSplitChains * (kSplitTokens / kPageTokens);
    if (left > 1) here = SplitPlace::of(pages, block_z(), kSplitTokens);
    if (has_rows) {
      shared_scores<Shape, 2>(scores, 0);
      shared_scores<Shape, 2>(scores, 2);
    }
    incoming.finish(true);
    sync_block();  // the values are there, the keys are read
    if (left > 1) incoming.begin(pages, here, false);
    if (has_rows) chain.add(scores);
    if (left > 1) incoming.finish(false);
    sync_block();  // the other way round
  }
  if (has_rows) chain.write(args);
}

template <int kDim, bool kQ8>
DEVICE void attend_tile_queries(const AttendSharedArgs& args) {
  if (args.queries > 4) {
    attend_tile<SharedShape<kDim, kQ8, true>>(args);
  } else {
    attend_tile<SharedShape<kDim, kQ8, false>>(args);
  }
}

DEVICE void attend_shared(const AttendSharedArgs& args) {
  let_next_begin();
  wait_for_previous();
  if (args.rows.head_dim == 128) {
    if (args.rows.kv.is_q8 != 0) {
      attend_tile_queries<128, true>(args);
    } else {
      attend_tile_queries<128, false>(args);
    }
  } else {
    if (args.rows.kv.is_q8 != 0) {
      attend_tile_queries<64, true>(args);
    } else {
      attend_tile_queries<64, false>(args);
    }
  }
}

}  // namespace dormouse::cuda
