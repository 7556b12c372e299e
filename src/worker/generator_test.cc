// Goal: what one step holds follows from what steps took, and an answer does not depend on what of its rows comes from
// the engine. Method: the fake engine on a clock that it moves itself, no threads and no sockets.
#include "worker/generator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

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

// Gives of each row what a device gives: the likeliest tokens where the entry says that these are enough.
class DeviceLikeEngine final : public engine::Engine {
 public:
  DeviceLikeEngine(std::unique_ptr<engine::Engine> inner, std::int32_t ids) : inner_(std::move(inner)), ids_(ids) {}
  [[nodiscard]] const engine::ModelConfig& config() const override { return inner_->config(); }
  [[nodiscard]] const std::string& isa() const override { return inner_->isa(); }
  [[nodiscard]] std::int32_t threads() const override { return 1; }
  [[nodiscard]] std::uint64_t kv_bytes_per_token() const override { return inner_->kv_bytes_per_token(); }
  void drop_kv() override {}
  Result<std::span<const float>> step(const sched::BatchPlan& plan) override { return inner_->step(plan); }
  Result<std::span<const engine::RowLogits>> step_rows(const sched::BatchPlan& plan) override {
    TRY(const std::span<const engine::RowLogits> whole, inner_->step_rows(plan));
    rows_.assign(whole.begin(), whole.end());
    top_.clear();
    top_.reserve(rows_.size());
    std::size_t row = 0;
    for (const sched::PlanEntry& entry : plan.entries) {
      for (std::int32_t i = 0; i < entry.logits_rows(); ++i, ++row) {
        if (entry.top_is_enough) rows_[row] = {.all = {}, .top = top_.emplace_back(top_of(rows_[row].all))};
        (entry.top_is_enough ? top_rows : whole_rows) += 1;
      }
    }
    return rows_;
  }
  int top_rows = 0;
  int whole_rows = 0;

 private:
  [[nodiscard]] std::vector<engine::TopToken> top_of(std::span<const float> logits) const {
    std::vector<engine::TopToken> out;
    for (std::int32_t id = 0; id < ids_; ++id) {
      out.push_back({.logit = logits[static_cast<std::size_t>(id)], .token = id});
    }
    std::stable_sort(out.begin(), out.end(), [](const auto& a, const auto& b) {
      if (std::isfinite(a.logit) != std::isfinite(b.logit)) return !std::isfinite(a.logit);
      return a.logit > b.logit;
    });
    out.resize(std::min<std::size_t>(out.size(), engine::kTopTokens));
    return out;
  }

  std::unique_ptr<engine::Engine> inner_;
  const std::int32_t ids_;
  std::vector<std::vector<engine::TopToken>> top_;
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

// Four jobs in one batch, each drawing from rows that are far from certain: three from the likeliest tokens, one with a
// penalty from whole rows. One of the former fails alone, for its logits are not numbers.
std::vector<std::string> mixed_batch(LoadedModel& model, const Clock& clock) {
  Generator generator(model, {}, clock);
  const auto submit = [&](JobId id, const std::string& prompt, const engine::SamplingParams& sampling) {
    Job job;
    job.prompt = model.tokenizer->encode(prompt, text::SpecialTokens::kParse);
    job.max_tokens = 30;
    job.ignore_eos = true;
    job.sampling = sampling;
    generator.submit(id, std::move(job));
  };
  engine::SamplingParams hot = engine::recommended(engine::SamplingMode::kNonThinking);
  hot.temperature = 20;  // the fake engine's favourite is 40 ahead
  hot.seed = 7;
  engine::SamplingParams penalised = hot;
  penalised.presence_penalty = 1.5F;
  submit(1, "ask", hot);
  submit(2, "greedy", {});
  submit(3, "ask again", penalised);
  submit(4, "NAN!", hot);
  std::vector<std::string> out(5);
  while (!generator.idle()) {
    EXPECT_TRUE(generator.step().has_value());
    for (const JobEvent& event : generator.take_events()) {
      out[event.job] += event.kind == JobEvent::Kind::kFailed ? "(failed)" : event.piece.content;
    }
  }
  return out;
}

TEST_F(GeneratorTest, AnAnswerIsTheSameFromWholeRowsAndFromTheLikeliestTokens) {
  const std::vector<std::string> want = mixed_batch(model, clock);
  EXPECT_EQ(want[4], "(failed)");
  EXPECT_GT(std::set<char>(want[1].begin(), want[1].end()).size(), 5U) << "drawn, not the favourite each time";
  auto device = std::make_unique<DeviceLikeEngine>(std::move(model.engine), model.tokenizer->first_padding_id());
  const DeviceLikeEngine& seen = *device;
  model.engine = std::move(device);
  EXPECT_EQ(mixed_batch(model, clock), want);
  EXPECT_GE(seen.top_rows, 60);
  EXPECT_GE(seen.whole_rows, 30) << "the penalised answer's";
  EXPECT_LT(seen.whole_rows, 60);
}

// An answer that is held to a format takes whole rows: what is allowed may be far down.
TEST_F(GeneratorTest, WhatIsHeldToAFormatTakesWholeRows) {
  auto device = std::make_unique<DeviceLikeEngine>(std::move(model.engine), model.tokenizer->first_padding_id());
  const DeviceLikeEngine& seen = *device;
  model.engine = std::move(device);
  Job held = job(3, 8);
  api::GenerationRequest request;
  request.format = {.kind = api::ResponseFormat::Kind::kRegex, .text = "[0-9]{4}", .name = ""};
  held.format = *model.formats->get(request);
  EXPECT_EQ(answer_to(model, clock, sched::Speculation::kOff, held).text.size(), 4U);
  EXPECT_EQ(seen.top_rows, 0);
  EXPECT_EQ(seen.whole_rows, 4 + kGoldenRideTokens);
}

TEST_F(GeneratorTest, WithoutARunningStreamAPromptGetsWholeSteps) {
  Generator generator(model, {}, clock);
  generator.submit(1, job(1500, 4));
  ASSERT_TRUE(generator.step().has_value());
  EXPECT_EQ(engine->last_prompt_rows, 512);
}

}  // namespace
}  // namespace dormouse::worker
