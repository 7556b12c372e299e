// An engine without weights, for tests: the next token is a function of the tokens before it, read back through the
// pages of the plan, so that a wrong page, position or chunk shows in the text. Deterministic.
//   "... SAY:text|..." in the prompt: the answer is that text, then the end token. \x01 and \x02 are <think>, </think>;
//   \x03 and \x04 are <tool_call>, </tool_call>.
//   "NAN!" in the prompt: every logit is NaN.  "BOOM" in the prompt: the step fails.
//   otherwise: letters, from a hash of all tokens so far, without end.
// Threads: step() on the engine thread; FakeControls from any.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "text/tokenizer.h"
#include "worker/model.h"

namespace dormouse::worker {

// What a test sees and holds of a running fake engine.
class FakeControls {
 public:
  // From now on steps wait for permits.
  void hold();
  void allow(int steps);
  void release();                            // no more holding
  [[nodiscard]] std::int64_t steps() const;  // finished
  // Steps in which the prompt or answer of a sequence was computed, by the sequence's first token position 0..; the
  // last step's number, 0: never.
  [[nodiscard]] std::int64_t last_step_of(sched::SequenceId sequence) const;
  [[nodiscard]] std::size_t largest_batch() const;

  // The engine's side.
  void before_step();
  void after_step(const sched::BatchPlan& plan);

 private:
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool held_ = false;
  int permits_ = 0;
  std::int64_t steps_ = 0;
  std::size_t largest_batch_ = 0;
  std::map<sched::SequenceId, std::int64_t> last_step_;
};

class FakeEngine final : public engine::Engine {
 public:
  FakeEngine(const text::Tokenizer& tokenizer, std::int32_t kv_pages, std::shared_ptr<FakeControls> controls);

  [[nodiscard]] const engine::ModelConfig& config() const override { return config_; }
  [[nodiscard]] const std::string& isa() const override { return isa_; }
  [[nodiscard]] std::int32_t threads() const override { return 1; }
  [[nodiscard]] std::uint64_t kv_bytes_per_token() const override { return sizeof(sched::TokenId); }
  Result<std::span<const float>> step(const sched::BatchPlan& plan) override;
  // A token's state: bytes of a hash of all text up to it.
  [[nodiscard]] std::span<const float> hidden() const override { return hidden_; }
  [[nodiscard]] bool gives_hidden() const override { return true; }
  void drop_kv() override {}

 private:
  void write_hidden(const sched::PlanEntry& entry, std::int32_t position);
  void write_logits(const sched::PlanEntry& entry, std::int32_t position, std::span<float> logits) const;
  [[nodiscard]] std::vector<sched::TokenId> history(const sched::PlanEntry& entry, std::int32_t position) const;
  [[nodiscard]] sched::TokenId next_token(const std::vector<sched::TokenId>& tokens) const;

  const text::Tokenizer& tokenizer_;
  const std::shared_ptr<FakeControls> controls_;
  engine::ModelConfig config_;
  std::string isa_ = "fake";
  std::vector<sched::TokenId> kv_;  // [page, kPageTokens]
  std::vector<float> logits_;
  std::vector<float> hidden_;
};

struct FakeModelOptions {
  std::int32_t context_length = 2048;
  std::int32_t kv_pages = 256;
  std::int32_t max_sequences = 32;
  std::int32_t max_batch_tokens = 64;
  text::TemplateFamily family = text::TemplateFamily::kHybrid;
};
// A vocabulary of single bytes, the control tokens and the tags, and a fake engine on it.
[[nodiscard]] LoadedModel fake_model(const FakeModelOptions& options, std::shared_ptr<FakeControls> controls);

}  // namespace dormouse::worker
