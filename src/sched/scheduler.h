// Continuous batching as a pure state machine: sequences in, BatchPlans out. One cycle is
//   plan() -> the engine computes it -> commit() -> for each entry that ended its sequence's tokens: append() or end().
// A plan may hold guesses (draft.h), which let one entry give several tokens: what append() says.
// PURE: no threads, clocks or I/O. Owner: the worker's engine thread.
// Prompts share pages (prefix_cache.h): a sequence skips what is there already when it starts, and again at each border
// of a page while it is computed. Of sequences that begin alike and run at once (n choices of one prompt, a common
// system prompt) the oldest computes and the others wait for each page of it: a page is computed once.
// Invariants, held by a random walk in scheduler_test.cc:
//  1. A page belongs to one sequence, or to the prefix cache and any number of sequences, and is written only while it
//     belongs to one. Pages of an ended sequence can be had by others before end() returns.
//  2. A plan is never over max_batch_tokens, max_sequences or max_logits_rows.
//  3. Every running sequence that only waits for its next token is in every plan: a long prompt never delays a decode.
//  4. Every accepted sequence comes to its end: each fits into an empty cache (submit() refuses it otherwise), and when
//     pages run out the newest sequence gives its own back and is computed again later; so the oldest always goes on.
#pragma once

#include <cstdint>
#include <deque>
#include <limits>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "sched/batch_plan.h"
#include "sched/draft.h"
#include "sched/fair_queue.h"
#include "sched/page_pool.h"
#include "sched/prefix_cache.h"

namespace dormouse::sched {

struct SchedulerOptions {
  std::int32_t max_sequences = 256;     // running at once; more wait
  std::int32_t max_batch_tokens = 512;  // rows of one plan; at least max_sequences
  std::int32_t max_logits_rows = 320;   // more than max_sequences: the rest is for entries that want all logits
  std::int32_t kv_pages = 0;
  Speculation speculation = Speculation::kOff;
  bool share_prefixes = true;
  // Pages of prompts kept after everybody who used them has left; never more than there are, and given up first when
  // pages run out. They cost memory that a sequence has touched, nothing else.
  std::int32_t max_idle_pages = std::numeric_limits<std::int32_t>::max();
  std::int64_t max_waiting = 1024;              // sequences; more are refused (kOverloaded)
  std::int64_t max_waiting_tokens = 1'048'576;  // prompt tokens waiting; half an hour of prefill at 600 a second
};

struct SequenceRequest {
  SequenceId id = 0;
  std::string tenant;               // fairness is between tenants; empty is one too
  std::vector<TokenId> prompt;      // at least one token
  std::int32_t max_new_tokens = 0;  // what the caller will append at most
  // Logits for every prompt token (golden rows, echo with logprobs). Such a sequence computes all its pages itself and
  // shares none.
  bool wants_all_logits = false;
  bool top_is_enough = false;  // PlanEntry::top_is_enough
  // The hidden state of every prompt token instead of logits (embeddings). Shares no pages either: all are wanted.
  // Nothing is appended; whoever has the last token's state ends the sequence.
  bool wants_hidden = false;
  bool urgent = false;  // before every waiting sequence of every tenant, and whole: the golden rows
};

// What the caller has measured and the next plan goes by.
struct PlanLimits {
  // Rows of prompts in a step that has decodes in it, so that running streams are not held up longer than the caller
  // wants; without decodes max_batch_tokens is the bound. Less than kMinChunk is taken as kMinChunk: prompts must not
  // starve.
  std::int32_t prompt_rows_beside_decodes = std::numeric_limits<std::int32_t>::max();
  // Of one guess, as a part of a step without any. A tenth is what a step of 8 rows costs over one of one row where
  // memory is the limit, and then some.
  double draft_cost = 0.1;
};

// The least part of a prompt worth a place in a step: below a page's worth of tokens the per-sequence costs of
// attention outweigh the rows. Also how many prompts share one step at most: rows_left / kMinChunk.
inline constexpr std::int32_t kMinChunk = kPageTokens;

// Rows of a step's decodes up to which guesses may be among them.
inline constexpr std::int32_t kDecodeRowsWithDrafts = 1 + kMaxDraft;

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
  [[nodiscard]] const BatchPlan& plan(const PlanLimits& limits = {});
  // The engine has computed the last plan.
  void commit();
  // The engine could not compute it: nothing of it counts.
  void abandon();
  // A sequence's next token. Between commit() and the next plan(). True: it had been guessed, and the entry's next row
  // has the logits for the one after it: append() that too, or end().
  bool append(SequenceId id, TokenId token);
  // Finished, failed or cancelled: its pages are free when this returns. Between commit() and the next plan().
  // False: no such sequence (it ended before).
  bool end(SequenceId id);

