// As matmul_wide.cuh, for Q8_0 and 16-bit weights (DevicePaths::wide_products). A group of four warps takes four strips
// and all of the block's rows; codes lie in shared memory in the operand's order.
// Q8_0: each 32 columns have a scale of their own, so each product of 64 rows and 32 columns begins at zero and is
// folded into t when it has ended: two sets of accumulators in turn, the tensor cores work on one while the other is
// folded. Limit: instructions. 64 rows are 64 clocks of the tensor cores, and 100 instructions of a warp: 64 to fold, 8
// loads of scales, its part of the unpacking.
// Halves: an operand is what lies in memory (BF16: rounded), codes have two planes, and nothing is folded before a tile
// of 256 columns ends. Limit: the tensor cores, 2,048 clocks a tile at 128 rows, or the L2, 48 KB each 1,024 clocks.
// Bits: sums of Q8_0 are exact. Those of halves are not: the emulation adds in the order of matmul_many; whether a card
// rounds inside a product of wgmma as in one of mma.sync, its tests have to say.
#pragma once

#include "kernels/cuda/matmul_wide.cuh"

namespace dormouse::cuda {

// What a warp computes.
struct WideStrip {
  const MatrixPart* matrix;
  const std::uint8_t* weights;
  int strip;
  bool fused, is_up;
};
template <int kWarps>
DEVICE WideStrip wide_strip(const MatmulArgs& args, ManyPlace place) {
  WideStrip out;
  out.fused = args.epilogue == Epilogue::kSwiglu;
  out.is_up = out.fused && warp_index() >= kWarps / 2;
  out.matrix = &args.parts[out.is_up ? 1 : place.part];
  out.strip = place.strip + (out.fused ? warp_index() % (kWarps / 2) : warp_index());
  // Strips past the end are computed as the last one and not stored.
  const int there = out.strip < out.matrix->strips ? out.strip : out.matrix->strips - 1;
  out.weights = out.matrix->weights + there * out.matrix->strip_bytes;
  return out;
}
template <int kTokenTiles>
DEVICE void wide_end(float (&sum)[kTokenTiles][4], const MatmulArgs& args, const WideStrip& mine, int token_begin,
                     LanePlace at) {
  if (mine.fused) {
    copy_async_wait<0>();
    swap_up(sum, reinterpret_cast<float*>(shared_memory()), at);
    if (mine.is_up) return;
  }
  if (mine.strip < mine.matrix->strips) wide_results(sum, args, *mine.matrix, mine.strip, token_begin, at);
}

// Tiles here are longer than 32 lines of the cache.
template <TensorType type>
DEVICE void prefetch_long_tile(const std::uint8_t* tile) {
#pragma unroll
  for (int from = 0; from < Tile<type>::kBytes; from += 128 * kWarp) {
    const int at = from + 128 * lane_index();
    if (at < Tile<type>::kBytes) prefetch_l2(tile + at);
  }
}

// As WideCopy, with fewer registers: steps come in order, of kPlanes planes; and kBlocks neighbouring blocks of the
// rows' scales, [kBlocks][kTokens] floats, a thread 16 bytes.
template <int kThreads, int kTokens, int kPlanes, int kBlocks>
class StepCopy {
 public:
  DEVICE StepCopy(const MatmulArgs& args, int token_begin) {
    const int row = thread_index() / 8;
    const int chunk = thread_index() % 8;
    codes_ = reinterpret_cast<const unsigned char*>(args.coded.codes + std::int64_t{token_begin + row} * args.k) +
             16 * chunk;
    row_bytes_ = std::int64_t{2} * args.k * kRowStep;
    plane_bytes_ = std::int64_t{2} * args.k * args.coded.rows;
    to_ = 128 * row + 16 * (chunk ^ row % 8);
    rows_left_ = args.tokens - token_begin - row;
    scales_ = args.coded.scales + std::int64_t{thread_index() / kScaleChunks % kBlocks} * args.coded.rows +
              token_begin + thread_index() % kScaleChunks * 4;
    scale_stride_ = std::int64_t{kBlocks} * args.coded.rows;
  }
  // The next 64 columns.
  DEVICE void copy_codes(unsigned char* stage) {
#pragma unroll
    for (int plane = 0; plane < kPlanes; ++plane) {
      const unsigned char* from = codes_ + plane * plane_bytes_;
#pragma unroll
      for (int i = 0; i < kTokens / kRowStep; ++i) {
        copy_async16(stage + 128 * kTokens * plane + to_ + 128 * kRowStep * i, from, i * kRowStep < rows_left_);
        from += row_bytes_;
      }
    }
    codes_ += 128;
  }
  // The next kBlocks.
  DEVICE void copy_scales(unsigned char* to) {
    if (thread_index() < kBlocks * kScaleChunks) copy_async16(to + 16 * thread_index(), scales_, true);
    scales_ += scale_stride_;
  }

