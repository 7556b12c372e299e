// Goal: what one step holds follows from what steps took. Method: the fake engine on a clock that it moves itself, no
// threads and no sockets.
#include "worker/generator.h"

#include <gtest/gtest.h>

#include "worker/fake_engine_test.h"

namespace dormouse::worker {
namespace {

// 80 ms to read the weights, 1.7 ms a row of prompt, 8 ms a guess: a 4B model on two cores.
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
    std::int64_t drafts = 0;
    for (const sched::PlanEntry& entry : plan.entries) {
      const auto end = entry.start_position + static_cast<std::int32_t>(entry.tokens.size());
      prompt_rows += std::max(0, std::min(end, entry.prompt_length) - entry.start_position);
      drafts += entry.draft_count;
    }
    last_step = std::chrono::milliseconds(80) + prompt_rows * std::chrono::microseconds(1700) +
                drafts * std::chrono::milliseconds(8);
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

// A generator's whole answer to one prompt, in events.
struct Answer {
  std::string text;
  std::vector<std::int64_t> counts;  // of tokens, as they came
  FinishReason reason = FinishReason::kStop;
  std::uint64_t steps = 0;
  std::uint64_t drafted = 0;
  std::uint64_t accepted = 0;
};

Answer answer_to(LoadedModel& model, const Clock& clock, sched::Speculation speculation, Job job) {
  GeneratorOptions options;
  options.speculation = speculation;
  Generator generator(model, options, clock);
  generator.submit(1, std::move(job));
  Answer out;
  while (!generator.idle()) {
    EXPECT_TRUE(generator.step().has_value());
    for (const JobEvent& event : generator.take_events()) {
      if (event.kind == JobEvent::Kind::kAccepted) continue;
      EXPECT_NE(event.kind, JobEvent::Kind::kFailed);
      out.text += event.piece.content;
      out.counts.push_back(event.tokens);
      out.reason = event.reason;
    }
  }
  const EngineSnapshot snapshot = generator.snapshot();
  EXPECT_EQ(snapshot.kv_pages_free, snapshot.kv_pages);
  out.steps = snapshot.steps;
  out.drafted = snapshot.draft_tokens;
  out.accepted = snapshot.accepted_tokens;
  return out;
}

TEST_F(GeneratorTest, AGuessedTextIsTheTextAndTakesFewerSteps) {
  struct Case {
    std::string script;
    std::vector<std::string> stops;
    std::int32_t max_tokens;
    std::uint64_t most_steps;  // with guesses
  };
  const std::string refrain = "row row row your boat gently down the stream ";
  // The script stands in the prompt, so each answer is one long quote: 8 tokens a step.
  for (const Case& c : {Case{refrain + refrain, {}, 200, 30}, Case{refrain + refrain, {"boat g"}, 200, 12},
                        Case{refrain, {}, 20, 12}, Case{"xyzw", {}, 200, 6}}) {
    Job asked;
    asked.prompt = model.tokenizer->encode("SAY:" + c.script + "|", text::SpecialTokens::kParse);
    asked.max_tokens = c.max_tokens;
    asked.output.stops = c.stops;
    const Answer plain = answer_to(model, clock, sched::Speculation::kOff, asked);
    EXPECT_EQ(plain.drafted, 0U);
    for (const sched::Speculation speculation : {sched::Speculation::kNgram, sched::Speculation::kAuto}) {
      const Answer guessed = answer_to(model, clock, speculation, asked);
      EXPECT_EQ(guessed.text, plain.text);
      EXPECT_EQ(guessed.counts, plain.counts) << "one event a token, as ever";
      EXPECT_EQ(guessed.reason, plain.reason);
      EXPECT_LE(guessed.steps, c.most_steps) << c.script << " without guesses: " << plain.steps;
      EXPECT_LE(guessed.accepted, guessed.drafted);
    }
  }
}

TEST_F(GeneratorTest, GuessesThatAreNeverRightStop) {
  // All letters in the prompt and an answer of letters from a hash: most pairs have come before, and what followed says
  // nothing.
  Job asked = job(1000, 400);
  for (std::size_t i = 0; i < asked.prompt.size(); ++i) {
    asked.prompt[i] = static_cast<text::TokenId>('a' + (i * i / 7 + i) % 26);
  }
  const Answer plain = answer_to(model, clock, sched::Speculation::kOff, asked);
  const Answer always = answer_to(model, clock, sched::Speculation::kNgram, asked);
  const Answer measured = answer_to(model, clock, sched::Speculation::kAuto, asked);
  EXPECT_EQ(always.text, plain.text);
  EXPECT_EQ(measured.text, plain.text);
  EXPECT_GT(always.drafted, 500U);
  EXPECT_LT(measured.drafted, 30U) << "some first ones, then one now and then";
}

TEST_F(GeneratorTest, WithoutARunningStreamAPromptGetsWholeSteps) {
  Generator generator(model, {}, clock);
  generator.submit(1, job(1500, 4));
  ASSERT_TRUE(generator.step().has_value());
  EXPECT_EQ(engine->last_prompt_rows, 512);
}

}  // namespace
}  // namespace dormouse::worker
