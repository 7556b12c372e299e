// Goal: rows that share a prefix get the logits they get without sharing, to the bit, and do share it. Method: the same
// steps on two engines, with and without DevicePaths::shared_prefixes, over a device that counts launches.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "engine/cuda_test_device.h"
#include "engine/engine_cuda.h"
#include "gguf/file.h"

namespace dormouse::engine {
namespace {

constexpr std::int32_t kPrefix = 288;  // nine pages, four whole splits
constexpr std::int32_t kPrefixPages = kPrefix / sched::kPageTokens;
// What they hold is two pages', in some order: computing nine would take a minute here.
constexpr std::int32_t kDistinctPages = 2;
constexpr std::int32_t kTail = 2;  // of some sequences: prompt rows of their own

class CudaSharing : public testing::TestWithParam<kernels::KvType> {
 protected:
  void SetUp() override {
    auto file = gguf::File::open(std::string(DORMOUSE_SOURCE_DIR) + "/models/qwen3-demo-q8_0.gguf");
    ASSERT_TRUE(file.has_value()) << file.error().message;
    file_ = std::make_unique<gguf::File>(*std::move(file));
    std::iota(tokens_.begin(), tokens_.end(), 40);
    auto device = open_device();
    ASSERT_TRUE(device.has_value()) << device.error().message;
    // Half as many rows and KV heads as multiprocessors (sharing_warps()); the model has two.
    sequences_ = std::max(10, (*device)->info().multiprocessors / 4 + 1);
    pages_ = kDistinctPages + sequences_;
  }
  void load(bool shares) {
    auto device = open_device();
    ASSERT_TRUE(device.has_value()) << device.error().message;
    EngineOptions options;
    options.max_batch_tokens = std::max(kDistinctPages * sched::kPageTokens, (kTail + 1) * sequences_ + 1);
    options.max_logits_rows = sequences_ + 1;
    options.kv_pages = pages_ + 1;
    options.kv_type = GetParam();
    options.device_paths = DevicePaths{.shared_prefixes = shares};
    launches_ = {};
    engine_.reset();
    auto engine =
        load_cuda(std::make_unique<CountingDevice>(*std::move(device), launches_), *file_, nullptr, options, {});
    ASSERT_TRUE(engine.has_value()) << engine.error().message;
    engine_ = *std::move(engine);
  }
  void add(sched::BatchPlan& plan, std::int32_t begin, std::int32_t count, std::int32_t prompt,
           const std::vector<sched::PageId>& pages, std::int32_t first_token) {
    plan.entries.push_back(
        {.tokens = std::span(tokens_).subspan(static_cast<std::size_t>(first_token), static_cast<std::size_t>(count)),
         .start_position = begin,
         .prompt_length = prompt,
         .pages = pages,
         .wants_logits = true});
    plan.token_count += count;
    ++plan.logits_count;
  }
  void step(const sched::BatchPlan& plan, std::vector<float>& logits) {
    const auto rows = engine_->step(plan);
    ASSERT_TRUE(rows.has_value()) << rows.error().message;
    logits.insert(logits.end(), rows->begin(), rows->end());
  }
  // The prefix; then every sequence's first generated row, every third after prompt rows of its own; then a row of each
  // and one of a sequence that shares nothing.
  std::vector<float> logits() {
    std::vector<float> out;
    std::vector<std::vector<sched::PageId>> tables;
    for (std::int32_t s = 0; s < sequences_; ++s) {
      tables.emplace_back();
      for (std::int32_t i = 0; i < kPrefixPages; ++i) tables.back().push_back(i % 3 == 1 ? 1 : 0);
      tables.back().push_back(kDistinctPages + s);
    }
    sched::BatchPlan prefix;
    add(prefix, 0, kDistinctPages * sched::kPageTokens, kPrefix, tables[0], 0);
    step(prefix, out);
    const std::vector<sched::PageId> alone = {pages_};
    sched::BatchPlan first;
    sched::BatchPlan second;
    for (std::int32_t s = 0; s < sequences_; ++s) {
      const std::int32_t tail = s % 3 == 0 ? kTail : 0;
      const auto& table = tables[static_cast<std::size_t>(s)];
      add(first, kPrefix, tail + 1, kPrefix + tail, table, s);
      add(second, kPrefix + tail + 1, 1, kPrefix + tail, table, s + 60);
      if (s == 4) add(second, 0, 1, 0, alone, 7);
    }
    step(first, out);
    step(second, out);
    return out;
  }
  [[nodiscard]] int launches(cuda::Kernel kernel) const { return launches_[static_cast<std::size_t>(kernel)]; }

  std::unique_ptr<gguf::File> file_;
  std::vector<sched::TokenId> tokens_ = std::vector<sched::TokenId>(kPrefix);
  std::int32_t sequences_ = 0;
  std::int32_t pages_ = 0;
  Launches launches_{};
  std::unique_ptr<Engine> engine_;
};

TEST_P(CudaSharing, DoesNotShow) {
  load(false);
  const std::vector<float> want = logits();
  EXPECT_EQ(launches(cuda::Kernel::k_attend_shared), 0);
  EXPECT_EQ(launches(cuda::Kernel::k_attend_rest), 0);
  EXPECT_GT(launches(cuda::Kernel::k_attend_rows) + launches(cuda::Kernel::k_attend_splits), 0);
  load(true);
  const std::vector<float> got = logits();
  EXPECT_EQ(launches(cuda::Kernel::k_attend_shared), 2 * engine_->config().layers);
  EXPECT_EQ(launches(cuda::Kernel::k_attend_rest), 2 * engine_->config().layers);
  EXPECT_EQ(launches(cuda::Kernel::k_attend_rows) + launches(cuda::Kernel::k_attend_splits), 0);
  ASSERT_EQ(got.size(), want.size());
  std::size_t different = 0;
  for (std::size_t i = 0; i < got.size(); ++i) different += got[i] != want[i] ? 1U : 0U;
  EXPECT_EQ(different, 0U) << "of " << got.size();
}

INSTANTIATE_TEST_SUITE_P(KvTypes, CudaSharing, testing::Values(kernels::KvType::kF16, kernels::KvType::kQ8),
                         [](const auto& one) { return one.param == kernels::KvType::kQ8 ? "q8" : "fp16"; });

}  // namespace
}  // namespace dormouse::engine
