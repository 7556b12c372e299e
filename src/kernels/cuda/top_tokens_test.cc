// Goal: the likeliest tokens of a row to the bit, whatever the row. Method: both launches in the emulation, threads
// forwards and backwards, against std::partial_sort; ids that stand for nothing are poison. And the likeliest alone
// (rows.cuh), against a loop over all ids.
#include "kernels/cuda/top_tokens.cuh"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "kernels/cuda/attention_fixture.h"
#include "kernels/cuda/emulator.h"
#include "kernels/cuda/rows.cuh"
#include "kernels/cuda/top_tokens_fixture.h"
#include "kernels/test_data.h"

namespace dormouse::cuda {
namespace {

using kernels::test_seed;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr std::int32_t kPadding = 5;  // ids of a row behind those that count

// Rows as the device has them: after the last id comes padding that would win.
struct Rows {
  std::int32_t count;
  std::int32_t ids;
  std::vector<float> logits;

  Rows(std::int32_t rows, std::int32_t row_ids, const std::function<float(std::int32_t)>& logit)
      : count(rows), ids(row_ids) {
    for (std::int32_t row = 0; row < rows; ++row) {
      for (std::int32_t id = 0; id < ids; ++id) logits.push_back(logit(id));
      for (std::int32_t i = 0; i < kPadding; ++i) logits.push_back(i % 2 == 0 ? NAN : 1e30F);
    }
  }
  [[nodiscard]] std::int32_t vocab() const { return ids + kPadding; }
  [[nodiscard]] const float* row(std::int32_t at) const { return logits.data() + std::int64_t{at} * vocab(); }
};

std::vector<TopToken> run(const Rows& rows) {
  const std::int32_t parts = top_parts(rows.ids);
  std::vector<std::uint64_t> between(static_cast<std::size_t>(rows.count * parts * kTopTokens), ~std::uint64_t{0});
  std::vector<TopToken> out(static_cast<std::size_t>(rows.count * kTopTokens) + 1, {kUntouched, -77});
  const TopTokensArgs args{
      .out = out.data(), .parts = between.data(), .logits = rows.logits.data(), .vocab = rows.vocab(), .ids = rows.ids};
  const auto shared = static_cast<std::size_t>(kTopSharedBytes);
  EXPECT_TRUE(emulator::run({.grid = {rows.count, parts, 1}, .threads = kTopThreads, .shared_bytes = shared},
                            [&] { top_of_parts(args); }));
  EXPECT_TRUE(emulator::run({.grid = {rows.count, 1, 1}, .threads = kTopThreads, .shared_bytes = shared},
                            [&] { top_tokens(args); }));
  EXPECT_EQ(out.back().token, -77) << "written behind the end";
  return out;
}

void expect_top(const Rows& rows, const std::string& what) {
  const std::vector<TopToken> got = run(rows);
  for (std::int32_t row = 0; row < rows.count; ++row) {
    const std::vector<TopToken> want = expected_top(rows.row(row), rows.ids);
    for (std::size_t i = 0; i < want.size(); ++i) {
      const TopToken& one = got[static_cast<std::size_t>(row * kTopTokens) + i];
      ASSERT_EQ(one.token, want[i].token) << what << ", " << rows.ids << " ids, row " << row << ", place " << i;
      ASSERT_EQ(std::bit_cast<std::uint32_t>(one.logit), std::bit_cast<std::uint32_t>(want[i].logit)) << what;
    }
  }
}

struct Case {
  std::string name;
  std::function<float(std::int32_t)> logit;
};

std::vector<Case> cases(std::mt19937& random) {
  const auto normal = [&random](float mean, float deviation) {
    return std::normal_distribution<float>(mean, deviation)(random);
  };
  const auto one_in = [&random](std::uint32_t n) { return random() % n == 0; };
  constexpr float kDenormal = std::numeric_limits<float>::denorm_min();
  return {
      {"normal", [=](std::int32_t) { return normal(0, 3); }},
      {"far below zero", [=](std::int32_t) { return normal(-40, 3); }},
      {"few values", [=](std::int32_t) { return std::round(normal(0, 1)); }},
      {"all equal", [](std::int32_t) { return 1.5F; }},
      {"all equal, negative", [](std::int32_t) { return -1.5F; }},
      {"zeros of both signs", [=](std::int32_t) { return one_in(2) ? 0.0F : -0.0F; }},
      {"denormal", [=](std::int32_t) { return kDenormal * std::round(normal(0, 50)); }},
      {"any bits but those of NaN and infinity",
       [&random](std::int32_t) { return std::bit_cast<float>(static_cast<std::uint32_t>(random()) & 0xBF7FFFFFU); }},
      {"ascending", [](std::int32_t id) { return static_cast<float>(id); }},
      {"descending", [](std::int32_t id) { return static_cast<float>(-id); }},
      // A block's greatest thousand in 64 of its threads: the most it can find.
      {"in few threads", [](std::int32_t id) { return static_cast<float>(id % kTopThreads < kTopTokens ? id : -id); }},
      {"largest and least",
       [=](std::int32_t) { return std::numeric_limits<float>::max() * (one_in(2) ? 1.0F : -1.0F); }},
      {"with NaN", [=](std::int32_t) { return one_in(300) ? NAN : normal(0, 3); }},
      {"with infinity", [=](std::int32_t) { return one_in(300) ? kInfinity : normal(0, 3); }},
      {"with negative infinity", [=](std::int32_t) { return one_in(300) ? -kInfinity : normal(0, 3); }},
      {"nothing but NaN of both signs", [=](std::int32_t) { return one_in(2) ? NAN : -NAN; }},
  };
}

class TopTokens : public InBothOrders {};

TEST_P(TopTokens, AreThoseOfAPartialSort) {
  std::mt19937 random(test_seed());
  for (const Case& one : cases(random)) {
    for (const std::int32_t ids : {1, 63, 64, 65, kTopPart, 2 * kTopPart + 809}) {
      expect_top(Rows(2, ids, one.logit), one.name);
      if (HasFatalFailure()) return;
    }
  }
}

TEST_P(TopTokens, OfQwen3sVocabularyAndOfTheLargest) {
  std::mt19937 random(test_seed());
  for (const std::int32_t ids : {151'669, kMostTopIds}) {
    expect_top(Rows(1, ids, [&](std::int32_t) { return std::normal_distribution<float>(0, 3)(random); }), "normal");
  }
}

// One value that is not finite, wherever it stands, is the first; the others follow in order.
TEST_P(TopTokens, WhatIsNotFiniteComesFirst) {
  constexpr std::int32_t kIds = kTopPart + 300;
  for (const float bad : {NAN, -NAN, kInfinity, -kInfinity}) {
    for (const std::int32_t at : {0, 255, kTopPart - 1, kTopPart, kIds - 1}) {
      const Rows rows(1, kIds, [&](std::int32_t id) { return id == at ? bad : static_cast<float>(id % 97); });
      ASSERT_EQ(expected_top(rows.row(0), kIds).front().token, at);
      expect_top(rows, "one is not finite");
    }
  }
}

// As the header of best_tokens has it: a NaN is never the largest, and a row of nothing else gives token 0.
std::int32_t expected_best(std::span<const float> logits) {
  std::int32_t best = -1;
  for (std::int32_t id = 0; id < static_cast<std::int32_t>(logits.size()); ++id) {
    const float logit = logits[static_cast<std::size_t>(id)];
    if (std::isnan(logit)) continue;
    if (best < 0 || logit > logits[static_cast<std::size_t>(best)]) best = id;
  }
  return std::max(best, 0);
}

TEST_P(TopTokens, OrTheLikeliestAlone) {
  constexpr std::int32_t kCount = 2;
  constexpr int kThreads = 1024;
  std::mt19937 random(test_seed());
  for (const Case& one : cases(random)) {
    for (const std::int32_t vocab : {1, 33, kThreads, 4 * kThreads + 809}) {
      std::vector<float> logits;
      for (std::int32_t i = 0; i < kCount * vocab; ++i) logits.push_back(one.logit(i % vocab));
      std::vector<std::int32_t> out(kCount + 1, -77);
      const BestTokensArgs args{.out = out.data(), .logits = logits.data(), .vocab = vocab};
      ASSERT_TRUE(
          emulator::run({.grid = {kCount, 1, 1}, .threads = kThreads, .shared_bytes = sizeof(Best) * kThreads / kWarp},
                        [&] { best_tokens(args); }));
      EXPECT_EQ(out.back(), -77) << "written behind the end";
      for (std::int32_t row = 0; row < kCount; ++row) {
        const auto all =
            std::span(logits).subspan(static_cast<std::size_t>(row * vocab), static_cast<std::size_t>(vocab));
        EXPECT_EQ(out[static_cast<std::size_t>(row)], expected_best(all)) << one.name << ", " << vocab << " ids";
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Order, TopTokens, testing::Values(emulator::Order::kForwards, emulator::Order::kBackwards),
                         [](const auto& one) {
                           return one.param == emulator::Order::kForwards ? "forwards" : "backwards";
                         });

// Each barrier counts its own votes, of the threads that are still there.
TEST_P(TopTokens, ABarrierCountsThoseWhoComeToIt) {
  constexpr int kThreads = 96;
  std::vector<int> counted(3 * kThreads, -1);
  ASSERT_TRUE(emulator::run({.threads = kThreads}, [&] {
    const int thread = thread_index();
    int* mine = counted.data() + 3 * thread;
    mine[0] = sync_block_count(thread % 3 == 0);
    if (thread >= 64) return;
    mine[1] = sync_block_count(true);
    sync_block();
    mine[2] = sync_block_count(thread == 7);
  }));
  for (int thread = 0; thread < kThreads; ++thread) {
    const int* mine = counted.data() + 3 * thread;
    EXPECT_EQ(mine[0], 32) << thread;
    EXPECT_EQ(mine[1], thread < 64 ? 64 : -1) << thread;
    EXPECT_EQ(mine[2], thread < 64 ? 1 : -1) << thread;
  }
}

}  // namespace
}  // namespace dormouse::cuda
