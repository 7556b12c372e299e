// The kernels between a layer's first matmul and its second, in the emulation: against plain double arithmetic over the
// same cache, and with each other to the bit.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <random>
#include <vector>

#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/attention_fixture.h"
#include "kernels/cuda/emulator.h"
#include "kernels/test_data.h"

namespace dormouse::cuda {
namespace {

using kernels::test_seed;

// Generated rows have probabilities and q8 values rounded to halves (2^-11 each): measured here at most 4e-4. Prompt
// rows also have queries and q8 keys so, and an error of a large score is an error of its probability: at most 2.8e-3,
// 5e-4 root mean square.
constexpr double kMostError = 1e-3;
constexpr double kMostPromptError = 4e-3;
constexpr float kScale = 0.088F;

struct Case {
  int head_dim;
  bool is_q8;
  int queries;
};
std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (const int head_dim : {64, 128}) {
    for (const bool is_q8 : {false, true}) {
      for (const int queries : {1, 2, 4, 5, 8}) cases.push_back({head_dim, is_q8, queries});
    }
  }
  return cases;
}
std::string describe(const Case& c) {
  return "head_dim " + std::to_string(c.head_dim) + (c.is_q8 ? " q8 " : " fp16 ") + std::to_string(c.queries) +
         " queries";
}

// Rows of one sequence at given positions, and their queries.
struct TestRows {
  static constexpr int kKvHeads = 2;
  TestCache cache;
  int heads;
  int stride;
  std::vector<std::int32_t> positions;
  std::vector<std::int32_t> begins;
  std::vector<float> q;
  std::vector<float> out;

