// Products with one activation row: a decode step of one stream. A block takes one strip of 16 weight rows after the
// other (kSwiglu: of gate and of up), a warp every one_warps()th tile of them. Few strips a block: room beside them for
// blocks of the next kernel; but a row is coded once for them all. Sums are of integers, by dot products of four bytes:
// a third of the instructions the tensor cores' way needs for one row, and the same bits (matmul_args.h). A warp codes
// the 256 activations its tile meets for itself: but for the norm's sum no warp waits for another before the end.
// Limit: memory. All of a block's bytes are asked for before the kernel that makes the activations has ended: the first
// tile's to registers, the others' to L2.
#pragma once

#include "kernels/cuda/coding.cuh"
#include "kernels/cuda/matmul_few.cuh"
#include "kernels/cuda/tiles.cuh"

namespace dormouse::cuda {

// Sums of a lane's two rows over its columns: of scale * q * code, and of minimum * code.
struct RowSums {
  int sum[2];
  int least[2];
};
// 256 coded activations in shared memory. `pad`: a multiple of 16 bytes.
struct alignas(16) OneBlock {
  unsigned char codes[4 * kOnePartBytes];  // a part of 64 every kOnePartBytes
  int sums32[8];
  float scale;
  int pad[3];
};
static_assert(sizeof(OneBlock) == kOneBlockBytes);

// Times this, four signed bytes are added.
inline constexpr std::uint32_t kOnes = 0x01010101U;

DEVICE int byte_of(std::uint32_t word, int which) {
  return static_cast<int>(word >> (8 * which) & 0xFF);
}
DEVICE int signed_byte_of(std::uint32_t word, int which) {
  return static_cast<int>(word << (24 - 8 * which)) >> 24;
}

DEVICE std::uint32_t shared_u16(const unsigned char* at) {
  return *reinterpret_cast<const std::uint16_t*>(at);
}

// d and dmin of row 2g + t % 2, as halves.
struct OneScales {
  std::uint32_t d, dmin;
};

// A tile in a warp's registers. What lies in it by rows and groups, `head`, goes by shared memory to the lanes that
// need it: 256 bytes a warp, `heads`.
template <TensorType type>
struct OneTile;

// A lane takes rows 2g, 2g + 1 of part t: whole groups, so that a scale meets one sum.
template <>
struct OneTile<TensorType::kQ4_K> {
  Words2 nibbles[8];
  Words2 head;  // the lane's eight bytes of d, dmin and the six-bit scales

  DEVICE static OneTile load(const std::uint8_t* tile, LanePlace at) {
    OneTile out;
    const std::uint8_t* from = tile + 256 + 512 * at.t + 8 * at.g;
#pragma unroll
    for (int i = 0; i < 8; ++i) out.nibbles[i] = load_rows(from + 64 * i);
    out.head = load_rows(tile + 8 * lane_index());
    return out;
  }
  DEVICE OneScales scales(const unsigned char* heads, LanePlace at) const {
    const unsigned char* d = heads + 4 * at.g + 2 * (at.t % 2);
    return {shared_u16(d), shared_u16(d + 32)};
  }
  DEVICE RowSums sums(const OneBlock& block, const unsigned char* heads, LanePlace at) const {
    int dot[2][2] = {};  // [half][row]; 16 times the sum where the nibbles are the high ones
#pragma unroll
    for (int quarter = 0; quarter < 2; ++quarter) {
      const unsigned char* from = block.codes + kOnePartBytes * at.t + 16 * quarter;
      const Words4 low = *reinterpret_cast<const Words4*>(from);
      const Words4 high = *reinterpret_cast<const Words4*>(from + 32);
      const std::uint32_t code[2][4] = {{low.x, low.y, low.z, low.w}, {high.x, high.y, high.z, high.w}};
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const Words2 w = nibbles[4 * quarter + i];
        dot[0][0] = dp4a(w.x & 0x0F0F0F0FU, code[0][i], dot[0][0]);
        dot[0][1] = dp4a(w.y & 0x0F0F0F0FU, code[0][i], dot[0][1]);
        dot[1][0] = dp4a(w.x & 0xF0F0F0F0U, code[1][i], dot[1][0]);
        dot[1][1] = dp4a(w.y & 0xF0F0F0F0U, code[1][i], dot[1][1]);
      }
    }
    RowSums out{};
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const unsigned char* z = heads + 64 + 32 * (at.t % 2) + 16 * h + 2 * at.g;
      const std::uint32_t z0 = shared_u16(z);
      const std::uint32_t z1 = shared_u16(z + 64);
      const std::uint32_t z2 = shared_u16(z + 128);
      const std::uint32_t spread = (z0 >> 6 & 0x0303) | (z1 >> 4 & 0x0C0C) | (z2 >> 2 & 0x3030);
      const std::uint32_t minima = at.t < 2 ? z2 & 0x3F3F : spread;
      const std::uint32_t scale = (at.t < 2 ? z0 : z1) & 0x3F3F;
#pragma unroll
      for (int row = 0; row < 2; ++row) {
        out.sum[row] += byte_of(scale, row) * (h == 0 ? dot[h][row] : dot[h][row] >> 4);
        out.least[row] += byte_of(minima, row) * block.sums32[2 * at.t + h];
      }
    }
    return out;
  }
};

