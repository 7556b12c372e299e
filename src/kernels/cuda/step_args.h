// What decode_step is given: all layers of one row in one launch. Plain structs: nvcc and g++ must lay them out alike.
#pragma once

#include <cstdint>

#include "kernels/cuda/attention_args.h"
#include "kernels/cuda/matmul_args.h"

namespace dormouse::cuda {

struct StepMatrix {
  const std::uint8_t* weights;  // packed
  std::int64_t strip_bytes;
  std::int32_t type;  // TensorType; all of one coding, one_multiplies()
  std::int32_t strips;
};
// In the order in which they are used.
enum StepMatrixAt { kStepQ, kStepK, kStepV, kStepOutput, kStepGate, kStepUp, kStepDown, kStepMatrices };
struct StepLayer {
  StepMatrix matrices[kStepMatrices];
  const float* attention_norm;  // [hidden]
  const float* ffn_norm;        // [hidden]
  const float* q_norm;          // [head_dim]
  const float* k_norm;
};

// Of a layer's four products: alike in all layers, but for the matrices' types.
struct StepProduct {
  const float* in;  // [k]
  float* out;       // [16 * strips]
  std::int32_t k;
  std::int32_t first;   // StepMatrixAt
  std::int32_t strips;  // of all its matrices one after the other; kSwiglu: of gate
  Epilogue epilogue;
};
inline constexpr int kStepProducts = 4;

// `attend` and `combine` are layer 0's; the kernel puts in a layer's number and norms. attend.partials null: a block
// has all splits, of which there are at most a quarter as many as warps.
struct DecodeStepArgs {
  const StepLayer* layers;  // [layer_count]
  // Of the grid's barriers, 0 between launches.
  std::uint32_t* arrivals;
  StepProduct products[kStepProducts];  // q, k and v; output; gate and up; down
  AttendLoneArgs attend;
  CombineSplitsArgs combine;
  std::int32_t layer_count;
  std::int32_t work_bytes;  // step_work_bytes()
  float epsilon;
};

// Tiles of a warp that are under way or being used: 16 warps have 3 times 54 KB in flight on a multiprocessor, which at
// a 132nd of 4.3 TB/s come in 5 us, about the time from one barrier to the next. Larger tiles: as much of fewer.
constexpr int step_slots(Coding coding) {
  return coding == Coding::kK ? 3 : 2;
}
constexpr int step_tile_bytes(Coding coding) {
  switch (coding) {
    case Coding::kK: return 3360;  // Q6_K
    case Coding::kQ8_0: return 4352;
    case Coding::kHalves: return 8192;
  }
  return 0;
}
// Of a warp: tiles, and what each is.
constexpr int step_ring_bytes(Coding coding) {
  return step_slots(coding) * (step_tile_bytes(coding) + 16);
}
inline constexpr int kMostStepWarps = 16;

// Grid x: at most a block a multiprocessor, together. Warps: a multiple of four. Shared: what products or attention
// need, whichever is more, then the warps' rings.
constexpr std::int64_t step_product_bytes(const StepProduct& product, Coding coding, int blocks) {
  const std::int64_t tiles = product.k / 256;
  const std::int64_t matrices = product.epilogue == Epilogue::kSwiglu ? 2 : 1;
  const std::int64_t strips = (product.strips + blocks - 1) / blocks;
  return tiles * (one_block_bytes(coding) + 4) + 64 * tiles * matrices * strips + 12;
}
constexpr std::int64_t step_work_bytes(const DecodeStepArgs& args, Coding coding, int blocks, int warps) {
  const int queries = args.attend.step.heads / args.attend.step.kv_heads;
  std::int64_t most = attend_lone_shared_bytes(args.attend.step.head_dim, queries, warps / kLoneWarps);
  const std::int64_t combining = warps / kSplitChains * combine_splits_shared_bytes(args.attend.step.head_dim);
  if (combining > most) most = combining;
  for (const StepProduct& product : args.products) {
    const std::int64_t bytes = step_product_bytes(product, coding, blocks);
    if (bytes > most) most = bytes;
  }
  return (most + 127) / 128 * 128;
}

}  // namespace dormouse::cuda
