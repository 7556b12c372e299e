// Continuous batching as a pure state machine: sequences in, BatchPlans out. One cycle is
//   plan() -> the engine computes it -> commit() -> for each entry that ended its sequence's tokens: append() or end().
// PURE: no threads, clocks or I/O. Owner: the worker's engine thread.
// Invariants, held by a random walk in scheduler_test.cc:
//  1. A page belongs to at most one sequence; pages of an ended sequence are back before end() returns.
//  2. A plan is never over max_batch_tokens, max_sequences or max_logits_rows.
//  3. Every running sequence that only waits for its next token is in every plan: a long prompt never delays a decode.
//  4. Every accepted sequence comes to its end: each fits into an empty cache (submit() refuses it otherwise), and when
//     pages run out the newest sequence gives its own back and is computed again later; so the oldest always goes on.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "sched/batch_plan.h"
#include "sched/fair_queue.h"
#include "sched/page_pool.h"

namespace dormouse::sched {

struct SchedulerOptions {
  std::int32_t max_sequences = 256;     // running at once; more wait
  std::int32_t max_batch_tokens = 512;  // rows of one plan; at least max_sequences
  std::int32_t max_logits_rows = 320;   // more than max_sequences: the rest is for entries that want all logits
  std::int32_t kv_pages = 0;
  std::int64_t max_waiting = 1024;              // sequences; more are refused (kOverloaded)
  std::int64_t max_waiting_tokens = 1'048'576;  // prompt tokens waiting; half an hour of prefill at 600 a second
};

struct SequenceRequest {
  SequenceId id = 0;
  std::string tenant;                // fairness is between tenants; empty is one too
  std::vector<TokenId> prompt;       // at least one token
  std::int32_t max_new_tokens = 0;   // what the caller will append at most
  bool wants_all_logits = false;     // logits for every prompt token (golden rows, echo with logprobs)
  bool urgent = false;               // before every waiting sequence of every tenant, and whole: the golden rows
};

class Scheduler {
 public:
  explicit Scheduler(const SchedulerOptions& options);
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // Errors: kInvalidArgument (empty prompt; prompt + max_new_tokens can never fit the cache), kAlreadyExists (id),
  // kOverloaded (waiting queue full by count or by tokens).
  Status submit(SequenceRequest request);
  // The next step; empty when nothing can run. Its spans are valid until commit().
  [[nodiscard]] const BatchPlan& plan();
  // The engine has computed the last plan.
  void commit();
  // The engine could not compute it: nothing of it counts.
  void abandon();
  // A sequence's next token. Between commit() and the next plan().
  void append(SequenceId id, TokenId token);
  // Finished, failed or cancelled: its pages are free when this returns. Between commit() and the next plan().
  // False: no such sequence (it ended before).
  bool end(SequenceId id);

  [[nodiscard]] std::int64_t running() const { return static_cast<std::int64_t>(running_.size()); }
  // Not admitted yet, or preempted.
  [[nodiscard]] std::int64_t waiting() const;
  [[nodiscard]] bool idle() const { return sequences_.empty(); }
  [[nodiscard]] std::int32_t free_pages() const { return pool_.free_count(); }
  [[nodiscard]] std::uint64_t preemptions() const { return preemptions_; }
  [[nodiscard]] const SchedulerOptions& options() const { return options_; }
  // All tokens, prompt and appended. Empty: no such sequence.
  [[nodiscard]] std::span<const TokenId> tokens(SequenceId id) const;
  [[nodiscard]] bool is_running(SequenceId id) const;

 private:
  struct Sequence;
  enum class State { kWaiting, kPreempted, kRunning };

  void plan_decodes();
  void admit();
  void plan_prompts();
  void grow_prompt(Sequence& sequence, std::int32_t limit);
  bool make_room_for(Sequence& sequence);
  void preempt_newest();
  bool start(Sequence& sequence);
  void add_entry(Sequence& sequence, std::int32_t token_count);
  [[nodiscard]] std::int32_t rows_left() const { return options_.max_batch_tokens - plan_.token_count; }
  [[nodiscard]] Sequence* next_to_start();

  const SchedulerOptions options_;
  PagePool pool_;
  FairQueue waiting_;
  std::deque<Sequence*> urgent_;
  std::deque<Sequence*> preempted_;  // oldest admission first; before all that wait
  std::vector<Sequence*> running_;   // in order of admission
  std::unordered_map<SequenceId, std::unique_ptr<Sequence>> sequences_;
  BatchPlan plan_;
  std::vector<std::pair<SequenceId, std::int32_t>> planned_;  // what commit() counts
  bool in_flight_ = false;
  std::uint64_t admissions_ = 0;
  std::uint64_t preemptions_ = 0;
};

}  // namespace dormouse::sched
