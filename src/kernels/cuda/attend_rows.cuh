// Attention of generated rows: splits of 64 tokens by warps (attend_split.cuh), merged in a fixed order
// (split_merge.cuh).
#pragma once

#include "kernels/cuda/attend_split.cuh"

namespace dormouse::cuda {

// A lane's share of a split: columns 2 p and 2 p + 1 of the queries.
template <class Shape>
struct SplitResult {
  float sums[Shape::kSteps][4];
  SoftmaxState state[2];
};

// Computes one split. kAhead units are under way while one is multiplied; on entry the first kAhead of this split are,
// on return those of `next`.
template <class Shape, int kAhead>
DEVICE void compute_split(SplitResult<Shape>& result, Unit (&ring)[kAhead + 1], const Words4* queries,
                          const LaneBytes<Shape>& bytes, const SplitPlace& place, const SplitPlace& next,
                          unsigned char* exchange) {
  static_assert(Shape::kUnits % (kAhead + 1) == 0);
  constexpr std::uint32_t kOnes = 0x3C003C00U;
  float scores[Shape::kTiles][4] = {};
  std::uint32_t p[Shape::kTiles][2];
  float maxima[2];
  float weights[4] = {0, 0, 0, 0};  // of the rounded probabilities, as the sums are
#pragma unroll
  for (int u = 0; u < Shape::kUnits; ++u) {
    const int ahead = u + kAhead;
    Unit& free_unit = ring[ahead % (kAhead + 1)];
    if (ahead < Shape::kUnits) {
      load_unit<Shape>(free_unit, bytes, place, ahead);
    } else {
      load_unit<Shape>(free_unit, bytes, next, ahead - Shape::kUnits);
    }
    const Unit& unit = ring[u % (kAhead + 1)];
    const int tile = u / Shape::kParts % Shape::kTiles;
    if (u < Shape::kUnits / 2) {
      multiply_keys<Shape>(scores[tile], unit, queries, u % Shape::kParts);
      continue;
    }
    if (u == Shape::kUnits / 2) {
      probabilities<Shape>(p, maxima, scores, place.left, exchange);
#pragma unroll
      for (int j = 0; j < Shape::kSteps; ++j) {
        for (float& sum : result.sums[j]) sum = 0.0F;
      }
    }
    if (u % Shape::kParts == 0) mma_f16(weights, {kOnes, kOnes, kOnes, kOnes}, p[tile][0], p[tile][1]);
    multiply_values<Shape>(result.sums, unit, p[tile], u % Shape::kParts);
  }
  result.state[0] = {maxima[0], weights[0]};
  result.state[1] = {maxima[1], weights[1]};
}

// A slot is four neighbouring dimensions of one query. Not wide, lanes p and p + 2 have the same two queries: each
// takes half of the dimensions.
struct SlotPlace {
  int query;
  int dim;
};
template <class Shape>
DEVICE SlotPlace slot_place(int lane, int slot) {
  const int pair = lane % 4;
  const int column = 2 * pair + slot % 2;
  const int quad = slot / 2 + (!Shape::kWide && pair >= 2 ? Shape::kSlots / 2 : 0);
  return {Shape::kWide ? column : column % 4, value_dim<Shape>(lane / 4, 4 * quad)};
}
template <class Shape>
DEVICE Floats4 slot_sums(const SplitResult<Shape>& result, int slot) {
  const int i = slot % 2;
  const int at = slot / 2 * 2;
  if constexpr (!Shape::kWide) {
    if (lane_index() % 4 >= 2) {
      const auto& a = result.sums[at + Shape::kSlots];
      const auto& b = result.sums[at + 1 + Shape::kSlots];
      return {a[i], a[2 + i], b[i], b[2 + i]};
    }
  }
  const auto& a = result.sums[at];
  const auto& b = result.sums[at + 1];
  return {a[i], a[2 + i], b[i], b[2 + i]};
}

// attend_rows, attend_splits, attend_rest.
enum class RowWay { kWalk, kSplit, kRest };

struct RowPlace {
  int row;
  int queries;
  HeadPages pages;
  int split;  // the warp's first
  SplitPlace first;
};
DEVICE RowPlace row_place(const AttendRowsArgs& args, int row, int split) {
  const HeadPages pages = head_pages(args.kv, args.rows, row, block_y());
  const int left = args.rows.positions[row] + 1 - split * kSplitTokens;
  return {row, args.heads / args.kv_heads, pages, split, SplitPlace::of(pages, split, left)};
}
DEVICE const float* queries_of(const AttendRowsArgs& args, const RowPlace& place) {
  return args.q + std::int64_t{place.row} * args.qkv_stride + block_y() * place.queries * args.head_dim;
}

// The four chains of a block, one a warp, into the row's output. chains: [4][8 columns]; slots: [4][kSlots][32 lanes].
template <class Shape>
DEVICE void write_row(const AttendRowsArgs& args, int queries, const SoftmaxState* chains, const Floats4* slots) {
  // Read again: the walk has no register for it.
  const std::int64_t row = args.items[block_x()];
  float* out = args.out + (row * args.heads + block_y() * queries) * Shape::kDim;
  for (int slot = warp_index(); slot < Shape::kSlots; slot += kSplitChains) {
    const SlotPlace at = slot_place<Shape>(lane_index(), slot);
    SoftmaxState states[kSplitChains];
#pragma unroll
    for (int c = 0; c < kSplitChains; ++c) states[c] = chains[8 * c + at.query];
    const ChainFactors factors = chain_factors(states);
    Floats4 sums = {0, 0, 0, 0};
#pragma unroll
    for (int c = 0; c < kSplitChains; ++c) {
      add_chain(sums, slots[(c * Shape::kSlots + slot) * kWarp + lane_index()], factors.of[c]);
    }
    if (at.query < queries) *reinterpret_cast<Floats4*>(out + at.query * Shape::kDim + at.dim) = sums;
  }
}

// attend_rest: the warp's first split behind the shared ones.
DEVICE int first_private_split(int shared, int chain) {
  return shared <= chain ? chain : chain + (shared - chain + kSplitChains - 1) / kSplitChains * kSplitChains;
}
// The warp's chain as attend_shared left it.
template <class Shape>
DEVICE void take_chain(Floats4* my_slots, SoftmaxState (&states)[2], const AttendRowsArgs& args, int queries) {
  const std::int64_t item = std::int64_t{block_x()} * args.kv_heads + block_y();
  const float* partials = args.partials + (item * kSplitChains + warp_index()) * queries * partial_floats(Shape::kDim);
#pragma unroll
  for (int s = 0; s < Shape::kSlots; ++s) {
    const SlotPlace at = slot_place<Shape>(lane_index(), s);
    if (at.query >= queries) continue;
    const float* partial = partials + at.query * partial_floats(Shape::kDim);
    my_slots[s * kWarp] = *reinterpret_cast<const Floats4*>(partial + at.dim);
    if (s < 2) states[s] = {partial[Shape::kDim], partial[Shape::kDim + 1]};
  }
}

template <class Shape, RowWay kWay>
DEVICE void walk_row(const AttendRowsArgs& args, const RowPlace& place) {
  constexpr int kAhead = 1;
  auto* queries = reinterpret_cast<Words4*>(shared_memory());
  unsigned char* exchanges = shared_memory() + Shape::kQueryBytes;
  unsigned char* exchange = exchanges + warp_index() * kProbabilityBytes;
  auto* slots = reinterpret_cast<Floats4*>(exchanges + kSplitChains * kProbabilityBytes);
  auto* chains = reinterpret_cast<SoftmaxState*>(slots + kSplitChains * Shape::kSlots * kWarp);
  Floats4* my_slots = slots + warp_index() * Shape::kSlots * kWarp + lane_index();
#pragma unroll
  for (int s = 0; s < Shape::kSlots; ++s) my_slots[s * kWarp] = {0, 0, 0, 0};
  SoftmaxState states[2] = {no_tokens(), no_tokens()};
  if constexpr (kWay == RowWay::kRest) {
    if (place.split >= kSplitChains) take_chain<Shape>(my_slots, states, args, place.queries);
  }
  SplitPlace here = place.first;
  const auto bytes = LaneBytes<Shape>::of(place.pages);
  Unit ring[kAhead + 1] = {};
#pragma unroll
  for (int u = 0; u < kAhead; ++u) load_unit<Shape>(ring[u], bytes, here, u);
  share_queries<Shape>(queries, queries_of(args, place), place.queries, args.scale);
  sync_block();
#pragma unroll 1
  for (int split = place.split; here.left > 0; split += kSplitChains) {
    const SplitPlace next = SplitPlace::of(place.pages, split + kSplitChains, here.left - kSplitChains * kSplitTokens);
    SplitResult<Shape> result;
    compute_split<Shape, kAhead>(result, ring, queries, bytes, here, next, exchange);
    const MergeFactors factors[2] = {merge(states[0], result.state[0]), merge(states[1], result.state[1])};
#pragma unroll
    for (int s = 0; s < Shape::kSlots; ++s) merge_sums(my_slots[s * kWarp], slot_sums(result, s), factors[s % 2]);
    here = next;
  }
  if (lane_index() < 4) {
    chains[8 * warp_index() + 2 * lane_index()] = states[0];
    chains[8 * warp_index() + 2 * lane_index() + 1] = states[1];
  }
  sync_block();
  write_row<Shape>(args, place.queries, chains, slots);
}

template <class Shape>
DEVICE void store_split(const AttendRowsArgs& args, const RowPlace& place) {
  constexpr int kAhead = 7;  // a warp alone has only its own loads to hide their time
  auto* queries = reinterpret_cast<Words4*>(shared_memory());
  const auto bytes = LaneBytes<Shape>::of(place.pages);
  Unit ring[kAhead + 1] = {};
#pragma unroll
  for (int u = 0; u < kAhead; ++u) load_unit<Shape>(ring[u], bytes, place.first, u);
  share_queries<Shape>(queries, queries_of(args, place), place.queries, args.scale);
  sync_block();
  SplitResult<Shape> result;
  compute_split<Shape, kAhead>(result, ring, queries, bytes, place.first, SplitPlace{},
                               shared_memory() + Shape::kQueryBytes);
  const std::int64_t first =
      ((std::int64_t{block_x()} * args.kv_heads + block_y()) * args.max_splits + place.split) * place.queries;
  float* partials = args.partials + first * partial_floats(Shape::kDim);
#pragma unroll
  for (int s = 0; s < Shape::kSlots; ++s) {
    const SlotPlace at = slot_place<Shape>(lane_index(), s);
    if (at.query >= place.queries) continue;
    float* partial = partials + at.query * partial_floats(Shape::kDim);
    *reinterpret_cast<Floats4*>(partial + at.dim) = slot_sums(result, s);
    if (at.dim == 0) {
      partial[Shape::kDim] = result.state[s % 2].maximum;
      partial[Shape::kDim + 1] = result.state[s % 2].weight;
    }
  }
}

template <int kDim, bool kQ8, RowWay kWay>
DEVICE void attend_row(const AttendRowsArgs& args, const RowPlace& place) {
  if constexpr (kWay == RowWay::kSplit) {
    if (place.first.left <= 0) return;
    if (place.queries > 4) {
      store_split<SplitShape<kDim, kQ8, true>>(args, place);
    } else {
      store_split<SplitShape<kDim, kQ8, false>>(args, place);
    }
  } else {
    if (place.queries > 4) {
      walk_row<SplitShape<kDim, kQ8, true>, kWay>(args, place);
    } else {
      walk_row<SplitShape<kDim, kQ8, false>, kWay>(args, place);
    }
  }
}

template <RowWay kWay>
DEVICE int first_split(const AttendRowsArgs& args) {
  if constexpr (kWay == RowWay::kRest) return first_private_split(args.shared_splits[block_x()], warp_index());
  return kWay == RowWay::kSplit ? block_z() : warp_index();
}
template <RowWay kWay>
DEVICE void attend_any_row(const AttendRowsArgs& args) {
  // What StepRows promises may be read before the previous kernel ends.
  const int row = args.items[block_x()];
  const RowPlace place = row_place(args, row < 0 ? 0 : row, first_split<kWay>(args));
  let_next_begin();
  wait_for_previous();
  if (row < 0) return;
  if (args.head_dim == 128) {
    if (args.kv.is_q8 != 0) {
      attend_row<128, true, kWay>(args, place);
    } else {
      attend_row<128, false, kWay>(args, place);
    }
  } else {
    if (args.kv.is_q8 != 0) {
      attend_row<64, true, kWay>(args, place);
    } else {
      attend_row<64, false, kWay>(args, place);
    }
  }
}

DEVICE void attend_rows(const AttendRowsArgs& args) {
  attend_any_row<RowWay::kWalk>(args);
}
DEVICE void attend_rest(const AttendRowsArgs& args) {
  attend_any_row<RowWay::kRest>(args);
}
DEVICE void attend_splits(const AttendRowsArgs& args) {
  attend_any_row<RowWay::kSplit>(args);
}

// A warp per chain; a lane has four dimensions (of head_dim 64: half of the lanes).
struct CombineChain {
  SoftmaxState state;
  Floats4 sums;
};
template <class Made>
DEVICE CombineChain combine_chain(const CombineSplitsArgs& args, int item, int kv_head, int query, int splits,
                                  int chain) {
  const int queries = args.heads / args.kv_heads;
  const std::int64_t first = (std::int64_t{item} * args.kv_heads + kv_head) * args.max_splits * queries + query;
  const float* partials = args.partials + first * partial_floats(args.head_dim);
  const std::int64_t stride = std::int64_t{queries} * partial_floats(args.head_dim);
  const int dim = 4 * lane_index();
  CombineChain out = {no_tokens(), {0, 0, 0, 0}};
#pragma unroll 4
  for (int split = chain; split < splits; split += kSplitChains) {
    const float* partial = partials + split * stride;
    const SoftmaxState part = {Made::load(partial + args.head_dim), Made::load(partial + args.head_dim + 1)};
    const Floats4 part_sums = Made::load(reinterpret_cast<const Floats4*>(partial + (dim < args.head_dim ? dim : 0)));
    merge_sums(out.sums, part_sums, merge(out.state, part));
  }
  return out;
}

// combine_splits_shared_bytes(): a warp's chain goes to the first warp, `shared` is theirs.
DEVICE void share_chain(unsigned char* shared, const CombineChain& mine, int chain, int head_dim) {
  const int quads = head_dim / 4;
  auto* sums = reinterpret_cast<Floats4*>(shared);
  auto* states = reinterpret_cast<SoftmaxState*>(sums + kSplitChains * quads);
  if (lane_index() < quads) sums[chain * quads + lane_index()] = mine.sums;
  if (lane_index() == 0) states[chain] = mine.state;
}
DEVICE void combine_chains(float* out, const unsigned char* shared, int head_dim) {
  const int quads = head_dim / 4;
  if (lane_index() >= quads) return;
  const auto* sums = reinterpret_cast<const Floats4*>(shared);
  const auto* chains = reinterpret_cast<const SoftmaxState*>(sums + kSplitChains * quads);
  SoftmaxState states[kSplitChains];
#pragma unroll
  for (int c = 0; c < kSplitChains; ++c) states[c] = chains[c];
  const ChainFactors factors = chain_factors(states);
  Floats4 all = {0, 0, 0, 0};
#pragma unroll
  for (int c = 0; c < kSplitChains; ++c) add_chain(all, sums[c * quads + lane_index()], factors.of[c]);
  reinterpret_cast<Floats4*>(out)[lane_index()] = all;
}

DEVICE void combine_splits(const CombineSplitsArgs& args) {
  const int row = args.items[block_x()];
  const int splits = splits_of(args.rows.positions[row < 0 ? 0 : row] + 1);
  let_next_begin();
  wait_for_previous();
  if (row < 0) return;
  share_chain(shared_memory(), combine_chain<MadeBefore>(args, block_x(), block_y(), block_z(), splits, warp_index()),
              warp_index(), args.head_dim);
  sync_block();
  if (warp_index() > 0) return;
  const std::int64_t head = std::int64_t{row} * args.heads + block_y() * (args.heads / args.kv_heads) + block_z();
  combine_chains(args.out + head * args.head_dim, shared_memory(), args.head_dim);
}

}  // namespace dormouse::cuda
