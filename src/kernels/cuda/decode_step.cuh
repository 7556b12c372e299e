// All layers of one row in one launch: blocks that run together, with a barrier of the whole grid where a step's parts
// depend on each other. Each part is what matmul_one, attend_lone and combine_splits do, to the bit.
// Why: a step of one stream reads 2.2 GB in layers, 0.5 ms of an H200's memory, but as 180 launches takes 1.2 ms, since
// each waits for a chain of latencies with little in flight. Here a warp knows all the tiles it will multiply in the
// whole step, so copies of its next ones go on through every barrier (WeightStream): the memory rests only when a
// part's latencies take longer than the rings hold out. Strips are dealt to blocks one after the other through all
// products and layers, so that those which get one more of a small product get fewer of the next.
#pragma once

#include "kernels/cuda/attend_lone.cuh"
#include "kernels/cuda/attend_rows.cuh"
#include "kernels/cuda/step_ways.cuh"

namespace dormouse::cuda {

// Barriers of the grid. All threads of a block call these; between the two a block may do what depends on nobody.
class GridBarrier {
 public:
  DEVICE GridBarrier(std::uint32_t* arrivals, int barriers)
      : arrivals_(arrivals), all_(static_cast<std::uint32_t>(barriers * grid_x())) {}
  DEVICE void arrive() {
    sync_block();
    wanted_ += static_cast<std::uint32_t>(grid_x());
    if (thread_index() == 0) arrive_grid(arrivals_, all_);
  }
  DEVICE void wait() const {
    if (thread_index() == 0) await_grid(arrivals_, wanted_);
    sync_block();
  }

 private:
  std::uint32_t* arrivals_;
  std::uint32_t all_;
  std::uint32_t wanted_ = 0;
};

DEVICE int matrices_of(const StepProduct& product) {
  return product.epilogue == Epilogue::kSwiglu ? 2 : 1;
}
// Of a product whose first strip is dealt to block `base`.
DEVICE int first_strip(int base) {
  return (block_x() - base + grid_x()) % grid_x();
}
DEVICE int strips_here(const StepProduct& product, int base) {
  const int first = first_strip(base);
  return first < product.strips ? (product.strips - 1 - first) / grid_x() + 1 : 0;
}
DEVICE int base_after(const StepProduct& product, int base) {
  return (base + product.strips) % grid_x();
}

// What a slot of a ring holds. Units of a block in a product: strip by strip, matrix by matrix, tile by tile.
struct StepUnit {
  std::int32_t type;
  std::int32_t tile;
  std::int32_t unit;
};

// A warp's tiles of the whole step, in order; kSlots of them are under way or being used.
template <Coding coding>
class WeightStream {
  using Way = StepWay<coding>;
  static constexpr int kSlots = step_slots(coding);
  static_assert(Way::kTileBytes == step_tile_bytes(coding));

 public:
  DEVICE WeightStream(const DecodeStepArgs& args, unsigned char* rings)
      : args_(args), ring_(rings + warp_index() * step_ring_bytes(coding)) {
    if (args.layer_count > 0) begin_product();
    settle();
#pragma unroll 1
    for (int i = 0; i < kSlots; ++i) fetch();
  }
  // The next tile of this warp, when it is there: good until done().
  DEVICE const unsigned char* take(StepUnit& unit) const {
    copy_async_wait<kSlots - 1>();
    sync_warp();
    unit = *unit_of(slot_);
    return ring_ + slot_ * Way::kTileBytes;
  }
  DEVICE void done() {
    sync_warp();
    fetch();
  }

 private:
  DEVICE StepUnit* unit_of(int slot) const {
    return reinterpret_cast<StepUnit*>(ring_ + kSlots * Way::kTileBytes + 16 * slot);
  }
  // A copy into the slot that is free, which then is the last of the ring.
  DEVICE void fetch() {
    if (layer_ < args_.layer_count) {
      const StepProduct& product = args_.products[product_];
      const StepMatrix& matrix = args_.layers[layer_].matrices[product.first + matrix_ + part_];
      const std::uint8_t* from = matrix.weights + (strip_ - part_begin_) * matrix.strip_bytes;
      unsigned char* to = ring_ + slot_ * Way::kTileBytes;
      if (lane_index() == 0) *unit_of(slot_) = {matrix.type, tile_, unit_};
      Way::copy(to, from, tile_, static_cast<TensorType>(matrix.type));
      advance();
    }
    copy_async_commit();  // also of nothing: take() counts groups
    slot_ = slot_ + 1 == kSlots ? 0 : slot_ + 1;
  }
  DEVICE void advance() {
    unit_ += thread_count() / kWarp;
    tile_ += thread_count() / kWarp;
    settle();
  }
  // tile_ may be past the end of its row of tiles: then the unit is in a later matrix, strip, product or layer.
  DEVICE void settle() {
    while (layer_ < args_.layer_count) {
      const StepProduct& product = args_.products[product_];
      if (strip_ >= product.strips) {
        base_ = base_after(product, base_);
        product_ = product_ + 1 == kStepProducts ? 0 : product_ + 1;
        layer_ += product_ == 0 ? 1 : 0;
        if (layer_ < args_.layer_count) begin_product();
        continue;
      }
      if (tile_ < product.k / 256) return;
      tile_ -= product.k / 256;
      next_row();
    }
  }
  DEVICE void next_row() {
    const StepProduct& product = args_.products[product_];
    if (++matrix_ < matrices_of(product)) return;
    matrix_ = 0;
    strip_ += grid_x();
    find_part();
  }
  // Which of q, k and v the strip is of.
  DEVICE void find_part() {
    const StepProduct& product = args_.products[product_];
    if (product.epilogue != Epilogue::kStore) return;
    while (strip_ < product.strips) {
      const int end = part_begin_ + args_.layers[layer_].matrices[product.first + part_].strips;
      if (strip_ < end) return;
      part_begin_ = end;
      ++part_;
    }
  }
  DEVICE void begin_product() {
    strip_ = first_strip(base_);
    unit_ = tile_ = warp_index();
    matrix_ = part_ = part_begin_ = 0;
    find_part();
  }

