// Products with one activation row, a decode step of one stream: what the kernels matmul_one_* share. A block takes one
// strip of 16 weight rows after the other (kSwiglu: of gate and of up), a warp every one_warps()th tile of them. Few
// strips a block: room beside them for blocks of the next kernel; but a row is coded once for them all. A warp codes
// the 256 activations its tile meets for itself: but for the norm's sum no warp waits for another before the end.
// Limit: memory. What a block reads first is asked for before the kernel that makes the activations has ended: the
// first tiles to registers, what follows them to L2.
//
// How tiles of a type are multiplied is a struct (OneK, OneQ8, OneHalves): a warp's tile in registers. It says
//   Block           256 coded activations in shared memory, a multiple of 16 bytes
//   code()          a warp codes a block, eight neighbouring values a lane
//   kBytes          of a tile
//   kHeadBytes      of shared memory that each warp has for itself
//   kAsksForStrips  true: a strip goes to L2 while the one before it is multiplied. false: a tile does, as two strips
//                   for every block are more than an L2 holds; of the first tile, what is behind kEarlyBytes
//   load()          the first tile
//   begin()         the sums of the loaded tile, as far as they come before the next one takes its registers
//   take()          the next tile, if there is one
//   end()           the tile's t of 16 rows
#pragma once

#include "kernels/cuda/coding.cuh"
#include "kernels/cuda/matmul_tile.cuh"

namespace dormouse::cuda {

// Times this, four signed bytes are added.
inline constexpr std::uint32_t kOnes = 0x01010101U;

// A lane's eight values as signed bytes, in order.
DEVICE Words2 signed_bytes(const Eight& v, float inverse) {
  // 1.5 * 2^23 rounds to an integer, which is then the low byte. A row of scale 0 or NaN may hold anything: no codes.
  std::uint32_t bits[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) bits[i] = float_to_bits(v.x[i] * inverse + 12582912.0F);
  std::uint32_t word[2];
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const std::uint32_t low = permute_bytes(bits[4 * i], bits[4 * i + 1], 0x0040);
    const std::uint32_t high = permute_bytes(bits[4 * i + 2], bits[4 * i + 3], 0x0040);
    word[i] = inverse == 0.0F ? 0 : permute_bytes(low, high, 0x5410);
  }
  return {word[0], word[1]};
}

// Shared memory, in this order.
template <typename Way>
struct OneShared {
  typename Way::Block* blocks;  // [tiles]
  float* norm;                  // [k], kNorm
  float* partial;               // [2, matrices, tiles, 16]
  unsigned char* heads;         // [Way::kHeadBytes], the warp's own
  float* squares;               // [tiles], kNorm
};
template <typename Way>
DEVICE OneShared<Way> one_shared(const MatmulArgs& args, int matrices) {
  const int tiles = args.k / 256;
  OneShared<Way> out;
  out.blocks = reinterpret_cast<typename Way::Block*>(shared_memory());
  out.norm = reinterpret_cast<float*>(out.blocks + tiles);
  out.partial = out.norm + (args.input == Input::kNorm ? args.k : 0);
  auto* heads = reinterpret_cast<unsigned char*>(out.partial + 32 * matrices * tiles);
  out.heads = heads + Way::kHeadBytes * warp_index();
  out.squares = reinterpret_cast<float*>(heads + Way::kHeadBytes / kWarp * thread_count());
  return out;
}

// Every lane copies what it reads itself.
DEVICE void copy_norm(float* to, const MatmulArgs& args) {
  for (int column = 8 * thread_index(); column < args.k; column += 8 * thread_count()) {
    copy_async16(to + column, args.norm + column, true);
    copy_async16(to + column + 4, args.norm + column + 4, true);
  }
  copy_async_commit();
}

// Codes the blocks of the warp's tiles. All warps of a block come here where there is a norm.
template <typename Way>
DEVICE void code_for_warp(const OneShared<Way>& shared, const MatmulArgs& args) {
  const int tiles = args.k / 256;
  const int warps = thread_count() / kWarp;
  const bool has_norm = args.input == Input::kNorm;
  const auto load = [&](int tile) { return load_eight(args.x + 256 * tile + 8 * lane_index()); };
  Eight v = load(warp_index());
  float inverse = 1.0F;
  if (has_norm) {
    for (int tile = warp_index(); tile < tiles; tile += warps) {
      const float square = block_square(tile == warp_index() ? v : load(tile));
      if (lane_index() == 0) shared.squares[tile] = square;
    }
    copy_async_wait<0>();
    sync_block();
    inverse = norm_inverse(shared.squares, args.k, args.epsilon);
  }
  for (int tile = warp_index(); tile < tiles; tile += warps) {
    if (has_norm) {
      const Eight weight = load_eight(shared.norm + 256 * tile + 8 * lane_index());
#pragma unroll
      for (int i = 0; i < 8; ++i) v.x[i] = v.x[i] * inverse * weight.x[i];
    }
    const Eight now = v;
    if (tile + warps < tiles) v = load(tile + warps);
    Way::code(shared.blocks[tile], now);
  }
  sync_warp();
}

