// Products with many activation rows: prompts, and decode steps of many streams. A block takes a rectangle of strips
// and rows; codes come to shared memory 64 columns at a time, three stages deep; weights go from global memory to
// registers and are unpacked there, by each warp for its two strips, once for all of the warp's rows. Limit: the tensor
// cores' rate for products of halves by mma.sync. Per 64 columns a warp of the large shape issues 64 products (128 with
// two planes) and about 100 instructions to unpack.
#pragma once

#include "kernels/cuda/coding.cuh"
#include "kernels/cuda/matmul_tile.cuh"

namespace dormouse::cuda {

struct ManyPlace {
  int part;
  int strip;        // of this block's first
  int token_begin;  // of this block's first row
};
template <int kRowWarps, int kTokenWarps, int kTokenTiles>
DEVICE ManyPlace many_place(const MatmulArgs& args) {
  constexpr ManyShape kShape = {kRowWarps, kTokenWarps, kTokenTiles};
  const StripPlace place = strip_place(args, kShape.strips_a_block(args.epilogue));
  return {place.part, place.strip, block_y() * kShape.tokens()};
}

// 64 columns of the block's rows: [rows][8 chunks of 16 bytes], chunks of odd rows swapped by four so that the eight
// lanes that read at once touch all banks.
DEVICE int chunk_offset(int row, int chunk) {
  return 128 * row + 16 * (chunk ^ (row % 2 * 4));
}

template <TensorType type>
DEVICE void copy_stage(unsigned char* stage, const MatmulArgs& args, int token_begin, int tokens, int column) {
  constexpr int kPlanes = code_planes<type>();
  for (int i = thread_index(); i < 8 * tokens * kPlanes; i += thread_count()) {
    const int row = i / 8 % tokens;
    const int plane = i / (8 * tokens);
    const bool there = token_begin + row < args.tokens;
    const std::int64_t from = std::int64_t{plane} * args.coded.rows + (there ? token_begin + row : 0);
    copy_async16(stage + plane * 128 * tokens + chunk_offset(row, i % 8),
                 args.coded.codes + from * args.k + column + 8 * (i % 8), there);
  }
  copy_async_commit();
}

template <TensorType type, int kTokenTiles>
struct ManyWarp {
  float c[2][kTokenTiles][4];    // of the tile, or group, under way
  float sum[2][kTokenTiles][4];  // of the tiles before it
};

// One group of 32 columns of both strips.
template <TensorType type, int kTokenTiles>
DEVICE void many_group(ManyWarp<type, kTokenTiles>& warp, const std::uint32_t (&a)[2][2][Tile<type>::kPlanes][4],
                       const unsigned char* stage, int plane_bytes, int row, int half, LanePlace at) {
#pragma unroll
  for (int n = 0; n < kTokenTiles; ++n) {
    Words4 code[code_planes<type>()];
#pragma unroll
    for (int plane = 0; plane < code_planes<type>(); ++plane) {
      code[plane] = *reinterpret_cast<const Words4*>(stage + plane * plane_bytes +
                                                     chunk_offset(row + 8 * n + at.g, 4 * half + at.t));
    }
    add_group<type>(warp.c[0][n], a[0], code);
    add_group<type>(warp.c[1][n], a[1], code);
  }
}

// sum += t of the tile that ends here, for one of the warp's strips.
template <TensorType type, int kTokenTiles>
DEVICE void many_fold(ManyWarp<type, kTokenTiles>& warp, int s, const MatmulArgs& args, const std::uint8_t* tile,
                      const typename Tile<type>::Whole& whole, int index, int token, LanePlace at) {
  std::uint32_t minima[4] = {};
  RowPair d{};
  RowPair dmin{};
  if constexpr (Tile<type>::kCoding == Coding::kK) {
    d = Tile<type>::d(tile, at);
    dmin = Tile<type>::dmin(tile, at);
    if constexpr (Tile<type>::kHasMinima) Tile<type>::minima(minima, whole);
  }
  const std::int64_t block = std::int64_t{index} * args.coded.rows;
#pragma unroll
  for (int n = 0; n < kTokenTiles; ++n) {
    const Words2 scales = *reinterpret_cast<const Words2*>(args.coded.scales + block + token + 8 * n + 2 * at.t);
    const float da[2] = {bits_to_float(scales.x), bits_to_float(scales.y)};
    Words2 sums{};
    if constexpr (Tile<type>::kHasMinima) {
      const std::uint16_t* all = Tile<type>::kMinimaOf16 ? args.coded.sums16 : args.coded.sums32;
      sums = *reinterpret_cast<const Words2*>(all + (block + token + 8 * n + at.g) * 16 + 4 * at.t);
    }
    float t[4] = {};
    fold_tile<type>(t, warp.c[s][n], d, dmin, minima, sums, da);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      warp.sum[s][n][i] += t[i];
      warp.c[s][n][i] = 0;
    }
  }
}