  [[nodiscard]] std::int64_t running() const { return static_cast<std::int64_t>(running_.size()); }
  // Not admitted yet, or preempted.
  [[nodiscard]] std::int64_t waiting() const;
  [[nodiscard]] bool idle() const { return sequences_.empty(); }
  // Not used by any sequence; idle_pages() of them hold prompts that may come again.
  [[nodiscard]] std::int32_t free_pages() const { return cache_.available(); }
  [[nodiscard]] std::int32_t idle_pages() const { return cache_.idle_pages(); }
  // Prompt tokens of started sequences, and how many of them were not computed because their pages were there.
  [[nodiscard]] std::uint64_t prefix_queries() const { return prefix_queries_; }
  [[nodiscard]] std::uint64_t prefix_hits() const { return prefix_hits_; }
  // The same of one sequence; final once its first logits are there. 0: no such sequence.
  [[nodiscard]] std::int32_t cached_tokens(SequenceId id) const;
  [[nodiscard]] std::uint64_t preemptions() const { return preemptions_; }
  [[nodiscard]] const SchedulerOptions& options() const { return options_; }
  // Guesses computed, and those that were right.
  [[nodiscard]] std::uint64_t draft_tokens() const { return draft_tokens_; }
  [[nodiscard]] std::uint64_t accepted_tokens() const { return accepted_tokens_; }
  // All tokens, prompt and appended. Empty: no such sequence.
  [[nodiscard]] std::span<const TokenId> tokens(SequenceId id) const;
  [[nodiscard]] bool is_running(SequenceId id) const;

 private:
  struct Sequence;
  enum class State { kWaiting, kPreempted, kRunning };

  void plan_decodes();
  [[nodiscard]] std::int32_t draft_room_each() const;
  void draft(Sequence& sequence, std::int32_t room);
  void admit();
  void plan_prompts();
  void grow_prompt(Sequence& sequence, std::int32_t limit);
  bool make_room_for(Sequence& sequence);
  void preempt_newest();
  bool start(Sequence& sequence);
  void reuse_pages(Sequence& sequence);
  void count_found(Sequence& sequence);
  void share_pages(Sequence& sequence);
  void release_pages(Sequence& sequence);
  [[nodiscard]] bool waits_for_older(const Sequence& sequence) const;
  void add_entry(Sequence& sequence, std::int32_t token_count);
  [[nodiscard]] std::int32_t rows_left() const { return row_limit_ - plan_.token_count; }
  [[nodiscard]] Sequence* next_to_start();

  const SchedulerOptions options_;
  PagePool pool_;
  PrefixCache cache_;
  FairQueue waiting_;
  std::deque<Sequence*> urgent_;
  std::deque<Sequence*> preempted_;  // oldest admission first; before all that wait
  std::vector<Sequence*> running_;   // in order of admission
  std::unordered_map<SequenceId, std::unique_ptr<Sequence>> sequences_;
  BatchPlan plan_;
  std::int32_t row_limit_ = 0;                                // of the plan that is being made
  double draft_cost_ = 0;                                     // as the last plan was told
  std::vector<std::pair<SequenceId, std::int32_t>> planned_;  // what commit() counts
  std::vector<Sequence*> prompts_;                            // plan_prompts(): who gets a part of this step; reserved
  bool in_flight_ = false;
  std::uint64_t admissions_ = 0;
  std::uint64_t draft_tokens_ = 0;
  std::uint64_t accepted_tokens_ = 0;
  std::uint64_t prefix_queries_ = 0;
  std::uint64_t prefix_hits_ = 0;
  std::uint64_t preemptions_ = 0;
};

}  // namespace dormouse::sched
