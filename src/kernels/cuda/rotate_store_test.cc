// Rotation table; norm, rotation and storing, in the emulation: the scalar table's bits.
#include "kernels/cuda/rotate_store.cuh"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "kernels/cuda/attention_fixture.h"
#include "kernels/cuda/emulator.h"
#include "kernels/dispatch.h"
#include "kernels/test_data.h"

namespace dormouse::cuda {
namespace {

using kernels::test_seed;

TEST(RopeTable, IsTheEnginesOwn) {
  constexpr int kPositions = 37;
  for (const int half : {32, 64}) {
    std::vector<double> frequencies;
    for (int i = 0; i < half; ++i) frequencies.push_back(std::pow(1e6, -1.0 * i / half));
    std::vector<float> table(static_cast<std::size_t>(2 * kPositions * half) + 1, kUntouched);
    const RopeTableArgs args = {table.data(), frequencies.data(), kPositions, half};
    ASSERT_TRUE(emulator::run({.grid = {rope_table_blocks(kPositions, half), 1, 1}, .threads = kRopeTableThreads},
                              [&] { rope_table(args); }));
    for (int at = 0; at < kPositions * half; ++at) {
      const double angle = at / half * frequencies[static_cast<std::size_t>(at % half)];
      EXPECT_EQ(table[static_cast<std::size_t>(2 * at)], static_cast<float>(std::cos(angle)));
      EXPECT_EQ(table[static_cast<std::size_t>(2 * at + 1)], static_cast<float>(std::sin(angle)));
    }
    EXPECT_EQ(table.back(), kUntouched);
  }
}

// A step's rows before rotate_store, and the same rows through the scalar table.
struct RotateCase {
  static constexpr int kKvHeads = 2;
  static constexpr float kEpsilon = 1e-6F;
  TestCache cache;
  int heads;
  int head_dim;
  std::vector<std::int32_t> positions = {0, 31, 32, -1, 63, 200};
  std::vector<std::int32_t> begins = std::vector<std::int32_t>(6, TestCache::kFirstPage);
  std::vector<float> qkv;  // [rows, q then k then v then 16 floats of nobody]
  std::vector<float> q_norm;
  std::vector<float> k_norm;
  std::vector<float> rope;

  RotateCase(int query_heads, int dim, bool is_q8, std::mt19937& random)
      : cache(kKvHeads, dim, is_q8, random),
        heads(query_heads),
        head_dim(dim),
        qkv(random_floats(positions.size() * static_cast<std::size_t>(stride()), random)),
        q_norm(random_floats(static_cast<std::size_t>(dim), random)),
        k_norm(random_floats(static_cast<std::size_t>(dim), random)),
        rope(random_floats(static_cast<std::size_t>(201 * dim), random)) {
    // Groups that quantise differently: tiny, with an infinity, with a NaN.
    float* v = row(1) + (heads + kKvHeads) * head_dim;
    for (int d = 0; d < 32; ++d) v[d] = 1e-35F;
    v[head_dim + 3] = INFINITY;
    v[head_dim + 33] = NAN;
  }
  [[nodiscard]] int stride() const { return (heads + 2 * kKvHeads) * head_dim + 16; }
  float* row(std::size_t at) { return qkv.data() + at * static_cast<std::size_t>(stride()); }

