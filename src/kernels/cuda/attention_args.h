// What each kernel is given. All pointers are device addresses (pointers here, so that kernels read them as such); all
// sizes are elements unless they say bytes. Shapes are row-major. Plain structs: nvcc and g++ must lay them out alike.
#pragma once

#include <cstdint>

namespace dormouse::cuda {

// Tokens of one KV page; equals sched::kPageTokens.
inline constexpr int kPageTokens = 32;
// A sequence's keys and values are walked in pieces of this many tokens, always from token 0: what the result of an
// attention depends on is fixed by position alone.
inline constexpr int kSplitTokens = 64;

// The cache on a device: [pages, layers, kv_heads, 2 (k, v)] of a head's page.
//   fp16  [32 tokens, head_dim] halves
//   q8    [32 tokens, head_dim] int8, then [32 tokens, head_dim / 32] halves, the scales; x = scale * q
struct KvPages {
  std::uint8_t* memory;      // layer 0, head 0, keys of page 0
  std::int64_t page_bytes;   // from one page to the next
  std::int64_t layer_bytes;  // from one layer to the next
  std::int64_t head_bytes;   // from one KV head to the next
  std::int64_t value_bytes;  // from a head's keys to its values
  std::int32_t is_q8;
  std::int32_t layer;
};

// The rows of a step. A row's pages are pages[page_begin[row] + position / kPageTokens].
struct StepRows {
  const std::int32_t* positions;   // [rows]
  const std::int32_t* page_begin;  // [rows]
  const std::int32_t* pages;
};

// cosines and sines of position * frequency, angles in double: [positions, head_dim / 2, 2 (cosine, sine)].
struct RopeTableArgs {
  float* out;
  const double* frequencies;  // [head_dim / 2]
  std::int32_t positions;
  std::int32_t half_dim;
};

// In place: each head of q and k its norm, then the rotation; then k and v into the row's page.
struct RotateStoreArgs {
  float* q;  // [rows, heads, head_dim], `qkv_stride` floats from row to row, as k and v
  float* k;  // [rows, kv_heads, head_dim]
  const float* v;
  const float* q_norm;  // [head_dim]
  const float* k_norm;
  const float* rope;  // RopeTableArgs::out
  KvPages kv;
  StepRows rows;
  std::int32_t row_count;
  std::int32_t heads;
  std::int32_t kv_heads;
  std::int32_t head_dim;  // 64 or 128
  std::int32_t qkv_stride;
  float epsilon;
};

// Generated rows: one row's query heads of one KV head over that sequence's tokens [0, position].
struct AttendRowsArgs {
  const float* q;   // [rows, heads, head_dim], qkv_stride floats from row to row
  float* out;       // [rows, heads, head_dim], contiguous
  float* partials;  // [items, kv_heads, max_splits, queries, head_dim + 2]: sums, then maximum and weight; one_split
  const std::int32_t* items;  // [items] row numbers; a negative one is padding
  KvPages kv;
  StepRows rows;
  std::int32_t heads;
  std::int32_t kv_heads;
  std::int32_t head_dim;
  std::int32_t qkv_stride;
  std::int32_t one_split;   // 1: block z is one split, into partials; 0: a block walks all splits, into out
  std::int32_t max_splits;  // of partials
  float scale;
};
struct CombineSplitsArgs {
  const float* partials;
  float* out;
  const std::int32_t* items;
  StepRows rows;
  std::int32_t heads;
  std::int32_t kv_heads;
  std::int32_t head_dim;
  std::int32_t max_splits;
};

// Prompt rows: up to kPromptRows neighbouring rows of one sequence, by tensor cores.
inline constexpr int kPromptRows = 16;
struct PromptItem {
  std::int32_t row;
  std::int32_t count;
};
struct AttendPromptArgs {
  const float* q;
  float* out;
  const PromptItem* items;  // [items]; count 0 is padding
  KvPages kv;
  StepRows rows;
  std::int32_t heads;
  std::int32_t kv_heads;
  std::int32_t head_dim;
  std::int32_t qkv_stride;
  float scale;
};

}  // namespace dormouse::cuda
