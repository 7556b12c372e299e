// Goal: what one step holds follows from what steps took. Method: the fake engine on a clock that it moves itself, no
// threads and no sockets.
#include "worker/generator.h"

#include <gtest/gtest.h>

#include "worker/fake_engine_test.h"

namespace dormouse::worker {
namespace {

// 80 ms to read the weights and 1.7 ms a row of prompt: a 4B model on two cores.
class TimedEngine final : public engine::Engine {
 public:
  TimedEngine(std::unique_ptr<engine::Engine> inner, ManualClock& clock) : inner_(std::move(inner)), clock_(clock) {}
  [[nodiscard]] const engine::ModelConfig& config() const override { return inner_->config(); }
  [[nodiscard]] const std::string& isa() const override { return inner_->isa(); }
  [[nodiscard]] std::int32_t threads() const override { return 1; }
  [[nodiscard]] std::uint64_t kv_bytes_per_token() const override { return inner_->kv_bytes_per_token(); }
  void drop_kv() override {}
  Result<std::span<const float>> step(const sched::BatchPlan& plan) override {
    std::int64_t prompt_rows = 0;
    for (const sched::PlanEntry& entry : plan.entries) {
      const auto end = entry.start_position + static_cast<std::int32_t>(entry.tokens.size());
      prompt_rows += std::max(0, std::min(end, entry.prompt_length) - entry.start_position);
    }
    last_step = std::chrono::milliseconds(80) + prompt_rows * std::chrono::microseconds(1700);
    last_prompt_rows = prompt_rows;
    clock_.advance(last_step);
    return inner_->step(plan);
  }
  Nanoseconds last_step{0};
  std::int64_t last_prompt_rows = 0;

 private:
  std::unique_ptr<engine::Engine> inner_;
  ManualClock& clock_;
};

class GeneratorTest : public testing::Test {
 protected:
  GeneratorTest() {
    FakeModelOptions options;
    options.max_batch_tokens = 512;
    model = fake_model(options, std::make_shared<FakeControls>());
    auto timed = std::make_unique<TimedEngine>(std::move(model.engine), clock);
    engine = timed.get();
    model.engine = std::move(timed);
  }
  static Job job(std::size_t prompt_tokens, std::int32_t max_tokens) {
    Job out;
    out.prompt.assign(prompt_tokens, 'q');
    out.max_tokens = max_tokens;
    out.ignore_eos = true;
    return out;
  }
  ManualClock clock;
  LoadedModel model;
  TimedEngine* engine = nullptr;
};

TEST_F(GeneratorTest, ALongPromptNeverHoldsARunningStreamLongerThanTheBudget) {
  Generator generator(model, {}, clock);
  generator.submit(1, job(3, 200));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(generator.step().has_value());
  generator.submit(2, job(1500, 4));
  std::int64_t rows = 0;
  std::int64_t largest = 0;
  int steps = 0;
  while (rows < 1500) {
    ASSERT_TRUE(generator.step().has_value());
    EXPECT_LE(engine->last_step, std::chrono::milliseconds(250));
    rows += engine->last_prompt_rows;
    largest = std::max(largest, engine->last_prompt_rows);
    ASSERT_LT(++steps, 100);
  }
  EXPECT_EQ(rows, 1500);
  EXPECT_EQ(largest, 100) << "(250 - 80) / 1.7";
  EXPECT_LE(steps, 17);
  EXPECT_EQ(generator.snapshot().prefill_chunk, 100);
}

TEST_F(GeneratorTest, WithoutARunningStreamAPromptGetsWholeSteps) {
  Generator generator(model, {}, clock);
  generator.submit(1, job(1500, 4));
  ASSERT_TRUE(generator.step().has_value());
  EXPECT_EQ(engine->last_prompt_rows, 512);
}

}  // namespace
}  // namespace dormouse::worker
