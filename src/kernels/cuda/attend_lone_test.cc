// Goal: nobody can tell whether a generated row went through attend_lone or through rotate_store and attend_rows: the
// same outputs and the same cache, to the bit. Method: both ways in the emulation, from the same cache and products.
#include "kernels/cuda/attend_lone.cuh"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "kernels/cuda/attend_rows.cuh"
#include "kernels/cuda/attention_fixture.h"
#include "kernels/cuda/emulator.h"
#include "kernels/test_data.h"

namespace dormouse::cuda {
namespace {

using kernels::test_seed;

// A row or two of different sequences: the second has the cache's last pages.
struct LoneRows {
  static constexpr int kKvHeads = 2;
  static constexpr int kLongest = 701;
  TestCache cache;
  int heads;
  int head_dim;
  std::vector<std::int32_t> positions;
  std::vector<std::int32_t> begins;
  std::vector<std::int32_t> items;
  std::vector<float> qkv;  // [rows, q then k then v then 16 floats of nobody]
  std::vector<float> q_norm;
  std::vector<float> k_norm;
  std::vector<float> rope;
  std::vector<float> out;

  LoneRows(int queries, int dim, bool is_q8, std::vector<std::int32_t> at, std::mt19937& random)
      : cache(kKvHeads, dim, is_q8, random),
        heads(queries * kKvHeads),
        head_dim(dim),
        positions(std::move(at)),
        begins({TestCache::kFirstPage, TestCache::kFirstPage + TestCache::kPages / 2}),
        items({0, 1}),
        qkv(random_floats(positions.size() * static_cast<std::size_t>(stride()), random)),
        q_norm(random_floats(static_cast<std::size_t>(dim), random)),
        k_norm(random_floats(static_cast<std::size_t>(dim), random)),
        rope(random_floats(static_cast<std::size_t>(kLongest * dim), random)),
        out(positions.size() * static_cast<std::size_t>(heads * dim), kUntouched) {
    // Behind a single row's token are NaNs; behind two rows' the tokens of others.
    cache.fill(positions.size() == 1 ? positions[0] + 1 : TestCache::kPages * kPageTokens, random);
  }
  [[nodiscard]] int stride() const { return (heads + 2 * kKvHeads) * head_dim + 16; }
  [[nodiscard]] int count() const { return static_cast<int>(positions.size()); }
  [[nodiscard]] int most_splits() const { return splits_of(*std::max_element(positions.begin(), positions.end()) + 1); }
  RotateStoreArgs step() {
    return {.q = qkv.data(),
            .k = qkv.data() + heads * head_dim,
            .v = qkv.data() + (heads + kKvHeads) * head_dim,
            .q_norm = q_norm.data(),
            .k_norm = k_norm.data(),
            .rope = rope.data(),
            .kv = cache.pages(),
            .rows = {positions.data(), begins.data(), cache.table()},
            .row_count = count(),
            .heads = heads,
            .kv_heads = kKvHeads,
            .head_dim = head_dim,
            .qkv_stride = stride(),
            .epsilon = 1e-6F};
  }

