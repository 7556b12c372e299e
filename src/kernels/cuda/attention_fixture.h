// A paged cache of one sequence for the tests of attention: filled with numbers, read back as doubles, and the plain
// attention over it. Everything not written is NaN. Test code only.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "kernels/cuda/attention_args.h"
#include "kernels/cuda/emulator.h"
#include "quant/half.h"

namespace dormouse::cuda {

inline constexpr float kUntouched = -77.0F;  // what outputs hold before

// A result must not depend on which ready thread runs first.
class InBothOrders : public testing::TestWithParam<emulator::Order> {
 protected:
  void SetUp() override { emulator::set_order(GetParam()); }
  void TearDown() override { emulator::set_order(emulator::Order::kForwards); }
};

// Two layers, of which the second is used, so that every stride is.
class TestCache {
 public:
  static constexpr int kPages = 24;
  static constexpr int kFirstPage = 2;  // of the table: page_begin is not 0
  int kv_heads;
  int head_dim;
  bool is_q8;

  TestCache(int heads, int dim, bool q8, std::mt19937& random) : kv_heads(heads), head_dim(dim), is_q8(q8) {
    memory_.assign(static_cast<std::size_t>(kPages * page_bytes() / 16 + 1), Block{});
    for (Block& block : memory_) std::fill(std::begin(block.bytes), std::end(block.bytes), std::uint8_t{0xFF});
    table_.assign(kFirstPage, 1 << 20);  // followed, it leads out of the cache
    for (int i = 0; i < kPages; ++i) table_.push_back(i);
    std::shuffle(table_.begin() + kFirstPage, table_.end(), random);
  }

  [[nodiscard]] std::int64_t part_bytes() const { return is_q8 ? 34 * head_dim : 64 * head_dim; }
  [[nodiscard]] std::int64_t page_bytes() const { return 2 * 2 * kv_heads * part_bytes(); }
  [[nodiscard]] KvPages pages() {
    return {.memory = memory_[0].bytes,
            .page_bytes = page_bytes(),
            .layer_bytes = 2 * kv_heads * part_bytes(),
            .head_bytes = 2 * part_bytes(),
            .value_bytes = part_bytes(),
            .is_q8 = is_q8 ? 1 : 0,
            .layer = 1};
  }
  [[nodiscard]] const std::int32_t* table() const { return table_.data(); }
  [[nodiscard]] bool holds_what(const TestCache& other) const {
    return std::memcmp(memory_.data(), other.memory_.data(), memory_.size() * sizeof(Block)) == 0;
  }

  // Random keys and values for tokens [0, count): a few keys stand out, as real ones do.
  void fill(int count, std::mt19937& random) {
    std::normal_distribution<float> normal;
    for (int token = 0; token < count; ++token) {
      for (int head = 0; head < kv_heads; ++head) {
        for (const bool value : {false, true}) {
          std::vector<float> x(static_cast<std::size_t>(head_dim));
          const float size = value ? 0.3F : token % 37 == 5 ? 4.0F : 1.0F;
          for (float& f : x) f = size * normal(random);
          put(token, head, value, x);
        }
      }
    }
  }

  // What is stored, as a number.
  [[nodiscard]] double at(int token, int head, bool value, int dim) {
    std::uint8_t* part = part_of(token, head, value);
    const int t = token % kPageTokens;
    if (!is_q8) return quant::half_to_float(reinterpret_cast<std::uint16_t*>(part)[t * head_dim + dim]);
    const int place = value ? dim : key_place(dim);
    return double{quant::half_to_float(scale(part, t, dim))} *
           reinterpret_cast<std::int8_t*>(part)[t * head_dim + place];
  }
  std::uint8_t* part_of(int token, int head, bool value) {
    const KvPages kv = pages();
    return kv.memory + table_[static_cast<std::size_t>(kFirstPage + token / kPageTokens)] * kv.page_bytes +
           kv.layer_bytes + head * kv.head_bytes + (value ? kv.value_bytes : 0);
  }
  std::uint16_t& scale(std::uint8_t* part, int page_token, int dim) const {
    return reinterpret_cast<std::uint16_t*>(part + kPageTokens * head_dim)[page_token * (head_dim / 32) + dim / 32];
  }

  // Attention of one query over tokens [0, position], in double.
  std::vector<double> attend(const float* q, int kv_head, int position, double factor) {
    std::vector<double> scores;
    for (int token = 0; token <= position; ++token) {
      double sum = 0;
      for (int d = 0; d < head_dim; ++d) sum += double{q[d]} * at(token, kv_head, false, d);
      scores.push_back(factor * sum);
    }
    const double most = *std::max_element(scores.begin(), scores.end());
    std::vector<double> out(static_cast<std::size_t>(head_dim));
    double weight = 0;
    for (int token = 0; token <= position; ++token) {
      const double p = std::exp(scores[static_cast<std::size_t>(token)] - most);
      weight += p;
      for (int d = 0; d < head_dim; ++d) out[static_cast<std::size_t>(d)] += p * at(token, kv_head, true, d);
    }
    for (double& x : out) x /= weight;
    return out;
  }

 private:
  struct alignas(16) Block {
    std::uint8_t bytes[16];
  };
  std::vector<Block> memory_;
  std::vector<std::int32_t> table_;

  void put(int token, int head, bool value, const std::vector<float>& x) {
    std::uint8_t* part = part_of(token, head, value);
    const int t = token % kPageTokens;
    for (int d = 0; d < head_dim; ++d) {
      if (!is_q8) {
        reinterpret_cast<std::uint16_t*>(part)[t * head_dim + d] = quant::float_to_half(x[static_cast<std::size_t>(d)]);
        continue;
      }
      const auto group = x.begin() + d / 32 * 32;
      float amax = 0;
      for (auto i = group; i < group + 32; ++i) amax = std::max(amax, std::fabs(*i));
      scale(part, t, d) = quant::float_to_half(amax / 127.0F);
      reinterpret_cast<std::int8_t*>(part)[t * head_dim + (value ? d : key_place(d))] =
          static_cast<std::int8_t>(std::lround(x[static_cast<std::size_t>(d)] * 127.0F / amax));
    }
  }
};

inline std::vector<float> random_floats(std::size_t count, std::mt19937& random) {
  std::normal_distribution<float> normal;
  std::vector<float> out(count);
  for (float& x : out) x = normal(random);
  return out;
}

// |got - want| / |want|, Euclidean.
inline double relative_error(const float* got, const std::vector<double>& want) {
  double difference = 0;
  double size = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    difference += (got[i] - want[i]) * (got[i] - want[i]);
    size += want[i] * want[i];
  }
  return std::sqrt(difference / size);
}

}  // namespace dormouse::cuda
