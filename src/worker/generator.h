// Jobs in, pieces of answers out: engine, scheduler and sampler put together, one step at a time. No threads and no I/O
// in here; everything that goes wrong with one request ends that request only (reliability notes S-33).
// Owner: the engine thread.
// Invariants: (1) a job's last event is kFinished for each choice, or one kFailed; (2) after cancel() or a last event
// its pages are free; (3) no event of a first batch comes out before the golden rows in it were right.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "api/embeddings.h"
#include "api/error_table.h"
#include "api/generation.h"
#include "base/clock.h"
#include "engine/sampler.h"
#include "sched/scheduler.h"
#include "worker/answer_constraint.h"
#include "worker/loop_guard.h"
#include "worker/metrics.h"
#include "worker/model.h"
#include "worker/output_text.h"
#include "worker/state_pool.h"
#include "worker/step_pace.h"

namespace dormouse::worker {

using JobId = std::uint64_t;

struct JobTotals {
  std::int64_t prompt_tokens = 0;
  std::int64_t generated_tokens = 0;
};

// One request, ready to run.
struct Job {
  std::vector<text::TokenId> prompt;
  std::string tenant;
  int choices = 1;               // sequences of the same prompt; seeds differ
  std::int32_t max_tokens = 16;  // of each choice
  bool ignore_eos = false;
  std::optional<std::int64_t> thinking_budget;  // tokens of reasoning; after them end_thinking is written for the model
  std::vector<text::TokenId> end_thinking;      // ends with </think> and what comes between it and the answer
  engine::SamplingParams sampling;
  OutputOptions output;
  std::optional<AnswerFormat> format;   // what the content is held to
  Thinking thinking = Thinking::kNone;  // with a format: what may come before the content
  // Instead of an answer: one vector of the prompt, in kFinished's `embedding`.
  std::optional<api::Pooling> pooling;
};

// kToolCalls: the model stopped, and has called a tool.
enum class FinishReason { kStop, kLength, kToolCalls };

struct JobEvent {
  enum class Kind { kAccepted, kPiece, kFinished, kFailed };
  JobId job = 0;
  Kind kind = Kind::kPiece;
  int choice = 0;
  OutputPiece piece;                          // kPiece, kFinished: the last of it
  std::int64_t tokens = 0;                    // of the choice so far
  std::int64_t reasoning_tokens = 0;          // of the choice so far
  std::int64_t cached_tokens = 0;             // of the prompt: found, not computed, when this choice began
  std::vector<api::TokenLogprob> logprobs;    // when asked
  std::vector<float> embedding;               // kFinished of a job with pooling: [hidden], of length 1
  FinishReason reason = FinishReason::kStop;  // kFinished
  api::ApiError error;                        // kFailed
};

inline constexpr std::int64_t kAllOfTheCache = -1;

struct GeneratorOptions {
  std::int64_t max_waiting = 1024;
  sched::Speculation speculation = sched::Speculation::kAuto;
  bool share_prefixes = true;
  // How long a step may take that computes prompts while somebody's tokens stream; never less than one chunk of 32.
  std::chrono::milliseconds prefill_budget{250};
  std::int64_t prefix_cache_bytes = kAllOfTheCache;  // kept of prompts nobody uses any more
  bool spoil_golden = false;                         // tests: the golden rows come out wrong
};

class Generator {
 public:
  // Borrows the model and the clock.
  Generator(LoadedModel& model, const GeneratorOptions& options, const Clock& clock);
  ~Generator();
  Generator(const Generator&) = delete;
  Generator& operator=(const Generator&) = delete;

  void submit(JobId id, Job job);
  // Also forgets a job that has ended by itself. What it came to; nothing for one never submitted.
  JobTotals cancel(JobId id);
  // One engine step, if there is something to do. Errors: kDataLoss (the golden rows are wrong), kInternal (they could
  // not be computed): this model must not answer anybody. Any other error of the engine fails the jobs in that step.
  Status step();
  // Events since the last call, in order.
  [[nodiscard]] std::vector<JobEvent> take_events();
  [[nodiscard]] bool idle() const { return scheduler_.idle(); }
  [[nodiscard]] EngineSnapshot snapshot() const;

 private:
  struct Choice;
  // A sequence's next token's logits, and after it those of each guess: [1 + guesses].
  struct Rows {
    sched::SequenceId sequence = 0;
    std::span<const engine::RowLogits> logits;
  };

  // What becomes of one token of an answer.
  struct Verdict {
    bool is_end = false;
    FinishReason reason = FinishReason::kStop;
  };
  void consume(const Rows& rows);
  Status submit_sequences(JobId id, const std::shared_ptr<const Job>& request,
                          std::vector<sched::SequenceId>& accepted);
  void forget(sched::SequenceId sequence);
  void pool_states(const sched::BatchPlan& plan);
  void finish_embedding(sched::SequenceId sequence);
  bool consume_row(sched::SequenceId sequence, const engine::RowLogits& logits);
  void emit(const Choice& choice, JobEvent::Kind kind, OutputPiece piece, const engine::Sample& sample);
  Result<engine::Sample> next_token(Choice& choice, const engine::RowLogits& logits,
                                    std::span<const sched::TokenId> tokens);
  Verdict judge(Choice& choice, std::span<const sched::TokenId> tokens, text::TokenId token, OutputPiece& piece);
  static void end_thinking(Choice& choice);
  void end_choice(sched::SequenceId sequence);
  void end_job(JobId id);
  void fail(JobId job, api::ErrorCode code);
  Status fail_plan(const std::vector<sched::SequenceId>& sequences);
  Status check_golden(std::span<const float> rows);
  void submit_golden();

  LoadedModel& model_;
  const GeneratorOptions options_;
  const Clock& clock_;
  sched::Scheduler scheduler_;
  engine::Sampler sampler_;
  StepPace pace_;
  std::unordered_map<sched::SequenceId, std::unique_ptr<Choice>> choices_;
  std::unordered_map<sched::SequenceId, StatePool> pools_;  // of jobs with pooling, instead of choices
  std::unordered_map<JobId, std::vector<sched::SequenceId>> jobs_;
  std::unordered_map<JobId, JobTotals> totals_;  // until cancel()
  std::vector<JobEvent> events_;
  std::vector<Rows> rows_;                  // reserved
  std::vector<sched::SequenceId> planned_;  // reserved
  std::vector<sched::SequenceId> pooled_;   // whose last state this step gave; reserved
  bool golden_pending_ = false;
  bool golden_submitted_ = false;
  std::uint64_t steps_ = 0;
  std::uint64_t prompt_tokens_ = 0;
  std::uint64_t generated_tokens_ = 0;
  std::uint64_t circles_ = 0;  // answers that went round in them
};

}  // namespace dormouse::worker
