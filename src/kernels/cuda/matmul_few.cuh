// Products with up to eight activation rows: what a decode step of a few streams is made of. A block takes one strip of
// 16 weight rows (or one of gate and one of up), a warp a tile or two of it, all of whose bytes are asked for before
// anything else happens, also before the kernel that makes the activations has ended. With one row the block codes it
// for itself: a launch less, and the norm costs nothing extra.
// Limit: memory. A 4B model's step reads 2.49 GB; a strip of 2,560 columns is 23 KB in flight a block.
#pragma once

#include "kernels/cuda/coding.cuh"
#include "kernels/cuda/matmul_tile.cuh"

namespace dormouse::cuda {

// Shared memory, in this order: the tiles' results, and for a row coded here its codes, scales, sums and squares.
struct FewShared {
  float* partial;  // [units, tokens, 16]
  CodedRows coded;
  float* squares;
};
DEVICE FewShared few_shared(const MatmulArgs& args, int units) {
  FewShared out;
  unsigned char* at = shared_memory();
  out.partial = reinterpret_cast<float*>(at);
  out.coded = args.coded;
  out.squares = nullptr;
  if (args.input == Input::kCoded) return out;
  at += few_partial_bytes(units, args.tokens);
  const int blocks = args.k / 256;
  out.coded.rows = 1;
  out.coded.codes = reinterpret_cast<std::uint16_t*>(at);
  at += 2 * args.k * (args.coding == Coding::kHalves ? 2 : 1);
  out.coded.sums16 = reinterpret_cast<std::uint16_t*>(at);
  out.coded.sums32 = out.coded.sums16 + 16 * blocks;
  at += 64 * blocks;
  out.coded.scales = reinterpret_cast<float*>(at);
  out.squares = out.coded.scales + (args.coding == Coding::kQ8_0 ? 8 * blocks : blocks);
  return out;
}

// Parts asked for before the first is used. Halves take 16 registers a part: two of them, then one for each used up.
template <TensorType type>
constexpr int early_parts() {
  return Tile<type>::kCoding == Coding::kHalves ? 2 : 4;
}
template <TensorType type>
struct LoadedTile {
  const std::uint8_t* bytes;
  typename Tile<type>::Whole whole;
  typename Tile<type>::Part parts[early_parts<type>()];
  RowPair d, dmin;
};
template <TensorType type>
DEVICE LoadedTile<type> load_tile(const std::uint8_t* tile, LanePlace at) {
  LoadedTile<type> out;
  out.bytes = tile;
  out.whole = Tile<type>::load_whole(tile, at);
#pragma unroll
  for (int p = 0; p < early_parts<type>(); ++p) out.parts[p] = Tile<type>::load_part(tile, p, at);
  if constexpr (Tile<type>::kCoding == Coding::kK) {
    out.d = Tile<type>::d(tile, at);
    out.dmin = Tile<type>::dmin(tile, at);
  }
  return out;
}

// The codes of row g from `column` on; rows that are not there count as zeros.
template <TensorType type>
DEVICE void load_codes(Words4 (&code)[code_planes<type>()], const CodedRows& coded, std::int64_t k, int column,
                       LanePlace at, bool there) {
#pragma unroll
  for (int plane = 0; plane < code_planes<type>(); ++plane) {
    code[plane] = {};
    if (there) {
      const std::int64_t row = std::int64_t{plane} * coded.rows + at.g;
      code[plane] = *reinterpret_cast<const Words4*>(coded.codes + row * k + column + 8 * at.t);
    }
  }
}

template <TensorType type>
DEVICE void few_tile(float (&t)[4], LoadedTile<type>& tile, const CodedRows& coded, int k, int index, int tokens,
                     LanePlace at) {
  const bool there = at.g < tokens;
  const auto scales_of = [&](std::int64_t block, float(&da)[2]) {
    const float* scales = coded.scales + block * coded.rows + 2 * at.t;
    da[0] = 2 * at.t < tokens ? scales[0] : 0.0F;
    da[1] = 2 * at.t + 1 < tokens ? scales[1] : 0.0F;
  };
  float da[2];
  float c[4] = {};
#pragma unroll
  for (int group = 0; group < 8; ++group) {
    std::uint32_t a[2][Tile<type>::kPlanes][4];
    constexpr int kEarly = early_parts<type>();
    Tile<type>::operands(a, tile.whole, tile.parts[group / 2 % kEarly], group / 2, group % 2);
    if (group % 2 == 1 && group / 2 + kEarly < 4) {
      tile.parts[group / 2 % kEarly] = Tile<type>::load_part(tile.bytes, group / 2 + kEarly, at);
    }
    Words4 code[code_planes<type>()];
    load_codes<type>(code, coded, k, 256 * index + 32 * group, at, there);
    add_group<type>(c, a, code);
    if constexpr (Tile<type>::kCoding == Coding::kQ8_0) {
      scales_of(8 * std::int64_t{index} + group, da);
      fold(t, c, Tile<type>::group_d(tile.bytes, group, at), da);
      c[0] = c[1] = c[2] = c[3] = 0;
    }
  }
  if constexpr (Tile<type>::kCoding != Coding::kQ8_0) {
    scales_of(index, da);
    std::uint32_t minima[4] = {};
    Words2 sums{};
    if constexpr (Tile<type>::kHasMinima) {
      Tile<type>::minima(minima, tile.whole);
      const std::uint16_t* all = Tile<type>::kMinimaOf16 ? coded.sums16 : coded.sums32;
      if (there) {
        sums = *reinterpret_cast<const Words2*>(all + (std::int64_t{index} * coded.rows + at.g) * 16 + 4 * at.t);
      }
    }
    fold_tile<type>(t, c, tile.d, tile.dmin, minima, sums, da);
  }
}

DEVICE void few_results(const MatmulArgs& args, StripPlace place, const float* partial, int tiles) {
  const MatrixPart& out = args.parts[place.part];
  const int results = 16 * args.tokens;
  for (int i = thread_index(); i < results; i += thread_count()) {
    const int row = 16 * place.strip + i % 16;
    if (row >= out.rows) continue;
    float sum = 0;
#pragma unroll 8
    for (int tile = 0; tile < tiles; ++tile) sum += partial[tile * results + i];
    if (args.epilogue == Epilogue::kSwiglu) {
      float up = 0;
#pragma unroll 8
      for (int tile = tiles; tile < 2 * tiles; ++tile) up += partial[tile * results + i];
      sum = swiglu(sum, up);
    }
    float* to = out.out + std::int64_t{i / 16} * out.out_stride + row;
    *to = args.epilogue == Epilogue::kAdd ? *to + sum : sum;
  }
}

template <TensorType type>
DEVICE void few_of(const MatmulArgs& args, StripPlace place) {
  const LanePlace at = lane_place();
  const int tiles = args.k / 256;
  const int units = args.epilogue == Epilogue::kSwiglu ? 2 * tiles : tiles;
  const int warps = thread_count() / kWarp;
  const FewShared shared = few_shared(args, units);
  // Unit u: tile u % tiles of matrix place.part + u / tiles.
  const auto tile_of = [&](int unit) {
    const MatrixPart& part = args.parts[place.part + unit / tiles];
    return part.weights + place.strip * part.strip_bytes + std::int64_t{unit % tiles} * Tile<type>::kBytes;
  };
  LoadedTile<type> tile = load_tile<type>(tile_of(warp_index() < units ? warp_index() : 0), at);
  let_next_begin();
  wait_for_previous();
  if (args.input != Input::kCoded) {
    code_row(shared.coded, args.coding, args.x, args.input == Input::kNorm ? args.norm : nullptr, 0, args.k,
             args.epsilon, shared.squares, false);
    sync_block();
  }
  for (int unit = warp_index(); unit < units; unit += warps) {
    LoadedTile<type> now = tile;
    if (unit + warps < units) tile = load_tile<type>(tile_of(unit + warps), at);
    float t[4] = {};
    few_tile<type>(t, now, shared.coded, args.k, unit % tiles, args.tokens, at);
    float* out = shared.partial + unit * 16 * args.tokens + 2 * at.g;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int token = 2 * at.t + i;
      if (token >= args.tokens) continue;
      out[16 * token] = t[i];
      out[16 * token + 1] = t[2 + i];
    }
  }
  sync_block();
  few_results(args, place, shared.partial, tiles);
}

// Grid x: strips of all parts (kSwiglu: of one). Threads: few_warps(units) warps.
// Shared: few_partial_bytes(units, tokens), and few_coded_bytes(k, coding) where the input is not coded yet.
template <Coding coding>
DEVICE void few(const MatmulArgs& args) {
  const StripPlace place = strip_place(args, 1);
  with_type<coding>(args.parts[place.part].type, [&]<TensorType type>() { few_of<type>(args, place); });
}
DEVICE void matmul_few_k(const MatmulArgs& args) {
  few<Coding::kK>(args);
}
DEVICE void matmul_few_q8_0(const MatmulArgs& args) {
  few<Coding::kQ8_0>(args);
}
DEVICE void matmul_few_halves(const MatmulArgs& args) {
  few<Coding::kHalves>(args);
}

}  // namespace dormouse::cuda