 private:
  static constexpr int kRowStep = kThreads / 8;
  static constexpr int kScaleChunks = kTokens / 4;
  static_assert(kBlocks * kScaleChunks <= kThreads);
  const unsigned char* codes_;
  const float* scales_;
  std::int64_t row_bytes_, plane_bytes_, scale_stride_;
  int to_, rows_left_;
};
struct ScalePairOfRows {
  float da[2];
};
DEVICE ScalePairOfRows scales_of(const unsigned char* scales, int n, LanePlace at) {
  const Words2 both = *reinterpret_cast<const Words2*>(scales + 4 * (8 * n + 2 * at.t));
  return {{bits_to_float(both.x), bits_to_float(both.y)}};
}

// 64 columns of a tile of Q8_0.
struct WideQ8Part {
  Tile<TensorType::kQ8_0>::Part bytes;
  RowPair d[2];  // of its groups
};
DEVICE WideQ8Part load_q8_part(const std::uint8_t* tile, int p, LanePlace at) {
  using Weights = Tile<TensorType::kQ8_0>;
  return {Weights::load_part(tile, p, at), {Weights::group_d(tile, 2 * p, at), Weights::group_d(tile, 2 * p + 1, at)}};
}

// 64 rows times 32 columns of Q8_0.
inline constexpr int kPieceTiles = 8;
inline constexpr int kPieceBytes = 128 * 8 * kPieceTiles;  // of a stage
DEVICE void add_piece(float (&c)[kPieceTiles][4], const std::uint32_t (&a)[2][1][4], const unsigned char* stage,
                      int half) {
  wgmma_begin();
  wgmma_f16(c, a[0][0], wgmma_operand(stage, 2 * half), 0);
  wgmma_f16(c, a[1][0], wgmma_operand(stage, 2 * half + 1), 1);
  wgmma_commit();
}
// t = fma(d * da, c, t). `scales`: of the piece's rows.
DEVICE void fold_piece(float (*t)[4], float (&c)[kPieceTiles][4], RowPair d, const unsigned char* scales,
                       LanePlace at) {
  wgmma_ended(c);
#pragma unroll
  for (int n = 0; n < kPieceTiles; ++n) fold(t[n], c[n], d, scales_of(scales, n, at).da);
}

// The sums of the tiles before the one under way, which 64 more registers would be: in shared memory, [token tile]
// [thread] of 16 bytes, touched by their thread alone and once in eight groups.
template <int kThreads, int kTokenTiles>
class SharedSums {
 public:
  DEVICE explicit SharedSums(unsigned char* shared) : mine_(reinterpret_cast<Words4*>(shared) + thread_index()) {
#pragma unroll
    for (int n = 0; n < kTokenTiles; ++n) mine_[n * kThreads] = {};
  }
  DEVICE void add(const float (&t)[kTokenTiles][4]) const {
    float sum[kTokenTiles][4];
    load(sum);
#pragma unroll
    for (int n = 0; n < kTokenTiles; ++n) {
      mine_[n * kThreads] = {float_to_bits(sum[n][0] + t[n][0]), float_to_bits(sum[n][1] + t[n][1]),
                             float_to_bits(sum[n][2] + t[n][2]), float_to_bits(sum[n][3] + t[n][3])};
    }
  }
  DEVICE void load(float (&sum)[kTokenTiles][4]) const {
#pragma unroll
    for (int n = 0; n < kTokenTiles; ++n) {
      const Words4 words = mine_[n * kThreads];
      sum[n][0] = bits_to_float(words.x);
      sum[n][1] = bits_to_float(words.y);
      sum[n][2] = bits_to_float(words.z);
      sum[n][3] = bits_to_float(words.w);
    }
  }