  TestRows(const Case& c, std::vector<std::int32_t> at, int tokens, std::mt19937& random)
      : cache(kKvHeads, c.head_dim, c.is_q8, random),
        heads(c.queries * kKvHeads),
        stride(heads * c.head_dim + 32),
        positions(std::move(at)),
        begins(positions.size(), TestCache::kFirstPage),
        q(random_floats(positions.size() * static_cast<std::size_t>(stride), random)),
        out(positions.size() * static_cast<std::size_t>(heads * c.head_dim), kUntouched) {
    cache.fill(tokens, random);
  }
  [[nodiscard]] StepRows rows() const { return {positions.data(), begins.data(), cache.table()}; }
  [[nodiscard]] const float* out_of(std::size_t row, int head) const {
    return out.data() + (row * static_cast<std::size_t>(heads) + static_cast<std::size_t>(head)) *
                            static_cast<std::size_t>(cache.head_dim);
  }
  void expect_close(double most_error) {
    for (std::size_t row = 0; row < positions.size(); ++row) {
      for (int head = 0; head < heads; ++head) {
        const std::vector<double> want =
            cache.attend(q.data() + row * static_cast<std::size_t>(stride) + head * cache.head_dim,
                         head / (heads / kKvHeads), positions[row], kScale);
        EXPECT_LT(relative_error(out_of(row, head), want), most_error)
            << "row " << row << " at " << positions[row] << ", head " << head;
      }
    }
  }
};

AttendRowsArgs attend_args(TestRows& rows, const std::vector<std::int32_t>& items) {
  return {.q = rows.q.data(),
          .out = rows.out.data(),
          .partials = nullptr,
          .items = items.data(),
          .kv = rows.cache.pages(),
          .rows = rows.rows(),
          .heads = rows.heads,
          .kv_heads = TestRows::kKvHeads,
          .head_dim = rows.cache.head_dim,
          .qkv_stride = rows.stride,
          .max_splits = 0,
          .scale = kScale,
          .shared_splits = nullptr};
}

void walk(TestRows& rows, const std::vector<std::int32_t>& items) {
  const AttendRowsArgs args = attend_args(rows, items);
  const int shared = attend_rows_shared_bytes(args.head_dim, args.heads / args.kv_heads);
  ASSERT_TRUE(emulator::run({.grid = {static_cast<int>(items.size()), args.kv_heads, 1},
                             .threads = kAttendRowsThreads,
                             .shared_bytes = static_cast<std::size_t>(shared)},
                            [&] { attend_rows(args); }));
}

void split_and_combine(TestRows& rows, const std::vector<std::int32_t>& items, int max_splits) {
  AttendRowsArgs args = attend_args(rows, items);
  const int queries = args.heads / args.kv_heads;
  const int count = static_cast<int>(items.size());
  std::vector<Floats4> partials(
      static_cast<std::size_t>(count * args.kv_heads * max_splits * queries * partial_floats(args.head_dim) / 4),
      Floats4{NAN, NAN, NAN, NAN});
  args.partials = &partials[0].x;
  args.max_splits = max_splits;
  ASSERT_TRUE(
      emulator::run({.grid = {count, args.kv_heads, max_splits},
                     .threads = kAttendSplitsThreads,
                     .shared_bytes = static_cast<std::size_t>(attend_splits_shared_bytes(args.head_dim, queries))},
                    [&] { attend_splits(args); }));
  const CombineSplitsArgs combine = {.partials = args.partials,
                                     .out = args.out,
                                     .items = args.items,
                                     .rows = args.rows,
                                     .heads = args.heads,
                                     .kv_heads = args.kv_heads,
                                     .head_dim = args.head_dim,
                                     .max_splits = max_splits};
  ASSERT_TRUE(emulator::run({.grid = {count, args.kv_heads, queries},
                             .threads = kCombineSplitsThreads,
                             .shared_bytes = static_cast<std::size_t>(combine_splits_shared_bytes(args.head_dim))},
                            [&] { combine_splits(combine); }));
}

using AttendRows = InBothOrders;

TEST_P(AttendRows, WalkIsCloseToDoubles) {
  std::mt19937 random(test_seed());
  for (const Case& c : all_cases()) {
    SCOPED_TRACE(describe(c));
    TestRows rows(c, {0, 1, 31, 32, 63, 64, 200, 352}, 353, random);
    walk(rows, {0, 1, 2, 3, 4, 5, 6, 7});
    rows.expect_close(kMostError);
  }
}

// One query per step and per launch, or all splits at once: a reader must not be able to tell.
TEST_P(AttendRows, SplitsCombinedAreTheWalkToTheBit) {
  std::mt19937 random(test_seed());
  for (const Case& c : all_cases()) {
    SCOPED_TRACE(describe(c));
    TestRows rows(c, {0, 1, 31, 32, 63, 64, 200, 352}, 353, random);
    const std::vector<std::int32_t> items = {7, 1, 6, 3, 2, 5, 4, 0};
    walk(rows, items);
    const std::vector<float> walked = rows.out;
    std::fill(rows.out.begin(), rows.out.end(), kUntouched);
    split_and_combine(rows, items, splits_of(353) + 1);
    EXPECT_TRUE(kernels::all_same_bits(rows.out, walked));
  }
}

TEST_P(AttendRows, PaddingTouchesNothing) {
  std::mt19937 random(test_seed());
  TestRows rows({128, true, 4}, {40, 70}, 71, random);
  walk(rows, {-1, 1, -1});
  TestRows again = rows;
  split_and_combine(rows, {-1, 1, -1}, 2);
  EXPECT_TRUE(kernels::all_same_bits(rows.out, again.out));
  for (int head = 0; head < rows.heads; ++head) {
    EXPECT_EQ(rows.out_of(0, head)[0], kUntouched);
    EXPECT_NE(rows.out_of(1, head)[0], kUntouched);
  }
}

INSTANTIATE_TEST_SUITE_P(Orders, AttendRows, testing::Values(emulator::Order::kForwards, emulator::Order::kBackwards));

void attend_prompt_rows(TestRows& rows, const std::vector<PromptItem>& items) {
  const AttendPromptArgs args = {.q = rows.q.data(),
                                 .out = rows.out.data(),
                                 .items = items.data(),
                                 .kv = rows.cache.pages(),
                                 .rows = rows.rows(),
                                 .heads = rows.heads,
                                 .kv_heads = TestRows::kKvHeads,
                                 .head_dim = rows.cache.head_dim,
                                 .qkv_stride = rows.stride,
                                 .scale = kScale};
  const int shared = attend_prompt_shared_bytes(args.head_dim, rows.cache.is_q8);
  ASSERT_TRUE(emulator::run(
      {.grid = {static_cast<int>(items.size()), args.kv_heads, attend_prompt_groups(args.heads, args.kv_heads)},
       .threads = kAttendPromptThreads,
       .shared_bytes = static_cast<std::size_t>(shared)},
      [&] { attend_prompt(args); }));
}

std::vector<std::int32_t> positions_from(int first, int count) {
  std::vector<std::int32_t> positions(static_cast<std::size_t>(count));
  std::iota(positions.begin(), positions.end(), first);
  return positions;
}

using AttendPrompt = InBothOrders;

TEST_P(AttendPrompt, RowsAreCloseToDoubles) {
  std::mt19937 random(test_seed());
  for (const Case& c : all_cases()) {
    SCOPED_TRACE(describe(c));
    TestRows begin(c, positions_from(0, 21), 21, random);
    attend_prompt_rows(begin, {{0, 16}, {16, 5}});
    begin.expect_close(kMostPromptError);
    TestRows later(c, positions_from(190, 16), 206, random);
    attend_prompt_rows(later, {{0, 2}, {2, 14}, {0, 0}});
    later.expect_close(kMostPromptError);
  }
}

// Rows 50..89 at once, and cut elsewhere: positions 63 and 64 are in different blocks of tokens.
TEST_P(AttendPrompt, CutsDoNotShow) {
  std::mt19937 random(test_seed());
  for (const bool is_q8 : {false, true}) {
    TestRows rows({128, is_q8, 4}, positions_from(50, 40), 90, random);
    attend_prompt_rows(rows, {{0, 16}, {16, 16}, {32, 8}});
    const std::vector<float> whole = rows.out;
    for (const std::vector<PromptItem>& cut :
         {std::vector<PromptItem>{{0, 1}, {1, 15}, {16, 12}, {28, 12}}, {{0, 14}, {14, 1}, {15, 16}, {31, 9}}}) {
      std::fill(rows.out.begin(), rows.out.end(), kUntouched);
      attend_prompt_rows(rows, cut);
      EXPECT_TRUE(kernels::all_same_bits(rows.out, whole));
    }
  }
}

TEST_P(AttendPrompt, PaddingTouchesNothing) {
  std::mt19937 random(test_seed());
  TestRows rows({64, false, 2}, positions_from(0, 4), 4, random);
  attend_prompt_rows(rows, {{0, 0}, {1, 2}});
  EXPECT_EQ(rows.out_of(0, 0)[0], kUntouched);
  EXPECT_NE(rows.out_of(1, 0)[0], kUntouched);
  EXPECT_NE(rows.out_of(2, 0)[0], kUntouched);
  EXPECT_EQ(rows.out_of(3, 0)[0], kUntouched);
}

INSTANTIATE_TEST_SUITE_P(Orders, AttendPrompt,
                         testing::Values(emulator::Order::kForwards, emulator::Order::kBackwards));

}  // namespace
}  // namespace dormouse::cuda