// Q8_0 has a scale per 32 columns: t grows group by group, in the place of c, and c lives only here.
template <TensorType type, int kTokenTiles>
DEVICE void many_q8_group(ManyWarp<type, kTokenTiles>& warp, const std::uint32_t (&a)[2][2][1][4],
                          const RowPair (&d)[2], const MatmulArgs& args, const unsigned char* stage, int row, int half,
                          int group, int token, LanePlace at) {
  const float* scales = args.coded.scales + std::int64_t{group} * args.coded.rows + token + 2 * at.t;
#pragma unroll
  for (int n = 0; n < kTokenTiles; ++n) {
    Words4 code[1];
    code[0] = *reinterpret_cast<const Words4*>(stage + chunk_offset(row + 8 * n + at.g, 4 * half + at.t));
    const Words2 both = *reinterpret_cast<const Words2*>(scales + 8 * n);
    const float da[2] = {bits_to_float(both.x), bits_to_float(both.y)};
#pragma unroll
    for (int s = 0; s < 2; ++s) {
      float c[4] = {};
      add_group<type>(c, a[s], code);
      fold(warp.c[s][n], c, d[s], da);
    }
  }
}

// Two neighbouring rows of the matrix at once; `first` and `second` are theirs.
DEVICE void store_pair(const MatrixPart& out, Epilogue epilogue, int token, int row, float first, float second) {
  float* to = out.out + std::int64_t{token} * out.out_stride + row;
  if (row + 1 >= out.rows) {
    if (row < out.rows) *to = epilogue == Epilogue::kAdd ? *to + first : first;
    return;
  }
  if (epilogue == Epilogue::kAdd) {
    first += to[0];
    second += to[1];
  }
  to[0] = first;
  to[1] = second;
}

template <TensorType type, int kTokenTiles>
DEVICE void many_results(const ManyWarp<type, kTokenTiles>& warp, const MatmulArgs& args, const MatrixPart& out,
                         const int (&strip)[2], int token, LanePlace at) {
  const bool fused = args.epilogue == Epilogue::kSwiglu;
#pragma unroll
  for (int n = 0; n < kTokenTiles; ++n) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int column = token + 8 * n + 2 * at.t + i;
      if (column >= args.tokens) continue;
      const float* gate = warp.sum[0][n];
      const float* up = warp.sum[1][n];
      if (fused) {
        if (strip[0] >= out.strips) continue;
        store_pair(out, args.epilogue, column, 16 * strip[0] + 2 * at.g, swiglu(gate[i], up[i]),
                   swiglu(gate[2 + i], up[2 + i]));
        continue;
      }
#pragma unroll
      for (int s = 0; s < 2; ++s) {
        if (strip[s] >= out.strips) continue;
        store_pair(out, args.epilogue, column, 16 * strip[s] + 2 * at.g, warp.sum[s][n][i], warp.sum[s][n][2 + i]);
      }
    }
  }
}