// The first warp's end: lane l adds the tiles of row l % 16, lanes from 16 on those of the second matrix.
DEVICE void one_results(const MatmulArgs& args, const MatrixPart& out, int strip, const float* partial, int tiles,
                        float before) {
  const int lane = lane_index();
  const bool fused = args.epilogue == Epilogue::kSwiglu;
  const float* mine = partial + (fused ? lane / 16 * tiles * 16 : 0) + lane % 16;
  float sum = 0;
#pragma unroll 8
  for (int tile = 0; tile < tiles; ++tile) sum += mine[16 * tile];
  if (fused) sum = swiglu(sum, shuffle_xor(sum, 16));
  const int row = 16 * strip + lane;
  if (lane < 16 && row < out.rows) out.out[row] = args.epilogue == Epilogue::kAdd ? before + sum : sum;
}
// What a strip's results are added to, asked for before they are there.
DEVICE float one_before(const MatmulArgs& args, const MatrixPart& out, int strip) {
  const int row = 16 * strip + lane_index() % 16;
  return args.epilogue == Epilogue::kAdd && warp_index() == 0 && row < out.rows ? out.out[row] : 0.0F;
}

// Where a warp is: which tile of which matrix of which strip.
struct OneUnit {
  int strip;
  int tile;
  int matrix;
};
DEVICE OneUnit after(OneUnit unit, int matrices, int tiles, int warps) {
  if (++unit.matrix < matrices) return unit;
  unit.matrix = 0;
  unit.tile += warps;
  if (unit.tile < tiles) return unit;
  return {unit.strip + 1, warp_index(), 0};
}

template <typename Way>
DEVICE void one_row(const MatmulArgs& args, StripPlace place) {
  const LanePlace at = lane_place();
  const int tiles = args.k / 256;
  const int matrices = args.epilogue == Epilogue::kSwiglu ? 2 : 1;
  const int warps = thread_count() / kWarp;
  const OneShared<Way> shared = one_shared<Way>(args, matrices);
  const MatrixPart& part = args.parts[place.part];
  const int end = place.strip + args.strips_a_block < part.strips ? place.strip + args.strips_a_block : part.strips;
  const auto bytes_of = [&](const OneUnit& unit) {
    const MatrixPart& from = args.parts[place.part + unit.matrix];
    return from.weights + unit.strip * from.strip_bytes + std::int64_t{unit.tile} * Way::kBytes;
  };
  const auto ask_for_strip = [&](int strip) {
    if (lane_index() != 0 || strip >= end) return;
#pragma unroll 1
    for (OneUnit unit{strip, warp_index(), 0}; unit.strip == strip; unit = after(unit, matrices, tiles, warps)) {
      prefetch_bytes(bytes_of(unit), Way::kBytes);
    }
  };
  const auto ask_for_tile = [&](const OneUnit& unit, int from) {
    if (lane_index() == 0 && unit.strip < end) prefetch_bytes(bytes_of(unit) + from, Way::kBytes - from);
  };
  OneUnit now{place.strip, warp_index(), 0};
  Way way = Way::load(bytes_of(now), at);
  if (args.input == Input::kNorm) copy_norm(shared.norm, args);
  if constexpr (Way::kAsksForStrips) {
    ask_for_strip(place.strip);
  } else {
    ask_for_tile(now, Way::kEarlyBytes);
    ask_for_tile(after(now, matrices, tiles, warps), 0);
  }
  let_next_begin();
  wait_for_previous();
  float before = one_before(args, part, now.strip);
  code_for_warp(shared, args);
  float* partial = shared.partial;
  float* other = partial + 16 * matrices * tiles;
  while (now.strip < end) {
    if constexpr (Way::kAsksForStrips) {
      if (now.tile == warp_index() && now.matrix == 0) ask_for_strip(now.strip + 1);
    }
    float* out = partial + 16 * (now.matrix * tiles + now.tile);
    const typename Way::Block& block = shared.blocks[now.tile];
    typename Way::Sums sums = way.begin(block, shared.heads, at);
    const OneUnit next = after(now, matrices, tiles, warps);
    sync_warp();  // the next tile's loads stay below: they take this one's registers
    if (next.strip < end) way.take(bytes_of(next), at);
    way.end(out, sums, block, at);
    if constexpr (!Way::kAsksForStrips) ask_for_tile(after(next, matrices, tiles, warps), 0);
    if (next.strip != now.strip) {
      // The first warp adds up while the others are at the next strip, whose results go to the other place.
      sync_block();
      if (warp_index() == 0) {
        one_results(args, part, now.strip, partial, tiles, before);
        if (next.strip < end) before = one_before(args, part, next.strip);
      }
      float* const free = partial;
      partial = other;
      other = free;
    }
    now = next;
  }
}

}  // namespace dormouse::cuda
