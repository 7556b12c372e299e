// Products with many activation rows on Hopper. A group of four warps takes four strips and all of the block's rows:
// weights are unpacked in registers, where wgmma takes its first operand from, and codes lie in shared memory, 64
// columns at a time. While the tensor cores work on one half of 64 columns, the warps unpack the next.
// Codes are stored in the operand's order (QuantiseArgs::permuted): of 32 columns, place 16 m + 2 t + {0, 1, 8, 9} has
// column 8 t + 4 m + {0, 1, 2, 3}, which is what a lane unpacks from one word.
// K-quants (matmul_wide_rest.cuh has the other types): their sums are exact, so that these kernels and those of mma_f16
// agree to the bit. Limit: the tensor cores. A group's tile of 256 columns keeps them busy for 1,024 clocks at 128
// rows, and takes a warp about 600 instructions to unpack and fold, on a scheduler of its own where there is one group.
#pragma once

#include "kernels/cuda/matmul_many.cuh"
#include "kernels/cuda/wgmma.h"

namespace dormouse::cuda {

// Brings 64 columns of the block's rows to a stage, [rows][128 bytes], chunks of 16 bytes swapped by row % 8. A thread
// has the same chunk of every kThreads / 8th row: addresses are made once, a step costs two instructions a chunk.
template <int kThreads, int kTokens>
class WideCopy {
 public:
  DEVICE WideCopy(const MatmulArgs& args, int token_begin) : row_bytes_(std::int64_t{2} * args.k * kRowStep) {
    const int row = thread_index() / 8;
    const int chunk = thread_index() % 8;
    from_ =
        reinterpret_cast<const unsigned char*>(args.coded.codes + std::int64_t{token_begin + row} * args.k + 8 * chunk);
    to_ = 128 * row + 16 * (chunk ^ row % 8);
#pragma unroll
    for (int i = 0; i < kChunks; ++i) there_[i] = token_begin + row + i * kRowStep < args.tokens;
  }
  DEVICE void copy(unsigned char* stage, int step) const {
    const unsigned char* from = from_ + 128 * step;
#pragma unroll
    for (int i = 0; i < kChunks; ++i) {
      copy_async16(stage + to_ + 128 * kRowStep * i, from, there_[i]);
      from += row_bytes_;
    }
  }

 private:
  static constexpr int kRowStep = kThreads / 8;
  static constexpr int kChunks = kTokens / kRowStep;
  const unsigned char* from_;
  std::int64_t row_bytes_;
  int to_;
  bool there_[kChunks];
};

// The rows' scales and sums of one tile, [rows] floats and [rows][16] halves: read at each tile's end, which cannot
// wait for the L2 sixteen times.
template <int kTokens>
struct WideExtras {
  static constexpr int kScaleBytes = 4 * kTokens;
  static constexpr int kBytes = kScaleBytes + 32 * kTokens;
};
template <int kTokens>
DEVICE void copy_extras(unsigned char* to, const MatmulArgs& args, const std::uint16_t* sums, int token_begin,
                        int index) {
  const std::int64_t from = std::int64_t{index} * args.coded.rows + token_begin;
  for (int i = thread_index(); i < kTokens / 4; i += thread_count()) {
    copy_async16(to + 16 * i, args.coded.scales + from + 4 * i, true);
  }
  for (int i = thread_index(); i < 2 * kTokens; i += thread_count()) {
    copy_async16(to + WideExtras<kTokens>::kScaleBytes + 16 * i, sums + 16 * from + 8 * i, true);
  }
}

template <int kTokenTiles>
struct WideSums {
  float c[kTokenTiles][4];    // of the tile under way
  float sum[kTokenTiles][4];  // of the tiles before it
};

// A tile's small numbers, asked for half a tile before they are needed.
template <TensorType type>
struct WideHead {
  typename Tile<type>::Whole whole;
  RowPair d, dmin;
};
template <TensorType type>
DEVICE WideHead<type> load_head(const std::uint8_t* tile, LanePlace at) {
  return {Tile<type>::load_whole(tile, at), Tile<type>::d(tile, at), Tile<type>::dmin(tile, at)};
}

template <TensorType type>
DEVICE void prefetch_tile(const std::uint8_t* tile) {
  if (128 * lane_index() < Tile<type>::kBytes) prefetch_l2(tile + 128 * lane_index());
}

// sum += t of the tile that ends here.
template <TensorType type, int kTokenTiles>
DEVICE void wide_fold(WideSums<kTokenTiles>& sums, const WideHead<type>& head, const unsigned char* extras,
                      LanePlace at) {
  std::uint32_t minima[4] = {};
  if constexpr (Tile<type>::kHasMinima) Tile<type>::minima(minima, head.whole);
  const unsigned char* code_sums = extras + WideExtras<8 * kTokenTiles>::kScaleBytes + 32 * at.g + 8 * at.t;
#pragma unroll
  for (int n = 0; n < kTokenTiles; ++n) {
    const Words2 scales = *reinterpret_cast<const Words2*>(extras + 4 * (8 * n + 2 * at.t));
    const float da[2] = {bits_to_float(scales.x), bits_to_float(scales.y)};
    Words2 least{};
    if constexpr (Tile<type>::kHasMinima) least = *reinterpret_cast<const Words2*>(code_sums + 256 * n);
    float t[4] = {};
    fold_tile<type>(t, sums.c[n], head.d, head.dmin, minima, least, da);
#pragma unroll
    for (int i = 0; i < 4; ++i) sums.sum[n][i] += t[i];
  }
}

// kSwiglu: the block's first half of warps has strips of gate, the second the same of up, whose results go over through
// shared memory, [warp][row of 8 n + 2 t + i][16 rows of the strip].
template <int kTokenTiles>
DEVICE void swap_up(float (&sum)[kTokenTiles][4], float* shared, LanePlace at) {
  const int half = thread_count() / kWarp / 2;
  float* mine = shared + warp_index() % half * (8 * kTokenTiles * 16) + 2 * at.g;
  sync_block();
  if (warp_index() >= half) {
#pragma unroll
    for (int n = 0; n < kTokenTiles; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) mine[16 * (8 * n + 2 * at.t + i % 2) + i / 2] = sum[n][i];
    }
  }
  sync_block();
  if (warp_index() >= half) return;
#pragma unroll
  for (int n = 0; n < kTokenTiles; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      sum[n][i] = swiglu(sum[n][i], mine[16 * (8 * n + 2 * at.t + i % 2) + i / 2]);
    }
  }
}

