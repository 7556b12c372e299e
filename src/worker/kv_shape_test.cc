// Goal: the context and the pages are what memory allows and the caller wants. Method: a table around the limits.
#include "worker/kv_shape.h"

#include <gtest/gtest.h>

namespace dormouse::worker {
namespace {

constexpr std::int64_t kModelContext = 40'960;
constexpr std::int64_t kPerToken = 78'336;  // 4B, q8
constexpr std::int64_t kGb = 1'000'000'000;

Result<KvShape> on_gpu(std::int64_t left, KvWishes wishes = {}) {
  return choose_kv_shape(wishes, kModelContext, kPerToken, kv_memory_of_gpu(left, kModelContext));
}

TEST(KvShape, AGpuHolds32ContextsOf4096) {
  const Result<KvShape> shape = on_gpu(130 * kGb);
  ASSERT_TRUE(shape.has_value());
  EXPECT_EQ(shape->context, 4096);
  EXPECT_EQ(shape->pages, 32 * 4096 / 32);
}

// Issue 9: what one stream takes is promised.
TEST(KvShape, OneSequenceTakesOneContext) {
  const Result<KvShape> shape = on_gpu(130 * kGb, {.max_sequences = 1});
  ASSERT_TRUE(shape.has_value());
  EXPECT_EQ(shape->pages, 4096 / 32);
}

TEST(KvShape, ASmallGpuGivesWhatIsLeft) {
  const Result<KvShape> shape = on_gpu(1 * kGb);
  ASSERT_TRUE(shape.has_value());
  EXPECT_EQ(shape->context, 4096);
  EXPECT_EQ(shape->pages, kGb / (kPerToken * 32));
  // Less than one context: the context shrinks; nothing at all: refused.
  const Result<KvShape> less = on_gpu(kGb / 10);
  ASSERT_TRUE(less.has_value());
  EXPECT_EQ(less->context, less->pages * 32);
  EXPECT_EQ(on_gpu(1'000'000).error().code, Code::kOverloaded);
  EXPECT_EQ(on_gpu(-kGb).error().code, Code::kOverloaded);
}

TEST(KvShape, WishesWinWithinTheMemory) {
  const Result<KvShape> longer = on_gpu(130 * kGb, {.max_model_len = 32'768});
  ASSERT_TRUE(longer.has_value());
  EXPECT_EQ(longer->context, 32'768);
  EXPECT_EQ(longer->pages, 32 * 32'768 / 32);
  const Result<KvShape> larger = on_gpu(130 * kGb, {.kv_cache_bytes = 100 * kGb});
  ASSERT_TRUE(larger.has_value());
  EXPECT_EQ(larger->pages, 100 * kGb / (kPerToken * 32));
  EXPECT_EQ(on_gpu(10 * kGb, {.kv_cache_bytes = 11 * kGb}).error().code, Code::kOverloaded);
  EXPECT_EQ(on_gpu(10 * kGb, {.kv_cache_bytes = 1000}).error().code, Code::kInvalidArgument);
  EXPECT_EQ(on_gpu(kGb / 10, {.max_model_len = 4096}).error().code, Code::kInvalidArgument);
  EXPECT_EQ(on_gpu(130 * kGb, {.max_model_len = kModelContext + 1}).error().code, Code::kInvalidArgument);
}

TEST(KvShape, RamIsAddressSpaceOfTheModelsOwnContext) {
  const auto in_ram = [](std::int64_t memory, KvWishes wishes) {
    return choose_kv_shape(wishes, kModelContext, kPerToken, kv_memory_of_ram(memory, kModelContext));
  };
  const Result<KvShape> shape = in_ram(64 * kGb, {});
  ASSERT_TRUE(shape.has_value());
  EXPECT_EQ(shape->context, kModelContext);
  EXPECT_EQ(shape->pages, 4 * kModelContext / 32);
  EXPECT_EQ(in_ram(8 * kGb, {})->pages, 2 * kGb / (kPerToken * 32));
  EXPECT_TRUE(in_ram(kGb, {.kv_cache_bytes = 50 * kGb}).has_value());  // address space
}

}  // namespace
}  // namespace dormouse::worker
