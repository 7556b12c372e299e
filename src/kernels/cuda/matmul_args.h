// What the kernels that work on rows and matrices are given. All pointers are device addresses; sizes are elements
// unless they say bytes. Plain structs: nvcc and g++ must lay them out alike.
//
// The arithmetic of a product on a device, the same bits in every kernel and at every number of rows:
//   Activations are coded per 256 (K-quants) or per 32 (Q8_0) as in kernels.h, or, for float weights, as two halves and
//   a power of two. Weights of 16 rows x 256 columns (a tile, kernels/layout.h) times 256 codes is a sum of integers,
//   done by tensor cores on halves: every product is exact, and so is the sum below 2^24, in any order. With d, dmin of
//   the weights and da of the activations a tile gives
//     t = (d * da) * sum;  t = fma(-(dmin * da), minima, t)        Q8_0: t = fma(d_g * da_g, sum_g, t) for its 8 groups
//   and a result is the sum of its tiles' t, one after the other in k, from 0.
#pragma once

#include <cstdint>

#include "base/tensor_type.h"

namespace dormouse::cuda {

enum class Coding : std::int32_t {
  kK,       // int8 codes, a scale per 256, sums of 16 and 32 codes
  kQ8_0,    // int8 codes, a scale per 32
  kHalves,  // x = scale * (high + low), scale a power of two per 256
};

constexpr Coding coding_of(TensorType type) {
  switch (type) {
    case TensorType::kQ8_0: return Coding::kQ8_0;
    case TensorType::kF16:
    case TensorType::kBF16: return Coding::kHalves;
    default: return Coding::kK;
  }
}

// Activation rows as the products read them. `rows` is the stride between blocks of scales and sums.
struct CodedRows {
  std::uint16_t* codes;   // [rows, k] halves; kHalves: [2, rows, k], high then low
  float* scales;          // [k / 256, rows]; kQ8_0: [k / 32, rows]
  std::uint16_t* sums16;  // kK: [k / 256, rows, 16] halves: the sums of 16 codes
  std::uint16_t* sums32;  // kK: [k / 256, rows, 16] halves: sums of 32 codes s as s >> 4 (8 of them), then s & 15
  std::int32_t rows;
};

// Rows of the embedding, dequantised.
struct EmbedArgs {
  float* out;                   // [rows, columns]
  const std::int32_t* tokens;   // [rows]
  const std::uint8_t* weights;  // packed
  std::int64_t strip_bytes;
  std::int32_t type;  // TensorType
  std::int32_t columns;
};

// Grid: one block a row. x, or its norm, coded.
struct QuantiseArgs {
  const float* x;                 // [.., k], `x_stride` floats from row to row
  const float* norm;              // [k]; null: x as it is
  const std::int32_t* row_index;  // row i takes x row row_index[i]; null: row i
  CodedRows out;
  std::int32_t x_stride;
  std::int32_t k;
  Coding coding;
  std::int32_t permuted;  // 1: codes in the order of matmul_wide.cuh
  float epsilon;
};

// Where each row's largest logit is, the lower id on ties: [rows].
struct BestTokensArgs {
  std::int32_t* out;
  const float* logits;  // [rows, vocab]
  std::int32_t vocab;
};

// The likeliest tokens of rows, most likely first, the lower id on ties (top_tokens.cuh).
inline constexpr std::int32_t kTopTokens = 64;
inline constexpr std::int32_t kTopThreads = 256;
inline constexpr std::int32_t kTopEach = 16;  // of a thread
inline constexpr std::int32_t kTopPart = kTopThreads * kTopEach;
inline constexpr std::int64_t kTopSharedBytes = 8 * (kTopTokens * kTopEach + kTopTokens) + 16;
// What one block takes of the blocks' before it.
inline constexpr std::int32_t kMostTopIds = kTopPart / kTopTokens * kTopPart;
constexpr std::int32_t top_parts(std::int32_t ids) {
  return (ids + kTopPart - 1) / kTopPart;
}
struct TopToken {
  float logit;
  std::int32_t token;  // -1: the row has no more
};
// Grid of top_of_parts: rows, top_parts(ids); of top_tokens: rows.
struct TopTokensArgs {
  TopToken* out;         // [rows, kTopTokens]
  std::uint64_t* parts;  // [rows, top_parts(ids), kTopTokens]
  const float* logits;   // [rows, vocab]
  std::int32_t vocab;
  std::int32_t ids;  // the first so many of a row take part; at most kMostTopIds
};

struct MatrixPart {
  const std::uint8_t* weights;  // packed
  float* out;                   // [tokens, out_stride]
  std::int64_t strip_bytes;
  std::int32_t type;  // TensorType
  std::int32_t strips;
  std::int32_t rows;
  std::int32_t out_stride;
};

enum class Epilogue : std::int32_t {
  kStore,
  kAdd,     // out += result
  kSwiglu,  // parts[0] gate, parts[1] up, alike: parts[0].out = silu(gate) * up
};
enum class Input : std::int32_t {
  kCoded,
  kPlain,  // one row of floats, coded by each block for itself
  kNorm,   // the same of its norm
};

// Products of several matrices with the same rows. All parts have one coding.
struct MatmulArgs {
  MatrixPart parts[3];
  CodedRows coded;
  const float* x;     // kPlain, kNorm: [k]
  const float* norm;  // kNorm: [k]
  std::int32_t part_count;
  std::int32_t k;
  std::int32_t tokens;
  Coding coding;
  Epilogue epilogue;
  Input input;
  float epsilon;
  std::int32_t strips_a_block;  // matmul_one
};

// Every product kernel's grid x: part by part, blocks of so many strips (kSwiglu: of gate, and as many of up).
constexpr int parts_across(const MatmulArgs& args) {
  return args.epilogue == Epilogue::kSwiglu ? 1 : args.part_count;
}
constexpr int blocks_of(const MatrixPart& part, int strips_a_block) {
  return (part.strips + strips_a_block - 1) / strips_a_block;
}
constexpr int blocks_across(const MatmulArgs& args, int strips_a_block) {
  int blocks = 0;
  for (int i = 0; i < parts_across(args); ++i) blocks += blocks_of(args.parts[i], strips_a_block);
  return blocks;
}

// matmul_few: up to this many rows, a block per strip of 16 weight rows. A unit is a tile of a strip (kSwiglu: of
// gate's, then of up's); a warp takes one or a few of them.
inline constexpr int kFewRows = 8;
constexpr int few_warps(int units) {
  if (units <= 16) return units;
  const int rounds = (units + 19) / 20 < 2 ? 2 : (units + 19) / 20;
  return (units + rounds - 1) / rounds;
}
// Its shared memory: the units' results, and what a row coded by the block takes.
constexpr std::int64_t few_partial_bytes(int units, int tokens) {
  return std::int64_t{64} * units * tokens;
}
constexpr std::int64_t few_coded_bytes(std::int64_t k, Coding coding) {
  const std::int64_t planes = coding == Coding::kHalves ? 2 : 1;
  return 2 * planes * k + 4 * (coding == Coding::kQ8_0 ? k / 32 : k / 256) + 64 * (k / 256) + 4 * (k / 256);
}

// matmul_one: a row that is not coded yet, and not all K-quants. A warp takes the same tile of each of a strip's
// matrices (kSwiglu: gate's and up's), and codes the 256 activations they meet for itself.
constexpr bool one_multiplies(TensorType type) {
  return coding_of(type) != Coding::kK || type == TensorType::kQ4_K || type == TensorType::kQ6_K;
}
// Measured on an H200: 16 tiles of K-quants are fastest with a warp each, 38 with 13 warps. The others, whose tiles are
// larger: ten, so that two blocks on a multiprocessor have 96 registers a thread; not measured.
constexpr int one_most_warps(Coding coding) {
  return coding == Coding::kK ? 16 : 10;
}
// Measured on an H200 with 132 multiprocessors: 160 strips are fastest one a block, 384 and 608 two, 9,496 nine.
// Not measured: Q8_0, taken to be alike, and halves, of which four strips are as many bytes as 14 of Q4_K: coding the
// row again costs a block less, and the last blocks of a launch end closer to each other.
constexpr int one_strips_a_block(Coding coding, int strips, int multiprocessors) {
  if (strips <= 2 * multiprocessors) return 1;
  if (strips <= 6 * multiprocessors) return 2;
  return coding == Coding::kHalves ? 4 : 9;
}
constexpr int one_warps(Coding coding, int tiles) {
  const int rounds = (tiles + one_most_warps(coding) - 1) / one_most_warps(coding);
  return (tiles + rounds - 1) / rounds;
}
// Bytes between neighbouring parts of 64 codes: 16 more than they have, so that four lanes that read 16 bytes of a part
// each touch different banks.
inline constexpr int kOnePartBytes = 80;
// 256 coded activations: codes and a scale; kK: eight sums too; kQ8_0: eight scales; kHalves: two planes.
constexpr int one_block_bytes(Coding coding) {
  switch (coding) {
    case Coding::kK: return 4 * kOnePartBytes + 48;
    case Coding::kQ8_0: return 4 * kOnePartBytes + 32;
    case Coding::kHalves: return 4 * 256 + 16;
  }
  return 0;
}
// Scales of a tile of K-quants, which a warp's lanes hand to each other.
inline constexpr int kOneHeadBytes = 256;
// Its shared memory: coded blocks, the norm's weights, the results of `units` tiles, each warp's heads, the blocks'
// squares.
constexpr std::int64_t one_shared_bytes(Coding coding, int units, int tiles, Input input) {
  const std::int64_t norm = input == Input::kNorm ? 1024 + 4 : 0;
  const std::int64_t heads = coding == Coding::kK ? std::int64_t{kOneHeadBytes} * one_warps(coding, tiles) : 0;
  return std::int64_t{128} * units + (one_block_bytes(coding) + norm) * tiles + heads;
}

// matmul_many and matmul_middle: a block takes this many strips and rows at a time (kSwiglu: half of the strips each
// from gate and up).
struct ManyShape {
  int row_warps, token_warps, token_tiles;
  constexpr int threads() const { return 32 * row_warps * token_warps; }
  constexpr int strips() const { return 2 * row_warps; }
  constexpr int strips_a_block(Epilogue epilogue) const {
    return epilogue == Epilogue::kSwiglu ? strips() / 2 : strips();
  }
  constexpr int tokens() const { return 8 * token_warps * token_tiles; }
  constexpr int shared_bytes(Coding coding) const {
    return kManyStages * 128 * tokens() * (coding == Coding::kHalves ? 2 : 1);
  }
  static constexpr int kManyStages = 3;
};
// Codings with a scale per 32 columns, or two planes, need more registers a row.
constexpr ManyShape many_shape(Coding coding) {
  return coding == Coding::kK ? ManyShape{4, 2, 8} : ManyShape{4, 2, 4};
}
constexpr ManyShape middle_shape(Coding coding) {
  return coding == Coding::kK ? ManyShape{2, 2, 4} : ManyShape{2, 2, 2};
}
// matmul_wide and matmul_narrow (Hopper): groups of four warps, each with four strips and all of the block's rows.
struct WideShape {
  int groups, token_tiles;
  constexpr int threads() const { return 128 * groups; }
  constexpr int strips() const { return 4 * groups; }
  constexpr int strips_a_block(Epilogue epilogue) const {
    return epilogue == Epilogue::kSwiglu ? strips() / 2 : strips();
  }
  constexpr int tokens() const { return 8 * token_tiles; }
  // Stages of 64 columns of codes; scales and sums of tiles. kQ8_0: two scales of each row a stage, and the results.
  // kHalves: codes have two planes.
  constexpr int shared_bytes(Coding coding) const {
    switch (coding) {
      case Coding::kK: return kStages * 128 * tokens() + kExtras * 36 * tokens();
      case Coding::kQ8_0: return kStages * (128 + 8) * tokens() + 64 * strips() * tokens();
      case Coding::kHalves: return kHalvesStages * 256 * tokens() + kExtras * 4 * tokens();
    }
    return 0;
  }
  static constexpr int kStages = 8;
  static constexpr int kHalvesStages = 4;
  static constexpr int kExtras = 4;
};
inline constexpr WideShape kWideShape = {2, 16};
inline constexpr WideShape kNarrowShape = {1, 8};
// Rows of CodedRows are padded to a multiple of this: blocks read whole tiles of scales and sums.
inline constexpr int kCodedRowMultiple = 128;

}  // namespace dormouse::cuda
