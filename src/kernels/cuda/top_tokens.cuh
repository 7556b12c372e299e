// The likeliest tokens of each row of logits, in order and exactly: all that most requests draw from (engine/sampler.h,
// is_top_enough). Two launches: blocks find the best of 4,096 logits each (top_of_parts), one block a row the best of
// those (top_tokens). Only integers are compared, every number once: no result depends on the order of threads.
//
// Of a block, 256 threads with 16 numbers each: (1) a thread's best; (2) the 64th best of these, bit by bit, by 20 to
// 60 counting barriers; (3) numbers as good as that are in 64 threads at most: 64 to 1,024 of them, 75 in a row without
// a pattern, go to shared memory; (4) each counts those before it: that is its place.
//
// Arithmetic, 151,936 ids: 608 KB of logits a row are read once, 19 KB of parts written and read, 512 bytes copied to
// the host. About 40 instructions a logit. 256 rows, in microseconds: bytes over the data sheet's bandwidth, and
// instructions over 2 warps' a clock and multiprocessor (modelled; no card has run this):
//   T4    156 MB / 320 GB/s   490,  1.56 G / (40 x 64 x 1.59 GHz)   380
//   A100  156 MB / 1.56 TB/s  100,  1.56 G / (108 x 64 x 1.41 GHz)  160
//   H200  156 MB / 4.8 TB/s    33,  1.56 G / (132 x 64 x 1.98 GHz)   93
// One row: 38 blocks for as long as their barriers take, about 3 us, and once more that for the second launch.
#pragma once

#include "kernels/cuda/matmul_args.h"
#include "kernels/cuda/simt.h"

namespace dormouse::cuda {

// A logit and its id as one number: greater is likelier, the lower id among equals, and no two are alike. -0 equals 0.
// A logit that is not finite is before all others: the first of a row says whether the row is sound. 0: nothing.
DEVICE std::uint64_t rank_of(float logit, std::int32_t id) {
  std::uint32_t bits = float_to_bits(logit);
  if (bits == 0x80000000U) bits = 0;
  const bool is_finite = (bits & 0x7F800000U) != 0x7F800000U;
  const std::uint32_t order = bits >> 31 != 0 ? ~bits : bits | 0x80000000U;
  return std::uint64_t{is_finite ? order : 0xFFFFFFFFU} << 32 | ~static_cast<std::uint32_t>(id);
}
DEVICE std::int32_t id_of(std::uint64_t rank) {
  return static_cast<std::int32_t>(~static_cast<std::uint32_t>(rank));
}

// The greatest kTopTokens of what the block's threads have, in order, then zeros; in shared memory.
DEVICE const std::uint64_t* top_of_block(const std::uint64_t (&mine)[kTopEach]) {
  auto* found = reinterpret_cast<std::uint64_t*>(shared_memory());  // [kTopTokens * kTopEach]
  std::uint64_t* top = found + kTopTokens * kTopEach;               // [kTopTokens]
  int* count = reinterpret_cast<int*>(top + kTopTokens);
  if (thread_index() == 0) *count = 0;
  if (thread_index() < kTopTokens) top[thread_index()] = 0;
  std::uint64_t best = 0;
#pragma unroll
  for (int i = 0; i < kTopEach; ++i) best = mine[i] > best ? mine[i] : best;

  std::uint64_t least = 0;
  for (int bit = 63; bit >= 0; --bit) {
    const std::uint64_t tried = least | std::uint64_t{1} << bit;
    const int threads = sync_block_count(best >= tried);
    if (threads >= kTopTokens) least = tried;
    if (threads == kTopTokens) break;
  }
#pragma unroll
  for (int i = 0; i < kTopEach; ++i) {
    if (mine[i] != 0 && mine[i] >= least) found[fetch_add(count, 1)] = mine[i];
  }
  sync_block();
  const int total = *count;
  for (int i = thread_index(); i < total; i += kTopThreads) {
    int before = 0;
    for (int other = 0; other < total; ++other) before += found[other] > found[i] ? 1 : 0;
    if (before < kTopTokens) top[before] = found[i];
  }
  sync_block();
  return top;
}

// Grid: rows, parts. Shared: kTopSharedBytes.
DEVICE void top_of_parts(const TopTokensArgs& args) {
  let_next_begin();
  wait_for_previous();
  const float* logits = args.logits + std::int64_t{block_x()} * args.vocab;
  const int first = block_y() * kTopPart + thread_index();
  const auto rank_at = [&](int id) { return rank_of(logits[id], id); };
  std::uint64_t mine[kTopEach];
  if ((block_y() + 1) * kTopPart <= args.ids) {  // no load behind a branch of its own: all are under way at once
#pragma unroll
    for (int i = 0; i < kTopEach; ++i) mine[i] = rank_at(first + i * kTopThreads);
  } else {
#pragma unroll
    for (int i = 0; i < kTopEach; ++i) {
      const int id = first + i * kTopThreads;
      mine[i] = id < args.ids ? rank_at(id) : 0;
    }
  }
  const std::uint64_t* top = top_of_block(mine);
  if (thread_index() >= kTopTokens) return;
  const std::int64_t part = std::int64_t{block_x()} * top_parts(args.ids) + block_y();
  args.parts[part * kTopTokens + thread_index()] = top[thread_index()];
}

// Grid: rows. Shared: kTopSharedBytes. Logits come out with the bits they had.
DEVICE void top_tokens(const TopTokensArgs& args) {
  let_next_begin();
  wait_for_previous();
  const int total = top_parts(args.ids) * kTopTokens;
  const std::uint64_t* parts = args.parts + std::int64_t{block_x()} * total;
  std::uint64_t mine[kTopEach];
#pragma unroll
  for (int i = 0; i < kTopEach; ++i) {
    const int at = i * kTopThreads + thread_index();
    mine[i] = at < total ? parts[at] : 0;
  }
  const std::uint64_t* top = top_of_block(mine);
  if (thread_index() >= kTopTokens) return;
  const std::uint64_t rank = top[thread_index()];
  TopToken token{0.0F, -1};
  if (rank != 0) token = {args.logits[std::int64_t{block_x()} * args.vocab + id_of(rank)], id_of(rank)};
  args.out[std::int64_t{block_x()} * kTopTokens + thread_index()] = token;
}

}  // namespace dormouse::cuda
