// What each kernel is given. All pointers are device addresses (pointers here, so that kernels read them as such); all
// sizes are elements unless they say bytes. Shapes are row-major. Plain structs: nvcc and g++ must lay them out alike.
#pragma once

#include <cstdint>

// Of the functions below, which both host and kernels call.
#if defined(__CUDACC__)
#define ON_BOTH __host__ __device__
#else
#define ON_BOTH
#endif

namespace dormouse::cuda {

// Tokens of one KV page; equals sched::kPageTokens.
inline constexpr int kPageTokens = 32;
// A sequence's keys and values are walked in pieces of this many tokens, always from token 0: what the result of an
// attention depends on is fixed by position alone.
inline constexpr int kSplitTokens = 64;

// The cache on a device: [pages, layers, kv_heads, 2 (k, v)] of a head's page.
//   fp16  [32 tokens, head_dim] halves
//   q8    [32 tokens, head_dim] int8, then [32 tokens, head_dim / 32] halves, the scales; x = scale * q. Values lie in
//         order, keys as key_place() says.
struct KvPages {
  std::uint8_t* memory;      // layer 0, head 0, keys of page 0
  std::int64_t page_bytes;   // from one page to the next; less than 2 GiB
  std::int64_t layer_bytes;  // from one layer to the next
  std::int64_t head_bytes;   // from one KV head to the next
  std::int64_t value_bytes;  // from a head's keys to its values
  std::int32_t is_q8;
  std::int32_t layer;
};

// Where dimension `dim` of a q8 key lies in its token's row. Of every 64, 8 dimensions of one scale and 8 of the next
// share 16 bytes: so four lanes that load 16 bytes each hold whole scale groups, and a matrix product sums under one
// scale (attend_rows.cuh).
[[nodiscard]] ON_BOTH constexpr int key_place(int dim) {
  return dim / 64 * 64 + dim % 32 / 8 * 16 + dim / 32 % 2 * 8 + dim % 8;
}

// The rows of a step. A row's pages are pages[page_begin[row] + position / kPageTokens]. These tables, and the items of
// the kernels below, are read before wait_for_previous(): what writes them must be done before the kernel before the
// reader begins (copies before a step's first kernel are). Row 0 has a position and pages even where items are padding.
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

inline constexpr int kRopeTableThreads = 128;
[[nodiscard]] ON_BOTH constexpr int rope_table_blocks(int positions, int half_dim) {  // grid x
  return static_cast<int>((std::int64_t{positions} * half_dim + kRopeTableThreads - 1) / kRopeTableThreads);
}

// In place: each head of q and k its norm, then the rotation; then k and v into the row's page. A row whose position is
// negative is padding.
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
// grid (row_count, rotate_store_blocks()): a warp per head.
inline constexpr int kRotateStoreThreads = 128;
[[nodiscard]] ON_BOTH constexpr int rotate_store_blocks(int heads, int kv_heads) {
  return (heads + 2 * kv_heads + kRotateStoreThreads / 32 - 1) / (kRotateStoreThreads / 32);
}

// Generated rows: one row's query heads of one KV head over that sequence's tokens [0, position]. Three ways with the
// same bits: attend_rows walks all splits and writes `out`; attend_splits computes one split a block into `partials`
// and combine_splits merges them; attend_rest begins behind the splits that attend_shared walked (AttendSharedArgs).
struct AttendRowsArgs {
  const float* q;             // [rows, heads, head_dim], qkv_stride floats from row to row, 16-byte aligned
  float* out;                 // [rows, heads, head_dim], contiguous
  float* partials;            // attend_splits: [items, kv_heads, max_splits, queries, partial_floats(head_dim)]
  const std::int32_t* items;  // [items] row numbers; a negative one is padding
  KvPages kv;
  StepRows rows;
  std::int32_t heads;
  std::int32_t kv_heads;  // heads / kv_heads is at most kMostQueries
  std::int32_t head_dim;
  std::int32_t qkv_stride;
  std::int32_t max_splits;  // of partials
  float scale;
  const std::int32_t* shared_splits;  // attend_rest: [items], its first splits, which attend_shared has; else null
};
inline constexpr int kMostQueries = 8;
// A split's sums, then their maximum and weight; two floats keep the next query's sums 16-byte aligned.
[[nodiscard]] ON_BOTH constexpr int partial_floats(int head_dim) {
  return head_dim + 4;
}
[[nodiscard]] ON_BOTH constexpr int splits_of(int tokens) {
  return (tokens + kSplitTokens - 1) / kSplitTokens;
}
// attend_rows: grid (items, kv_heads). Warp w takes splits w, w + 4, ...; that order is part of the result.
inline constexpr int kAttendRowsThreads = 128;
inline constexpr int kSplitChains = kAttendRowsThreads / 32;
[[nodiscard]] ON_BOTH constexpr int attend_rows_slots(int head_dim, int queries) {  // of 16 bytes a lane
  return head_dim / 32 * (queries > 4 ? 2 : 1);
}
inline constexpr int kProbabilityBytes = kSplitTokens * 16;                   // a warp's
[[nodiscard]] ON_BOTH constexpr int query_bytes(int head_dim, int queries) {  // halves of 8 columns, 16 when wide
  return 16 * head_dim * (queries > 4 ? 2 : 1);
}
[[nodiscard]] ON_BOTH constexpr int attend_rows_shared_bytes(int head_dim, int queries) {
  return query_bytes(head_dim, queries) +
         kSplitChains * (kProbabilityBytes + 512 * attend_rows_slots(head_dim, queries) + 64);
}
// attend_splits: grid (items, kv_heads, max_splits).
inline constexpr int kAttendSplitsThreads = 32;
[[nodiscard]] ON_BOTH constexpr int attend_splits_shared_bytes(int head_dim, int queries) {
  return query_bytes(head_dim, queries) + kProbabilityBytes;
}

// Splits that several generated rows share, once for all rows of a tile: attend_shared walks the shared splits of one
// chain and writes what attend_rest's warp of that chain would have after them. Of `rows`, `partials` are [items,
// kv_heads, kSplitChains, queries, partial_floats(head_dim)], and `out` is not touched. The kernels in this order.
// grid (tiles, kv_heads, kSplitChains).
struct SharedTile {
  std::int32_t begin;  // of its members
  std::int32_t count;  // at most warps * shared_rows_a_warp()
  std::int32_t splits;
};
struct AttendSharedArgs {
  AttendRowsArgs rows;
  const SharedTile* tiles;      // [tiles]
  const std::int32_t* members;  // item numbers; the page tables of a tile's rows begin with the same 2 * splits pages
  std::int32_t warps;           // of a block, that have rows; all bring keys and values
  std::int32_t queries;         // heads / kv_heads
};
inline constexpr int kAttendSharedThreads = 256;
// That fit a multiprocessor together: a T4's 64 KiB of shared memory are one's.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
inline constexpr int kAttendSharedBlocks = 1;
#else
inline constexpr int kAttendSharedBlocks = 2;
#endif
[[nodiscard]] ON_BOTH constexpr int shared_rows_a_warp(int queries) {  // eight columns of a matrix product
  return queries > 4 ? 1 : 2;
}
// A split's keys and values as halves and the keys' scales as floats; each warp's queries, probabilities and states.
// Rows are longer than they must be, so that eight lanes read from all banks: of keys those of two tokens and four
// neighbouring chunks of 16 bytes, of values those of eight rows and one.
[[nodiscard]] ON_BOTH constexpr int shared_key_bytes(int head_dim) {
  return 2 * head_dim + 64;
}
[[nodiscard]] ON_BOTH constexpr int shared_value_bytes(int head_dim) {
  return 2 * head_dim + 16;
}
[[nodiscard]] ON_BOTH constexpr int shared_split_bytes(int head_dim) {
  return kSplitTokens * (shared_key_bytes(head_dim) + shared_value_bytes(head_dim) + head_dim / 8);
}
[[nodiscard]] ON_BOTH constexpr int shared_warp_bytes(int head_dim) {
  return query_bytes(head_dim, kMostQueries) + kProbabilityBytes + 64;
}
[[nodiscard]] ON_BOTH constexpr int attend_shared_shared_bytes(int head_dim, int warps) {
  return shared_split_bytes(head_dim) + warps * shared_warp_bytes(head_dim);
}

// Lone generated rows: each is its sequence's only row of the step. The bits of rotate_store and attend_rows (grid z is
// 1), or of rotate_store and attend_splits, in one launch; q stays what it was. A block takes `threads / kLoneThreads`
// neighbouring splits, four warps each: grid (row_count, kv_heads, splits over those of a block). Rows and items are
// the same here. Keys and values of earlier tokens are read before wait_for_previous(), as StepRows are.
struct AttendLoneArgs {
  RotateStoreArgs step;
  float* out;       // [rows, heads, head_dim], contiguous
  float* partials;  // as of AttendRowsArgs; null: the block has all splits, of which there are at most kSplitChains
  std::int32_t max_splits;  // of partials
  float scale;
};
inline constexpr int kLoneWarps = 4;  // of a split
inline constexpr int kLoneThreads = 32 * kLoneWarps;
inline constexpr int kMostLoneThreads = kSplitChains * kLoneThreads;
[[nodiscard]] ON_BOTH constexpr int lone_token_bytes(int head_dim) {  // the new token's key or value, and scales
  return 2 * head_dim + 16;
}
// Probabilities, the maxima of each warp's columns, what a softmax needs of the 8 columns, and the sums.
[[nodiscard]] ON_BOTH constexpr int lone_split_bytes(int head_dim, int queries) {
  return kProbabilityBytes + 32 * kLoneWarps + 64 + 16 * head_dim * (queries > 4 ? 2 : 1);
}
[[nodiscard]] ON_BOTH constexpr int attend_lone_shared_bytes(int head_dim, int queries, int splits) {
  return query_bytes(head_dim, queries) + 2 * lone_token_bytes(head_dim) + splits * lone_split_bytes(head_dim, queries);
}

// grid (items, kv_heads, heads / kv_heads).
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
inline constexpr int kCombineSplitsThreads = 32 * kSplitChains;
[[nodiscard]] ON_BOTH constexpr int combine_splits_shared_bytes(int head_dim) {
  return kSplitChains * 4 * (head_dim + 2);
}

// Prompt rows: up to kPromptRows neighbouring rows of one sequence, by tensor cores.
// grid (items, kv_heads, attend_prompt_groups()): a warp per query head.
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
inline constexpr int kAttendPromptThreads = 128;
inline constexpr int kPromptTokens = 64;  // of keys and values at a time, always from token 0
[[nodiscard]] ON_BOTH constexpr int attend_prompt_groups(int heads, int kv_heads) {
  return (heads / kv_heads + 3) / 4;
}
// fp16: keys and values twice. q8: once as halves, once as they come.
[[nodiscard]] ON_BOTH constexpr int attend_prompt_shared_bytes(int head_dim, bool is_q8) {
  const int halves = 2 * kPromptTokens * 2 * head_dim;
  return is_q8 ? halves + 2 * kPromptTokens * (head_dim + head_dim / 16) : 2 * halves;
}

}  // namespace dormouse::cuda