  void rotate_and_walk() {
    const RotateStoreArgs args = step();
    ASSERT_TRUE(
        emulator::run({.grid = {count(), rotate_store_blocks(heads, kKvHeads), 1}, .threads = kRotateStoreThreads},
                      [&] { rotate_store(args); }));
    const AttendRowsArgs attend = {.q = qkv.data(),
                                   .out = out.data(),
                                   .partials = nullptr,
                                   .items = items.data(),
                                   .kv = cache.pages(),
                                   .rows = args.rows,
                                   .heads = heads,
                                   .kv_heads = kKvHeads,
                                   .head_dim = head_dim,
                                   .qkv_stride = stride(),
                                   .max_splits = 0,
                                   .scale = kScale,
                                   .shared_splits = nullptr};
    const int shared = attend_rows_shared_bytes(head_dim, heads / kKvHeads);
    ASSERT_TRUE(emulator::run({.grid = {count(), kKvHeads, 1},
                               .threads = kAttendRowsThreads,
                               .shared_bytes = static_cast<std::size_t>(shared)},
                              [&] { attend_rows(attend); }));
  }
  // Blocks of so many splits, and as many blocks a row.
  void attend_alone(int splits, int blocks, float* partials) {
    const AttendLoneArgs args = {
        .step = step(), .out = out.data(), .partials = partials, .max_splits = splits * blocks, .scale = kScale};
    const int shared = attend_lone_shared_bytes(head_dim, heads / kKvHeads, splits);
    ASSERT_TRUE(emulator::run({.grid = {count(), kKvHeads, blocks},
                               .threads = splits * kLoneThreads,
                               .shared_bytes = static_cast<std::size_t>(shared)},
                              [&] { attend_lone(args); }));
  }
  void attend_in_parts(int splits) {
    const int blocks = (most_splits() + splits - 1) / splits + 1;  // the last has nothing to do
    const int queries = heads / kKvHeads;
    std::vector<Floats4> partials(
        static_cast<std::size_t>(count() * heads * splits * blocks * partial_floats(head_dim) / 4),
        Floats4{NAN, NAN, NAN, NAN});
    attend_alone(splits, blocks, &partials[0].x);
    const CombineSplitsArgs args = {.partials = &partials[0].x,
                                    .out = out.data(),
                                    .items = items.data(),
                                    .rows = step().rows,
                                    .heads = heads,
                                    .kv_heads = kKvHeads,
                                    .head_dim = head_dim,
                                    .max_splits = splits * blocks};
    ASSERT_TRUE(emulator::run({.grid = {count(), kKvHeads, queries},
                               .threads = kCombineSplitsThreads,
                               .shared_bytes = static_cast<std::size_t>(combine_splits_shared_bytes(head_dim))},
                              [&] { combine_splits(args); }));
  }
  void expect_same(const LoneRows& want) const {
    EXPECT_TRUE(kernels::all_same_bits(out, want.out));
    EXPECT_TRUE(cache.holds_what(want.cache));
  }

 private:
  static constexpr float kScale = 0.088F;
};

struct Heads {
  int head_dim;
  bool is_q8;
  int queries;
};
std::vector<Heads> all_heads() {
  std::vector<Heads> all;
  for (const int head_dim : {64, 128}) {
    for (const bool is_q8 : {false, true}) {
      for (const int queries : {1, 2, 4, 8}) all.push_back({head_dim, is_q8, queries});
    }
  }
  all.push_back({128, true, 5});
  return all;
}
std::string describe(const Heads& h, const std::vector<std::int32_t>& positions) {
  return "head_dim " + std::to_string(h.head_dim) + (h.is_q8 ? " q8 " : " fp16 ") + std::to_string(h.queries) +
         " queries, first at " + std::to_string(positions[0]);
}

using AttendLone = InBothOrders;

TEST_P(AttendLone, ABlockWithAllSplitsIsRotateStoreAndAttendRowsToTheBit) {
  std::mt19937 random(test_seed());
  for (const Heads& h : all_heads()) {
    for (const std::vector<std::int32_t>& positions :
         {std::vector<std::int32_t>{0}, {1, 200}, {31, 255}, {32, 63}, {64}}) {
      SCOPED_TRACE(describe(h, positions));
      LoneRows want(h.queries, h.head_dim, h.is_q8, positions, random);
      LoneRows got = want;
      want.rotate_and_walk();
      // The fewest warps an engine starts, which some heads must share.
      got.attend_alone(std::max(got.most_splits(), 2), 1, nullptr);
      got.expect_same(want);
    }
  }
}

TEST_P(AttendLone, PartsCombinedAreToo) {
  std::mt19937 random(test_seed());
  for (const Heads& h : all_heads()) {
    if (h.queries == 1 || h.queries == 2) continue;
    for (const std::vector<std::int32_t>& positions : {std::vector<std::int32_t>{256, 63}, {700}}) {
      SCOPED_TRACE(describe(h, positions));
      LoneRows want(h.queries, h.head_dim, h.is_q8, positions, random);
      LoneRows again = want;
      LoneRows got = want;
      want.rotate_and_walk();
      got.attend_in_parts(2);
      got.expect_same(want);
      again.attend_in_parts(kSplitChains);
      again.expect_same(want);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Orders, AttendLone, testing::Values(emulator::Order::kForwards, emulator::Order::kBackwards));

}  // namespace
}  // namespace dormouse::cuda
