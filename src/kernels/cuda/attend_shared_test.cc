// Goal: nobody can tell whether a row's shared splits went through attend_shared: what attend_rest makes of them is
// what attend_rows walks, to the bit. Method: both ways in the emulation, over page tables that begin alike.
#include "kernels/cuda/attend_shared.cuh"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "kernels/cuda/attention_fixture.h"
#include "kernels/cuda/emulator.h"
#include "kernels/test_data.h"

namespace dormouse::cuda {
namespace {

using kernels::test_seed;

constexpr int kKvHeads = 2;
constexpr int kSharedSplits = 6;
constexpr int kLonger = 7;  // of the second group

struct Case {
  int head_dim;
  bool is_q8;
  int queries;
};

// Rows 0..8 share kSharedSplits, rows 9..11 kLonger others; row 12 shares none. Items are in another order, with one of
// padding.
struct SharingRows {
  TestCache cache;
  int heads;
  int stride;
  std::vector<std::int32_t> positions = {384, 385, 447, 448, 511, 512, 640, 704, 400, 448, 480, 700, 90};
  std::vector<std::int32_t> begins;
  std::vector<std::int32_t> pages;
  std::vector<std::int32_t> items = {7, 12, 3, 0, 9, -1, 5, 1, 8, 10, 2, 11, 4, 6};
  std::vector<std::int32_t> shared_splits;
  std::vector<std::int32_t> members;
  std::vector<SharedTile> tiles;
  std::vector<float> q;
  std::vector<float> out;

  SharingRows(const Case& c, std::mt19937& random)
      : cache(kKvHeads, c.head_dim, c.is_q8, random),
        heads(c.queries * kKvHeads),
        stride(heads * c.head_dim + 32),
        q(random_floats(positions.size() * static_cast<std::size_t>(stride), random)),
        out(positions.size() * static_cast<std::size_t>(heads * c.head_dim), kUntouched) {
    cache.fill(TestCache::kPages * kPageTokens, random);
    const std::int32_t* all = cache.table() + TestCache::kFirstPage;
    for (std::size_t row = 0; row < positions.size(); ++row) {
      begins.push_back(static_cast<std::int32_t>(pages.size()));
      // The first group's prefix are the first pages, the second's the last; what follows is any.
      for (int i = 0; i <= positions[row] / kPageTokens; ++i) {
        const bool is_shared = i < 2 * splits_of_row(static_cast<std::int32_t>(row));
        const int any = static_cast<int>(random() % TestCache::kPages);
        pages.push_back(all[!is_shared ? any : row < 9 ? i : TestCache::kPages - 1 - i]);
      }
    }
  }
  [[nodiscard]] static int splits_of_row(std::int32_t row) {
    return row < 0 || row > 11 ? 0 : row < 9 ? kSharedSplits : kLonger;
  }
  [[nodiscard]] AttendRowsArgs args() {
    return {.q = q.data(),
            .out = out.data(),
            .partials = nullptr,
            .items = items.data(),
            .kv = cache.pages(),
            .rows = {positions.data(), begins.data(), pages.data()},
            .heads = heads,
            .kv_heads = kKvHeads,
            .head_dim = cache.head_dim,
            .qkv_stride = stride,
            .max_splits = kSplitChains,
            .scale = 0.088F,
            .shared_splits = shared_splits.data()};
  }
  void make_tiles(int rows_a_tile) {
    for (const int splits : {kSharedSplits, kLonger}) {
      const auto begin = static_cast<std::int32_t>(members.size());
      for (std::size_t i = 0; i < items.size(); ++i) {
        if (splits_of_row(items[i]) == splits) members.push_back(static_cast<std::int32_t>(i));
      }
      const auto end = static_cast<std::int32_t>(members.size());
      for (std::int32_t at = begin; at < end; at += rows_a_tile) {
        tiles.push_back({.begin = at, .count = std::min(rows_a_tile, end - at), .splits = splits});
      }
    }
    for (const std::int32_t row : items) shared_splits.push_back(splits_of_row(row));
  }

  void walk() {
    const AttendRowsArgs rows = args();
    const int shared = attend_rows_shared_bytes(cache.head_dim, heads / kKvHeads);
    ASSERT_TRUE(emulator::run({.grid = {static_cast<int>(items.size()), kKvHeads, 1},
                               .threads = kAttendRowsThreads,
                               .shared_bytes = static_cast<std::size_t>(shared)},
                              [&] { attend_rows(rows); }));
  }
  void share(int warps) {
    const int queries = heads / kKvHeads;
    make_tiles(warps * shared_rows_a_warp(queries));
    const auto count = static_cast<int>(items.size());
    const int floats = count * heads * kSplitChains * partial_floats(cache.head_dim);
    std::vector<Floats4> partials(static_cast<std::size_t>(floats / 4), Floats4{NAN, NAN, NAN, NAN});
    AttendRowsArgs rows = args();
    rows.partials = &partials[0].x;
    const AttendSharedArgs shared = {
        .rows = rows, .tiles = tiles.data(), .members = members.data(), .warps = warps, .queries = queries};
    ASSERT_TRUE(
        emulator::run({.grid = {static_cast<int>(tiles.size()), kKvHeads, kSplitChains},
                       .threads = kAttendSharedThreads,
                       .shared_bytes = static_cast<std::size_t>(attend_shared_shared_bytes(cache.head_dim, warps))},
                      [&] { attend_shared(shared); }));
    ASSERT_TRUE(
        emulator::run({.grid = {count, kKvHeads, 1},
                       .threads = kAttendRowsThreads,
                       .shared_bytes = static_cast<std::size_t>(attend_rows_shared_bytes(cache.head_dim, queries))},
                      [&] { attend_rest(rows); }));
  }
};

using AttendShared = InBothOrders;

TEST_P(AttendShared, ThenTheRestIsTheWalkToTheBit) {
  std::mt19937 random(test_seed());
  for (const int head_dim : {64, 128}) {
    for (const bool is_q8 : {false, true}) {
      for (const int queries : {3, 4, 6}) {
        const int warps = queries == 3 ? 8 : queries == 4 ? 2 : 4;
        SCOPED_TRACE("head_dim " + std::to_string(head_dim) + (is_q8 ? " q8 " : " fp16 ") + std::to_string(queries) +
                     " queries");
        SharingRows rows({head_dim, is_q8, queries}, random);
        rows.walk();
        const std::vector<float> walked = rows.out;
        std::fill(rows.out.begin(), rows.out.end(), kUntouched);
        rows.share(warps);
        ASSERT_GT(rows.tiles.size(), 1U);
        EXPECT_TRUE(kernels::all_same_bits(rows.out, walked));
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Orders, AttendShared,
                         testing::Values(emulator::Order::kForwards, emulator::Order::kBackwards));

// A T4's block has 64 KiB: eight rows at a time of the models with four queries a head.
TEST(AttendSharedBytes, FourWarpsFitEveryCard) {
  EXPECT_LE(attend_shared_shared_bytes(128, 4), 64 << 10);
  EXPECT_LE(2 * attend_shared_shared_bytes(128, 8), 162 << 10) << "two blocks of an A100's multiprocessor";
}

}  // namespace
}  // namespace dormouse::cuda