template <int kTokenTiles>
DEVICE void wide_results(const float (&sum)[kTokenTiles][4], const MatmulArgs& args, const MatrixPart& out, int strip,
                         int token_begin, LanePlace at) {
#pragma unroll
  for (int n = 0; n < kTokenTiles; ++n) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int token = token_begin + 8 * n + 2 * at.t + i;
      if (token >= args.tokens) continue;
      store_pair(out, args.epilogue, token, 16 * strip + 2 * at.g, sum[n][i], sum[n][2 + i]);
    }
  }
}

template <TensorType type, int kGroups, int kTokenTiles>
DEVICE void wide_of(const MatmulArgs& args, ManyPlace place) {
  constexpr int kTokens = 8 * kTokenTiles;
  constexpr int kStageBytes = 128 * kTokens;
  constexpr int kStages = WideShape::kStages;
  static_assert(kStages == 8, "stages of two tiles: their places are known when it is compiled, but for one bit");
  constexpr int kAhead = kStages - 2;  // the stage of two steps ago may be overwritten: its products have ended
  constexpr int kWarps = 4 * kGroups;
  const LanePlace at = lane_place();
  const bool fused = args.epilogue == Epilogue::kSwiglu;
  const bool is_up = fused && warp_index() >= kWarps / 2;
  const MatrixPart& matrix = args.parts[is_up ? 1 : place.part];
  const int strip = place.strip + (fused ? warp_index() % (kWarps / 2) : warp_index());
  // Strips past the end are computed as the last one and not stored.
  const std::uint8_t* weights =
      matrix.weights + (strip < matrix.strips ? strip : matrix.strips - 1) * matrix.strip_bytes;
  const int steps = args.k / 64;
  // Parts are asked for two steps ahead, their bytes come to the L2 two tiles ahead.
  prefetch_tile<type>(weights);
  if (steps > 4) prefetch_tile<type>(weights + Tile<type>::kBytes);
  typename Tile<type>::Part next[2] = {Tile<type>::load_part(weights, 0, at), Tile<type>::load_part(weights, 1, at)};
  WideHead<type> head = load_head<type>(weights, at);
  wait_for_previous();
  let_next_begin();
  unsigned char* shared = shared_memory();
  unsigned char* extras = shared + kStages * kStageBytes;  // of so many tiles
  const std::uint16_t* code_sums = Tile<type>::kMinimaOf16 ? args.coded.sums16 : args.coded.sums32;
  const WideCopy<32 * kWarps, kTokens> codes(args, place.token_begin);
  const auto copy_step = [&](int step) {
    if (step < steps) {
      codes.copy(shared + step % kStages * kStageBytes, step);
      if (step % 4 == 0) {
        copy_extras<kTokens>(extras + step / 4 % WideShape::kExtras * WideExtras<kTokens>::kBytes, args, code_sums,
                             place.token_begin, step / 4);
      }
    }
    copy_async_commit();
  };
#pragma unroll
  for (int s = 0; s < kAhead; ++s) copy_step(s);
  WideSums<kTokenTiles> sums{};
  // A batch of products is one half of 64 columns, or both where registers allow; while it runs, the next one's
  // operands are made.
  constexpr int kHalves = Tile<type>::kPlanes == 1 || kTokenTiles <= 8 ? 2 : 1;
  std::uint32_t a[2][kHalves][2][Tile<type>::kPlanes][4];
  WideHead<type> next_head = head;
  for (int index = 0; index < args.k / 256; ++index) {
    const std::uint8_t* tile = weights + std::int64_t{index} * Tile<type>::kBytes;
    if (index + 2 < args.k / 256) prefetch_tile<type>(tile + 2 * Tile<type>::kBytes);
#pragma unroll
    for (int p = 0; p < 4; ++p) {
      const int step = 4 * index + p;
      const typename Tile<type>::Part part = next[p % 2];
      if (step + 2 < steps) {
        next[p % 2] = Tile<type>::load_part(tile + (p >= 2 ? Tile<type>::kBytes : 0), (p + 2) % 4, at);
      }
      if (p == 1 && index + 1 < args.k / 256) next_head = load_head<type>(tile + Tile<type>::kBytes, at);
#pragma unroll
      for (int batch = 0; batch < 2 / kHalves; ++batch) {
        auto& operands = a[kHalves == 2 ? p % 2 : batch];
#pragma unroll
        for (int h = 0; h < kHalves; ++h) Tile<type>::operands(operands[h], head.whole, part, p, kHalves * batch + h);
        if (batch == 0) {
          copy_async_wait<kAhead - 1>();
          publish_to_wgmma();
          sync_block();
          copy_step(step + kAhead);
        }
        const unsigned char* stage = shared + (index % 2 * 4 + p) * kStageBytes;
        wgmma_begin();
#pragma unroll
        for (int k16 = 0; k16 < 2 * kHalves; ++k16) {
#pragma unroll
          for (int plane = 0; plane < Tile<type>::kPlanes; ++plane) {
            wgmma_f16(sums.c, operands[k16 / 2][k16 % 2][plane], wgmma_operand(stage, 2 * kHalves * batch + k16),
                      p + batch + k16 + plane > 0 ? 1 : 0);
          }
        }
        wgmma_commit();
        wgmma_wait<1>();  // the batch before this one has read its operands
      }
    }
    wgmma_wait<0>();
    wide_fold<type>(sums, head, extras + index % WideShape::kExtras * WideExtras<kTokens>::kBytes, at);
    head = next_head;
  }
  if (fused) {
    copy_async_wait<0>();
    swap_up(sums.sum, reinterpret_cast<float*>(shared), at);
    if (is_up) return;
  }
  if (strip < matrix.strips) wide_results(sums.sum, args, matrix, strip, place.token_begin, at);
}

// Of this block: as many strips as warps (kSwiglu: half of them, of gate and of up), 8 * kTokenTiles rows.
template <int kGroups, int kTokenTiles>
DEVICE ManyPlace wide_place(const MatmulArgs& args) {
  constexpr WideShape kShape = {kGroups, kTokenTiles};
  const StripPlace first = strip_place(args, kShape.strips_a_block(args.epilogue));
  return {first.part, first.strip, block_y() * kShape.tokens()};
}
template <int kGroups, int kTokenTiles>
DEVICE void wide(const MatmulArgs& args) {
  const ManyPlace place = wide_place<kGroups, kTokenTiles>(args);
  with_type<Coding::kK>(args.parts[place.part].type,
                        [&]<TensorType type>() { wide_of<type, kGroups, kTokenTiles>(args, place); });
}

DEVICE void matmul_wide_k(const MatmulArgs& args) {
  wide<kWideShape.groups, kWideShape.token_tiles>(args);
}
DEVICE void matmul_narrow_k(const MatmulArgs& args) {
  wide<kNarrowShape.groups, kNarrowShape.token_tiles>(args);
}

}  // namespace dormouse::cuda