template <TensorType type, int kRowWarps, int kTokenWarps, int kTokenTiles>
DEVICE void many_of(const MatmulArgs& args, ManyPlace place) {
  constexpr ManyShape kShape = {kRowWarps, kTokenWarps, kTokenTiles};
  constexpr int kStages = ManyShape::kManyStages;
  constexpr int kTokens = kShape.tokens();
  constexpr int kPlaneBytes = 128 * kTokens;
  constexpr int kStageBytes = kPlaneBytes * code_planes<type>();
  const LanePlace at = lane_place();
  const bool fused = args.epilogue == Epilogue::kSwiglu;
  const int row_warp = warp_index() % kRowWarps;
  const int row = warp_index() / kRowWarps * 8 * kTokenTiles;  // of the warp in the block's rows
  const int token = place.token_begin + row;
  const int steps = args.k / 64;
  const MatrixPart& first = args.parts[place.part];
  const MatrixPart& second = args.parts[fused ? 1 : place.part];
  const int strip[2] = {place.strip + (fused ? row_warp : 2 * row_warp),
                        place.strip + (fused ? row_warp : 2 * row_warp + 1)};
  // Strips past the end are computed as the last one and not stored.
  const std::uint8_t* weights[2] = {
      first.weights + (strip[0] < first.strips ? strip[0] : first.strips - 1) * first.strip_bytes,
      second.weights + (strip[1] < second.strips ? strip[1] : second.strips - 1) * second.strip_bytes};
  typename Tile<type>::Part next[2] = {Tile<type>::load_part(weights[0], 0, at),
                                       Tile<type>::load_part(weights[1], 0, at)};
  typename Tile<type>::Whole whole[2] = {Tile<type>::load_whole(weights[0], at),
                                         Tile<type>::load_whole(weights[1], at)};
  let_next_begin();
  wait_for_previous();
  unsigned char* shared = shared_memory();
#pragma unroll
  for (int s = 0; s < kStages - 1; ++s) {
    if (s < steps) {
      copy_stage<type>(shared + s * kStageBytes, args, place.token_begin, kTokens, 64 * s);
    } else {
      copy_async_commit();
    }
  }
  ManyWarp<type, kTokenTiles> warp{};
  for (int index = 0; index < args.k / 256; ++index) {
#pragma unroll
    for (int p = 0; p < 4; ++p) {
      const int step = 4 * index + p;
      copy_async_wait<kStages - 2>();
      sync_block();
      if (step + kStages - 1 < steps) {
        copy_stage<type>(shared + (step + kStages - 1) % kStages * kStageBytes, args, place.token_begin, kTokens,
                         64 * (step + kStages - 1));
      } else {
        copy_async_commit();
      }
      const typename Tile<type>::Part part[2] = {next[0], next[1]};
      const std::uint8_t* tile[2] = {weights[0] + std::int64_t{index} * Tile<type>::kBytes,
                                     weights[1] + std::int64_t{index} * Tile<type>::kBytes};
      if (step + 1 < steps) {
#pragma unroll
        for (int s = 0; s < 2; ++s)
          next[s] = Tile<type>::load_part(tile[s] + (p == 3 ? Tile<type>::kBytes : 0), (p + 1) % 4, at);
      }
      const unsigned char* stage = shared + step % kStages * kStageBytes;
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        std::uint32_t a[2][2][Tile<type>::kPlanes][4];
        Tile<type>::operands(a[0], whole[0], part[0], p, half);
        Tile<type>::operands(a[1], whole[1], part[1], p, half);
        if constexpr (Tile<type>::kCoding == Coding::kQ8_0) {
          const RowPair d[2] = {Tile<type>::group_d(tile[0], 2 * p + half, at),
                                Tile<type>::group_d(tile[1], 2 * p + half, at)};
          many_q8_group<type>(warp, a, d, args, stage, row, half, 8 * index + 2 * p + half, token, at);
        } else {
          many_group<type>(warp, a, stage, kPlaneBytes, row, half, at);
        }
      }
    }
#pragma unroll
    for (int s = 0; s < 2; ++s) {
      const std::uint8_t* tile = weights[s] + std::int64_t{index} * Tile<type>::kBytes;
      if constexpr (Tile<type>::kCoding == Coding::kQ8_0) {
#pragma unroll
        for (int n = 0; n < kTokenTiles; ++n) {
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            warp.sum[s][n][i] += warp.c[s][n][i];
            warp.c[s][n][i] = 0;
          }
        }
      } else {
        many_fold<type>(warp, s, args, tile, whole[s], index, token, at);
      }
      if (index + 1 < args.k / 256) whole[s] = Tile<type>::load_whole(tile + Tile<type>::kBytes, at);
    }
  }
  many_results<type>(warp, args, first, strip, token, at);
}

template <Coding coding, int kRowWarps, int kTokenWarps, int kTokenTiles>
DEVICE void many(const MatmulArgs& args) {
  const ManyPlace place = many_place<kRowWarps, kTokenWarps, kTokenTiles>(args);
  with_type<coding>(args.parts[place.part].type,
                    [&]<TensorType type>() { many_of<type, kRowWarps, kTokenWarps, kTokenTiles>(args, place); });
}
template <Coding coding>
DEVICE void many_large(const MatmulArgs& args) {
  constexpr ManyShape kShape = many_shape(coding);
  many<coding, kShape.row_warps, kShape.token_warps, kShape.token_tiles>(args);
}
template <Coding coding>
DEVICE void many_middle(const MatmulArgs& args) {
  constexpr ManyShape kShape = middle_shape(coding);
  many<coding, kShape.row_warps, kShape.token_warps, kShape.token_tiles>(args);
}

// Grid x: per part, strips / shape.strips() rounded up (kSwiglu: of one part, by half of that); y: rows likewise.
DEVICE void matmul_many_k(const MatmulArgs& args) {
  many_large<Coding::kK>(args);
}
DEVICE void matmul_many_q8_0(const MatmulArgs& args) {
  many_large<Coding::kQ8_0>(args);
}
DEVICE void matmul_many_halves(const MatmulArgs& args) {
  many_large<Coding::kHalves>(args);
}
DEVICE void matmul_middle_k(const MatmulArgs& args) {
  many_middle<Coding::kK>(args);
}
DEVICE void matmul_middle_q8_0(const MatmulArgs& args) {
  many_middle<Coding::kQ8_0>(args);
}
DEVICE void matmul_middle_halves(const MatmulArgs& args) {
  many_middle<Coding::kHalves>(args);
}

}  // namespace dormouse::cuda
