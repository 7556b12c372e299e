// A program of its own: it replaces the global operator new to count.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/golden_model.h"

namespace {
std::atomic<long> allocations{0};
}  // namespace

void* operator new(std::size_t size) {
  allocations.fetch_add(1);
  void* out = std::malloc(size == 0 ? 1 : size);
  if (out == nullptr) std::abort();
  return out;
}
void operator delete(void* at) noexcept {
  std::free(at);
}
void operator delete(void* at, std::size_t) noexcept {
  std::free(at);
}

namespace dormouse::engine {
namespace {

void check_steps(const std::string& path) {
  const Golden golden = read_golden();
  ASSERT_FALSE(golden.tokens.empty());
  const auto file = gguf::File::open(path);
  ASSERT_TRUE(file.has_value()) << file.error().message;
  EngineOptions options;
  options.max_batch_tokens = 80;
  options.kv_pages = 8;
  options.threads = 2;
  const auto engine = Engine::load(*file, nullptr, options, {});
  ASSERT_TRUE(engine.has_value()) << engine.error().message;
  const std::vector<sched::PageId> pages = {0, 1, 2};
  const std::vector<sched::PageId> other_pages = {3, 4, 5};
  const auto entry = [&](std::int32_t start, std::size_t count, const std::vector<sched::PageId>& of) {
    sched::PlanEntry out;
    out.tokens = std::span(golden.tokens).subspan(static_cast<std::size_t>(start), count);
    out.start_position = start;
    out.prompt_length = 40;
    out.pages = of;
    out.wants_logits = true;
    return out;
  };
  std::vector<sched::BatchPlan> plans(3);
  plans[0] = {.entries = {entry(0, 40, pages)}, .token_count = 40, .logits_count = 1};
  plans[1] = {.entries = {entry(40, 1, pages)}, .token_count = 1, .logits_count = 1};
  plans[2] = {.entries = {entry(41, 1, pages), entry(0, 33, other_pages)}, .token_count = 34, .logits_count = 2};
  for (const sched::BatchPlan& plan : plans) {
    const long before = allocations.load();
    const auto rows = (*engine)->step_rows(plan);
    EXPECT_EQ(allocations.load() - before, 0);
    EXPECT_TRUE(rows.has_value());
  }
}

// Goal: a step takes no memory from the heap, on any thread, from the first step on. Method: count operator new around
// prefill, decode and mixed steps of a model without a prompt arithmetic and of one with it; the count works, as an
// allocation of our own shows.
TEST(Step, AllocatesNothing) {
  check_steps(golden_path("model.gguf"));
  check_steps(std::string(DORMOUSE_SOURCE_DIR) + "/models/qwen3-demo-q8_0.gguf");
  const long before = allocations.load();
  const std::vector<int> proof(100);
  EXPECT_EQ(allocations.load() - before, 1);
}

}  // namespace
}  // namespace dormouse::engine