  void run() {
    const RotateStoreArgs args = {.q = qkv.data(),
                                  .k = qkv.data() + heads * head_dim,
                                  .v = qkv.data() + (heads + kKvHeads) * head_dim,
                                  .q_norm = q_norm.data(),
                                  .k_norm = k_norm.data(),
                                  .rope = rope.data(),
                                  .kv = cache.pages(),
                                  .rows = {positions.data(), begins.data(), cache.table()},
                                  .row_count = static_cast<std::int32_t>(positions.size()),
                                  .heads = heads,
                                  .kv_heads = kKvHeads,
                                  .head_dim = head_dim,
                                  .qkv_stride = stride(),
                                  .epsilon = kEpsilon};
    ASSERT_TRUE(emulator::run(
        {.grid = {args.row_count, rotate_store_blocks(heads, kKvHeads), 1}, .threads = kRotateStoreThreads},
        [&] { rotate_store(args); }));
  }
  // The scalar table's norm and rotation of a head at a position.
  std::vector<float> rotated(const float* head, const std::vector<float>& norm, int position) {
    const auto table = kernels::select_kernels("scalar");
    std::vector<float> out(static_cast<std::size_t>(head_dim));
    std::vector<float> cosine;
    std::vector<float> sine;
    for (int i = 0; i < head_dim / 2; ++i) {
      cosine.push_back(rope[static_cast<std::size_t>(position * head_dim + 2 * i)]);
      sine.push_back(rope[static_cast<std::size_t>(position * head_dim + 2 * i + 1)]);
    }
    (*table)->rms_norm(out.data(), head, norm.data(), head_dim, kEpsilon);
    (*table)->rope(out.data(), cosine.data(), sine.data(), head_dim);
    return out;
  }
  // That the page has what the scalar table would have stored.
  void expect_stored(int position, int head, bool is_value, const std::vector<float>& x) {
    const auto table = kernels::select_kernels("scalar");
    const auto type = cache.is_q8 ? kernels::KvType::kQ8 : kernels::KvType::kF16;
    std::vector<std::uint16_t> keys(static_cast<std::size_t>(kernels::kv_head_halves(type, head_dim)));
    std::vector<std::uint16_t> values(keys.size());
    const int token = position % kPageTokens;
    (*table)->kv(type).store(keys.data(), values.data(), x.data(), x.data(), head_dim, token);
    std::uint8_t* part = cache.part_of(position, head, is_value);
    for (int d = 0; d < head_dim; ++d) {
      const int at = token * head_dim + d;
      if (!cache.is_q8) {
        EXPECT_EQ(reinterpret_cast<std::uint16_t*>(part)[at], values[static_cast<std::size_t>(at)]);
        continue;
      }
      const int place = token * head_dim + (is_value ? d : key_place(d));
      EXPECT_EQ(reinterpret_cast<std::int8_t*>(part)[place], reinterpret_cast<std::int8_t*>(values.data())[at]);
      EXPECT_EQ(cache.scale(part, token, d),
                values[static_cast<std::size_t>(kernels::kv_scales_at(head_dim, d / 32) + token)]);
    }
  }
};

using RotateStore = InBothOrders;

TEST_P(RotateStore, IsTheScalarTableToTheBit) {
  std::mt19937 random(test_seed());
  for (const int head_dim : {64, 128}) {
    for (const bool is_q8 : {false, true}) {
      SCOPED_TRACE("head_dim " + std::to_string(head_dim) + (is_q8 ? " q8" : " fp16"));
      RotateCase c(6, head_dim, is_q8, random);
      RotateCase before = c;
      c.run();
      for (std::size_t row = 0; row < c.positions.size(); ++row) {
        const int position = c.positions[row];
        for (int head = 0; head < c.heads; ++head) {
          const float* q = before.row(row) + head * head_dim;
          const float* got = c.row(row) + head * head_dim;
          const std::vector<float> want =
              position < 0 ? std::vector<float>(q, q + head_dim) : before.rotated(q, c.q_norm, position);
          EXPECT_TRUE(kernels::all_same_bits(std::vector<float>(got, got + head_dim), want));
        }
        if (position < 0) continue;
        for (int head = 0; head < RotateCase::kKvHeads; ++head) {
          const float* k = before.row(row) + (c.heads + head) * head_dim;
          const float* v = k + RotateCase::kKvHeads * head_dim;
          c.expect_stored(position, head, false, before.rotated(k, c.k_norm, position));
          c.expect_stored(position, head, true, std::vector<float>(v, v + head_dim));
        }
      }
      EXPECT_TRUE(std::isnan(c.cache.at(30, 0, false, 0))) << "a neighbouring token was touched";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Orders, RotateStore, testing::Values(emulator::Order::kForwards, emulator::Order::kBackwards));

}  // namespace
}  // namespace dormouse::cuda