  const DecodeStepArgs& args_;
  unsigned char* ring_;
  int slot_ = 0;
  int layer_ = 0;
  int product_ = 0;
  int base_ = 0;
  int strip_ = 0;
  int matrix_ = 0;
  int part_ = 0;
  int part_begin_ = 0;
  int tile_ = 0;
  int unit_ = 0;
};

// Shared memory of a product, in this order.
template <typename Block>
struct StepShared {
  Block* blocks;   // [tiles]
  float* partial;  // [units, 16]
  float* squares;  // [tiles]
};
template <typename Block>
DEVICE StepShared<Block> step_shared(const StepProduct& product, int strips) {
  const int tiles = product.k / 256;
  StepShared<Block> out;
  out.blocks = reinterpret_cast<Block*>(shared_memory());
  out.partial = reinterpret_cast<float*>(out.blocks + tiles);
  out.squares = out.partial + 16 * tiles * matrices_of(product) * strips;
  return out;
}

// Codes the row for the whole block, as code_for_warp() of one_row.cuh.
template <typename Way>
DEVICE void code_step_row(const StepShared<typename Way::Block>& shared, const StepProduct& product, const float* norm,
                          float epsilon) {
  const int tiles = product.k / 256;
  const int warps = thread_count() / kWarp;
  const auto load = [&](int tile) { return load_eight<MadeTogether>(product.in + 256 * tile + 8 * lane_index()); };
  const int first = warp_index() < tiles ? warp_index() : 0;
  Eight v = load(first);
  float inverse = 1.0F;
  if (norm != nullptr) {
    for (int tile = warp_index(); tile < tiles; tile += warps) {
      const float square = block_square(tile == first ? v : load(tile));
      if (lane_index() == 0) shared.squares[tile] = square;
    }
    sync_block();
    inverse = norm_inverse(shared.squares, product.k, epsilon);
  }
  for (int tile = warp_index(); tile < tiles; tile += warps) {
    if (norm != nullptr) {
      const Eight weight = load_eight(norm + 256 * tile + 8 * lane_index());
#pragma unroll
      for (int i = 0; i < 8; ++i) v.x[i] = v.x[i] * inverse * weight.x[i];
    }
    const Eight now = v;
    if (tile + warps < tiles) v = load(tile + warps);
    Way::code(shared.blocks[tile], now);
  }
  sync_block();
}

// Strip `index` of the block's, by one warp: lane l adds the tiles of row l % 16, lanes from 16 on those of the second
// matrix.
DEVICE void write_step_strip(const StepProduct& product, const float* partial, int base, int index, float before) {
  const int lane = lane_index();
  const int tiles = product.k / 256;
  const bool fused = product.epilogue == Epilogue::kSwiglu;
  const float* mine = partial + 16 * tiles * (matrices_of(product) * index + (fused ? lane / 16 : 0)) + lane % 16;
  float sum = 0;
#pragma unroll 8
  for (int tile = 0; tile < tiles; ++tile) sum += mine[16 * tile];
  if (fused) sum = swiglu(sum, shuffle_xor(sum, 16));
  if (lane >= 16) return;
  float* to = product.out + 16 * (first_strip(base) + index * grid_x()) + lane;
  *to = product.epilogue == Epilogue::kAdd ? before + sum : sum;
}

// One product of one layer, all of the block's strips of it.
template <Coding coding>
DEVICE void multiply_step(const StepProduct& product, const float* norm, float epsilon, int base,
                          WeightStream<coding>& stream) {
  using Way = StepWay<coding>;
  const LanePlace at = lane_place();
  const int warps = thread_count() / kWarp;
  const int strips = strips_here(product, base);
  const int units = strips * matrices_of(product) * (product.k / 256);
  const auto shared = step_shared<typename Way::Block>(product, strips);
  const auto before = [&](int index) {
    const float* from = product.out + 16 * (first_strip(base) + index * grid_x()) + lane_index() % 16;
    return product.epilogue == Epilogue::kAdd && index < strips ? load_fresh(from) : 0.0F;
  };
  const float first_before = before(warp_index());
  code_step_row<Way>(shared, product, norm, epsilon);
#pragma unroll 1
  for (int left = units - warp_index(); left > 0; left -= warps) {
    StepUnit unit;
    const unsigned char* tile = stream.take(unit);
    float* out = shared.partial + 16 * unit.unit;
    Way::multiply(out, tile, static_cast<TensorType>(unit.type), shared.blocks[unit.tile], at);
    stream.done();
  }
  sync_block();
#pragma unroll 1
  for (int index = warp_index(); index < strips; index += warps) {
    write_step_strip(product, shared.partial, base, index, index == warp_index() ? first_before : before(index));
  }
}

// The row's splits as attend_lone has them; then, where they are partials, as combine_splits. Comes after arrive() of
// the barrier before it, ends before that of the one behind it.
template <class Shape>
DEVICE void attend_step(const DecodeStepArgs& args, const AttendLoneArgs& attend, GridBarrier& barrier) {
  const RotateStoreArgs& step = attend.step;
  const int position = step.rows.positions[0];
  const int splits = splits_of(position + 1);
  const int block_splits = thread_count() / (kWarp * kLoneWarps);
  const int groups = attend.partials == nullptr ? 1 : (splits + block_splits - 1) / block_splits;
  bool has_waited = false;
  const auto wait = [&] {
    if (!has_waited) barrier.wait();
    has_waited = true;
  };
#pragma unroll 1
  for (int task = block_x(); task < step.kv_heads * groups; task += grid_x()) {
    if (has_waited) sync_block();  // the last task's shared memory is read
    attend_lone_row<Shape, MadeTogether>(attend, {0, task / groups, task % groups}, position, wait);
  }
  wait();
  if (attend.partials == nullptr) return;
  barrier.arrive();
  barrier.wait();
  const int queries = step.heads / step.kv_heads;
  const int chain = warp_index() % kSplitChains;
  unsigned char* shared = shared_memory() + warp_index() / kSplitChains * combine_splits_shared_bytes(step.head_dim);
  const int at_once = thread_count() / (kWarp * kSplitChains);
#pragma unroll 1
  for (int begin = block_x() * at_once; begin < step.heads; begin += grid_x() * at_once) {
    const int head = begin + warp_index() / kSplitChains;
    if (head < step.heads) {
      const CombineChain mine =
          combine_chain<MadeTogether>(args.combine, 0, head / queries, head % queries, splits, chain);
      share_chain(shared, mine, chain, step.head_dim);
    }
    sync_block();
    if (head < step.heads && chain == 0) combine_chains(attend.out + head * step.head_dim, shared, step.head_dim);
    sync_block();
  }
}

DEVICE void attend_step_of(const DecodeStepArgs& args, int layer, GridBarrier& barrier) {
  AttendLoneArgs attend = args.attend;
  attend.step.q_norm = args.layers[layer].q_norm;
  attend.step.k_norm = args.layers[layer].k_norm;
  attend.step.kv.layer = layer;
  const bool is_q8 = attend.step.kv.is_q8 != 0;
  if (attend.step.head_dim == 128) {
    is_q8 ? attend_step<SplitShape<128, true, false>>(args, attend, barrier)
          : attend_step<SplitShape<128, false, false>>(args, attend, barrier);
  } else {
    is_q8 ? attend_step<SplitShape<64, true, false>>(args, attend, barrier)
          : attend_step<SplitShape<64, false, false>>(args, attend, barrier);
  }
}

// Barriers of a layer: before attention, between its two parts, and before each of the other products; one more behind
// it, at which the last layer only arrives.
template <Coding coding>
DEVICE void decode_step(const DecodeStepArgs& args) {
  unsigned char* rings = shared_memory() + args.work_bytes;
  WeightStream<coding> stream(args, rings);
  GridBarrier barrier(args.arrivals,
                      args.layer_count * (kStepProducts + 1 + (args.attend.partials == nullptr ? 0 : 1)));
  wait_for_previous();
  int base = 0;
#pragma unroll 1
  for (int layer = 0; layer < args.layer_count; ++layer) {
#pragma unroll 1
    for (int p = 0; p < kStepProducts; ++p) {
      const StepProduct& product = args.products[p];
      const StepLayer& weights = args.layers[layer];
      const float* norm = p == 0 ? weights.attention_norm : p == 2 ? weights.ffn_norm : nullptr;
      multiply_step(product, norm, args.epsilon, base, stream);
      base = base_after(product, base);
      barrier.arrive();
      if (p == 0) {
        attend_step_of(args, layer, barrier);
        barrier.arrive();
      }
      if (layer + 1 < args.layer_count || p + 1 < kStepProducts) barrier.wait();
    }
  }
}

DEVICE void decode_step_k(const DecodeStepArgs& args) {
  decode_step<Coding::kK>(args);
}
DEVICE void decode_step_q8_0(const DecodeStepArgs& args) {
  decode_step<Coding::kQ8_0>(args);
}
DEVICE void decode_step_halves(const DecodeStepArgs& args) {
  decode_step<Coding::kHalves>(args);
}

}  // namespace dormouse::cuda