 private:
  Words4* mine_;
};

template <int kGroups, int kTokenTiles>
DEVICE void wide_q8_0(const MatmulArgs& args) {
  using Weights = Tile<TensorType::kQ8_0>;
  constexpr int kTokens = 8 * kTokenTiles;
  constexpr int kStageBytes = 128 * kTokens;
  constexpr int kScaleBytes = 2 * 4 * kTokens;  // that come with a stage
  constexpr int kStages = WideShape::kStages;
  static_assert(kStages == 8, "stages of two tiles: their places are known when it is compiled, but for one bit");
  constexpr int kAhead = kStages - 2;  // the stage of two steps ago may be overwritten: its products have ended
  constexpr int kPieces = kTokenTiles / kPieceTiles;
  const LanePlace at = lane_place();
  const ManyPlace place = wide_place<kGroups, kTokenTiles>(args);
  const WideStrip mine = wide_strip<4 * kGroups>(args, place);
  const int steps = args.k / 64;
  // Parts and scales are asked for a step ahead, their bytes come to the L2 two tiles ahead.
  prefetch_long_tile<TensorType::kQ8_0>(mine.weights);
  if (steps > 4) prefetch_long_tile<TensorType::kQ8_0>(mine.weights + Weights::kBytes);
  WideQ8Part next = load_q8_part(mine.weights, 0, at);
  wait_for_previous();
  let_next_begin();
  unsigned char* shared = shared_memory();
  unsigned char* scales = shared + kStages * kStageBytes;
  StepCopy<128 * kGroups, kTokens, 1, 2> copy(args, place.token_begin);
  const auto copy_step = [&](int step) {
    if (step < steps) {
      copy.copy_codes(shared + step % kStages * kStageBytes);
      copy.copy_scales(scales + step % kStages * kScaleBytes);
    }
    copy_async_commit();
  };
#pragma unroll
  for (int s = 0; s < kAhead; ++s) copy_step(s);
  float c[2][kPieceTiles][4] = {};  // of pieces under way, in turn
  float t[kTokenTiles][4] = {};     // of the tile under way
  const SharedSums<128 * kGroups, kTokenTiles> sums(scales + kStages * kScaleBytes);
  std::uint32_t a[2][2][1][4];  // of groups in turn
  RowPair d[2];
  for (int index = 0; index < args.k / 256; ++index) {
    const std::uint8_t* tile = mine.weights + std::int64_t{index} * Weights::kBytes;
    if (index + 2 < args.k / 256) prefetch_long_tile<TensorType::kQ8_0>(tile + 2 * Weights::kBytes);
    const int first_stage = index % 2 * 4;
    const auto fold_number = [&](int number) {
      const int group = number / kPieces;
      const int piece = number % kPieces;
      fold_piece(t + kPieceTiles * piece, c[number % 2], d[group % 2],
                 scales + (first_stage + group / 2) * kScaleBytes + group % 2 * 4 * kTokens + 4 * 64 * piece, at);
    };
#pragma unroll
    for (int p = 0; p < 4; ++p) {
      const int step = 4 * index + p;
      const WideQ8Part part = next;
      if (step + 1 < steps) next = load_q8_part(tile + (p == 3 ? Weights::kBytes : 0), (p + 1) % 4, at);
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        Weights::operands(a[h], {}, part.bytes, p, h);
        d[h] = part.d[h];  // the group before this one, not folded yet, has the other
        if (h == 0) {
          copy_async_wait<kAhead - 1>();
          publish_to_wgmma();
          sync_block();
          copy_step(step + kAhead);
        }
#pragma unroll
        for (int piece = 0; piece < kPieces; ++piece) {
          const int number = (2 * p + h) * kPieces + piece;
          add_piece(c[number % 2], a[h], shared + (first_stage + p) * kStageBytes + kPieceBytes * piece, h);
          if (number > 0) {
            wgmma_wait<1>();
            fold_number(number - 1);
          }
        }
      }
    }
    wgmma_wait<0>();
    fold_number(8 * kPieces - 1);
    sums.add(t);
#pragma unroll
    for (int n = 0; n < kTokenTiles; ++n) t[n][0] = t[n][1] = t[n][2] = t[n][3] = 0;
  }
  sums.load(t);
  wide_end(t, args, mine, place.token_begin, at);
}

// sum += t of the tile that ends here.
template <TensorType type, int kTokenTiles>
DEVICE void fold_wide_halves(WideSums<kTokenTiles>& sums, const unsigned char* scales, LanePlace at) {
  wgmma_ended(sums.c);
#pragma unroll
  for (int n = 0; n < kTokenTiles; ++n) {
    float t[4] = {};
    fold_tile<type>(t, sums.c[n], {}, {}, {}, {}, scales_of(scales, n, at).da);
#pragma unroll
    for (int i = 0; i < 4; ++i) sums.sum[n][i] += t[i];
  }
}