// Bits of four quads share a byte of the pairs: a lane takes columns 8t .. 8t + 7 of every group, as in tiles.cuh.
template <>
struct OneTile<TensorType::kQ6_K> {
  Words2 nibbles[8];
  Words2 pairs[4];
  Words2 head;  // the lane's eight bytes of the scales
  std::uint32_t d;

  DEVICE static OneTile load(const std::uint8_t* tile, LanePlace at) {
    OneTile out;
    const std::uint8_t* from = tile + 288 + 128 * at.t + 8 * at.g;
#pragma unroll
    for (int i = 0; i < 8; ++i) out.nibbles[i] = load_rows(from + 512 * (i / 2) + 64 * (i % 2));
    const std::uint8_t* high = tile + 2336 + 128 * at.t + 8 * at.g;
#pragma unroll
    for (int i = 0; i < 4; ++i) out.pairs[i] = load_rows(high + 512 * (i / 2) + 64 * (i % 2));
    out.head = load_rows(tile + 32 + 8 * lane_index());
    out.d = load_u16(tile + 4 * at.g + 2 * (at.t % 2));
    return out;
  }
  DEVICE OneScales scales(const unsigned char*, LanePlace) const {
    return {d, 0};
  }
  DEVICE RowSums sums(const OneBlock& block, const unsigned char* heads, LanePlace at) const {
    RowSums out{};
#pragma unroll
    for (int group = 0; group < 8; ++group) {
      const int p = group / 2;
      const int h = group % 2;
      const Words2 code = *reinterpret_cast<const Words2*>(block.codes + kOnePartBytes * p + 32 * h + 8 * at.t);
      const std::uint32_t scale = shared_u16(heads + 16 * (at.t / 2) + 2 * at.g + 32 * group);
      const int bias = -32 * dp4a(kOnes, code.x, dp4a(kOnes, code.y, 0));
      int dot[2] = {bias, bias};
#pragma unroll
      for (int m = 0; m < 2; ++m) {
        const Words2 w = nibbles[2 * p + m];
        const Words2 b = pairs[2 * h + m];
        const std::uint32_t a = m == 0 ? code.x : code.y;
        dot[0] = dp4a((w.x >> (4 * h) & 0x0F0F0F0FU) | (b.x >> (2 * p) & 0x03030303U) << 4, a, dot[0]);
        dot[1] = dp4a((w.y >> (4 * h) & 0x0F0F0F0FU) | (b.y >> (2 * p) & 0x03030303U) << 4, a, dot[1]);
      }
#pragma unroll
      for (int row = 0; row < 2; ++row) out.sum[row] += signed_byte_of(scale, row) * dot[row];
    }
    return out;
  }
};

// The two rows' sums over the four lanes that share them; a lane keeps that of row t % 2.
DEVICE int sum_of_four(const int (&sum)[2], LanePlace at) {
  const int mine = at.t % 2 == 0 ? sum[0] : sum[1];
  const int other = at.t % 2 == 0 ? sum[1] : sum[0];
  const int both = mine + shuffle_xor(other, 1);
  return both + shuffle_xor(both, 2);
}

// The tile's t of row 2g + t % 2.
template <TensorType type>
DEVICE float one_fold(const RowSums& sums, OneScales scales, float da, LanePlace at) {
  const float d = half_to_float(static_cast<std::uint16_t>(scales.d));
  const float t = fmaf(d * da, static_cast<float>(sum_of_four(sums.sum, at)), 0.0F);
  if constexpr (!Tile<type>::kHasMinima) return t;
  const float dmin = half_to_float(static_cast<std::uint16_t>(scales.dmin));
  return fmaf(-dmin * da, static_cast<float>(sum_of_four(sums.least, at)), t);
}

// Codes 256 values as code_block does for matmul_few.
DEVICE void code_for_one(OneBlock& out, const Eight& v) {
  const int lane = lane_index();
  const Scaling s = int8_scaling(largest_bits(v, kWarp));
  // 1.5 * 2^23 rounds to an integer, which is then the low byte. A row of scale 0 or NaN may hold anything: no codes.
  std::uint32_t bits[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) bits[i] = float_to_bits(v.x[i] * s.inverse + 12582912.0F);
  std::uint32_t word[2];
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const std::uint32_t low = permute_bytes(bits[4 * i], bits[4 * i + 1], 0x0040);
    const std::uint32_t high = permute_bytes(bits[4 * i + 2], bits[4 * i + 3], 0x0040);
    word[i] = s.inverse == 0.0F ? 0 : permute_bytes(low, high, 0x5410);
  }
  int sum = dp4a(kOnes, word[0], dp4a(kOnes, word[1], 0));
  *reinterpret_cast<Words2*>(out.codes + kOnePartBytes * (lane / 8) + 8 * (lane % 8)) = {word[0], word[1]};
  sum += shuffle_xor(sum, 1);
  sum += shuffle_xor(sum, 2);
  if (lane % 4 == 0) out.sums32[lane / 4] = sum;
  if (lane == 0) out.scale = s.scale;
}