template <TensorType type, int kGroups, int kTokenTiles>
DEVICE void wide_halves_of(const MatmulArgs& args, ManyPlace place) {
  constexpr int kTokens = 8 * kTokenTiles;
  constexpr int kPlaneBytes = 128 * kTokens;
  constexpr int kStageBytes = 2 * kPlaneBytes;
  constexpr int kStages = WideShape::kHalvesStages;
  static_assert(kStages == 4, "stages of a tile: their places are known when it is compiled");
  constexpr int kAhead = kStages - 2;  // the stage of two steps ago may be overwritten: its products have ended
  constexpr int kExtras = WideShape::kExtras;
  const LanePlace at = lane_place();
  const WideStrip mine = wide_strip<4 * kGroups>(args, place);
  const int steps = args.k / 64;
  // Parts are asked for a step ahead, their bytes come to the L2 two tiles ahead.
  prefetch_long_tile<type>(mine.weights);
  if (steps > 4) prefetch_long_tile<type>(mine.weights + Tile<type>::kBytes);
  typename Tile<type>::Part next = Tile<type>::load_part(mine.weights, 0, at);
  wait_for_previous();
  let_next_begin();
  unsigned char* shared = shared_memory();
  unsigned char* scales = shared + kStages * kStageBytes;  // of so many tiles
  StepCopy<128 * kGroups, kTokens, 2, 1> copy(args, place.token_begin);
  const auto copy_step = [&](int step) {
    if (step < steps) {
      copy.copy_codes(shared + step % kStages * kStageBytes);
      if (step % 4 == 0) copy.copy_scales(scales + step / 4 % kExtras * 4 * kTokens);
    }
    copy_async_commit();
  };
#pragma unroll
  for (int s = 0; s < kAhead; ++s) copy_step(s);
  WideSums<kTokenTiles> sums{};
  std::uint32_t a[2][2][2][1][4];  // of steps in turn; [half][product]
  for (int index = 0; index < args.k / 256; ++index) {
    const std::uint8_t* tile = mine.weights + std::int64_t{index} * Tile<type>::kBytes;
    if (index + 2 < args.k / 256) prefetch_long_tile<type>(tile + 2 * Tile<type>::kBytes);
#pragma unroll
    for (int p = 0; p < 4; ++p) {
      const int step = 4 * index + p;
#pragma unroll
      for (int h = 0; h < 2; ++h) Tile<type>::operands(a[p % 2][h], {}, next, p, h);
      if (step + 1 < steps) next = Tile<type>::load_part(tile + (p == 3 ? Tile<type>::kBytes : 0), (p + 1) % 4, at);
      copy_async_wait<kAhead - 1>();
      publish_to_wgmma();
      sync_block();
      copy_step(step + kAhead);
      const unsigned char* stage = shared + p * kStageBytes;
      wgmma_begin();
#pragma unroll
      for (int h = 0; h < 2; ++h) {
#pragma unroll
        for (int plane = 0; plane < 2; ++plane) {
#pragma unroll
          for (int m = 0; m < 2; ++m) {
            wgmma_f16(sums.c, a[p % 2][h][m][0], wgmma_operand(stage + plane * kPlaneBytes, 2 * h + m),
                      p + h + plane + m > 0 ? 1 : 0);
          }
        }
      }
      wgmma_commit();
      wgmma_wait<1>();  // the step before this one has read its operands
    }
    wgmma_wait<0>();
    fold_wide_halves<type>(sums, scales + index % kExtras * 4 * kTokens, at);
  }
  wide_end(sums.sum, args, mine, place.token_begin, at);
}
template <int kGroups, int kTokenTiles>
DEVICE void wide_halves(const MatmulArgs& args) {
  const ManyPlace place = wide_place<kGroups, kTokenTiles>(args);
  with_type<Coding::kHalves>(args.parts[place.part].type,
                             [&]<TensorType type>() { wide_halves_of<type, kGroups, kTokenTiles>(args, place); });
}

DEVICE void matmul_wide_q8_0(const MatmulArgs& args) {
  if constexpr (kHasWgmma) wide_q8_0<kWideShape.groups, kWideShape.token_tiles>(args);
}
DEVICE void matmul_narrow_q8_0(const MatmulArgs& args) {
  if constexpr (kHasWgmma) wide_q8_0<kNarrowShape.groups, kNarrowShape.token_tiles>(args);
}
DEVICE void matmul_wide_halves(const MatmulArgs& args) {
  if constexpr (kHasWgmma) wide_halves<kWideShape.groups, kWideShape.token_tiles>(args);
}
DEVICE void matmul_narrow_halves(const MatmulArgs& args) {
  if constexpr (kHasWgmma) wide_halves<kNarrowShape.groups, kNarrowShape.token_tiles>(args);
}

}  // namespace dormouse::cuda