// Shared memory, in this order.
struct OneShared {
  OneBlock* blocks;      // [tiles]
  float* norm;           // [k], kNorm
  float* partial;        // [2, matrices, tiles, 16]
  unsigned char* heads;  // [256], the warp's own
  float* squares;        // [tiles], kNorm
};
DEVICE OneShared one_shared(const MatmulArgs& args, int matrices) {
  const int tiles = args.k / 256;
  OneShared out;
  out.blocks = reinterpret_cast<OneBlock*>(shared_memory());
  out.norm = reinterpret_cast<float*>(out.blocks + tiles);
  out.partial = out.norm + (args.input == Input::kNorm ? args.k : 0);
  auto* heads = reinterpret_cast<unsigned char*>(out.partial + 32 * matrices * tiles);
  out.heads = heads + 256 * warp_index();
  out.squares = reinterpret_cast<float*>(heads + 8 * thread_count());
  return out;
}

// Every lane copies what it reads itself.
DEVICE void copy_norm(const OneShared& shared, const MatmulArgs& args) {
  for (int column = 8 * thread_index(); column < args.k; column += 8 * thread_count()) {
    copy_async16(shared.norm + column, args.norm + column, true);
    copy_async16(shared.norm + column + 4, args.norm + column + 4, true);
  }
  copy_async_commit();
}

// Codes the blocks of the warp's tiles. All warps of a block come here where there is a norm.
DEVICE void code_for_warp(const OneShared& shared, const MatmulArgs& args) {
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
    code_for_one(shared.blocks[tile], now);
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

template <TensorType type>
DEVICE void one_of(const MatmulArgs& args, StripPlace place) {
  const LanePlace at = lane_place();
  const int tiles = args.k / 256;
  const int matrices = args.epilogue == Epilogue::kSwiglu ? 2 : 1;
  const int warps = thread_count() / kWarp;
  const OneShared shared = one_shared(args, matrices);
  const MatrixPart& part = args.parts[place.part];
  const int end = place.strip + args.strips_a_block < part.strips ? place.strip + args.strips_a_block : part.strips;
  const auto bytes_of = [&](const OneUnit& unit) {
    const MatrixPart& from = args.parts[place.part + unit.matrix];
    return from.weights + unit.strip * from.strip_bytes + std::int64_t{unit.tile} * Tile<type>::kBytes;
  };
  const auto prefetch_strip = [&](int strip) {
    if (lane_index() != 0 || strip >= end) return;
#pragma unroll 1
    for (OneUnit unit{strip, warp_index(), 0}; unit.strip == strip; unit = after(unit, matrices, tiles, warps)) {
      prefetch_bytes(bytes_of(unit), Tile<type>::kBytes);
    }
  };
  OneUnit now{place.strip, warp_index(), 0};
  OneTile<type> tile = OneTile<type>::load(bytes_of(now), at);
  if (args.input == Input::kNorm) copy_norm(shared, args);
  prefetch_strip(place.strip);
  let_next_begin();
  wait_for_previous();
  float before = one_before(args, part, now.strip);
  code_for_warp(shared, args);
  float* partial = shared.partial;
  float* other = partial + 16 * matrices * tiles;
  while (now.strip < end) {
    if (now.tile == warp_index() && now.matrix == 0) prefetch_strip(now.strip + 1);
    const OneBlock& block = shared.blocks[now.tile];
    float* out = partial + 16 * (now.matrix * tiles + now.tile);
    *reinterpret_cast<Words2*>(shared.heads + 8 * lane_index()) = tile.head;
    sync_warp();
    const OneScales scales = tile.scales(shared.heads, at);
    const RowSums sums = tile.sums(block, shared.heads, at);
    const OneUnit next = after(now, matrices, tiles, warps);
    sync_warp();  // the next tile's loads stay below: they take this one's registers
    if (next.strip < end) tile = OneTile<type>::load(bytes_of(next), at);
    const float t = one_fold<type>(sums, scales, block.scale, at);
    if (at.t < 2) out[2 * at.g + at.t] = t;
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

// Grid x: per part, strips / strips_a_block rounded up (kSwiglu: of one). Threads: one_warps(k / 256) warps.
// Shared: one_shared_bytes().
DEVICE void matmul_one_k(const MatmulArgs& args) {
  const StripPlace place = strip_place(args, args.strips_a_block);
  if (static_cast<TensorType>(args.parts[place.part].type) == TensorType::kQ4_K) {
    one_of<TensorType::kQ4_K>(args, place);
  } else {
    one_of<TensorType::kQ6_K>(args, place);
  }
}

}  // namespace dormouse::cuda
