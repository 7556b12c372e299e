#include "sched/scheduler.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "sched/sequence.h"

namespace dormouse::sched {
namespace {

SchedulerOptions checked(SchedulerOptions options) {
  CHECK(options.max_sequences > 0);
  CHECK(options.kv_pages > 0);
  // Invariant 3 needs a row and a logits row for each running sequence, and one logits row more for progress of an
  // entry that wants them all.
  options.max_batch_tokens = std::max(options.max_batch_tokens, options.max_sequences);
  CHECK(options.max_logits_rows > options.max_sequences);
  return options;
}

}  // namespace

Scheduler::Scheduler(const SchedulerOptions& options)
    : options_(checked(options)),
      pool_(options_.kv_pages),
      cache_(pool_, options_.max_idle_pages),
      waiting_(options_.max_batch_tokens) {
  running_.reserve(static_cast<std::size_t>(options_.max_sequences));
  prompts_.reserve(static_cast<std::size_t>(options_.max_sequences));
  plan_.entries.reserve(static_cast<std::size_t>(options_.max_sequences));
}

Scheduler::~Scheduler() = default;

Status Scheduler::submit(SequenceRequest request) {
  DCHECK(!in_flight_);
  if (request.prompt.empty()) return make_error(Code::kInvalidArgument, "sequence: empty prompt");
  const auto prompt_tokens = static_cast<std::int64_t>(request.prompt.size());
  const std::int64_t max_tokens = prompt_tokens + std::max(request.max_new_tokens, 0);
  const std::int64_t pages = pages_for(max_tokens);
  if (pages > options_.kv_pages) {
    return make_error(Code::kInvalidArgument, fmt::format("sequence: {} tokens need {} KV pages, the cache has {}",
                                                          max_tokens, pages, options_.kv_pages));
  }
  if (sequences_.contains(request.id)) return make_error(Code::kAlreadyExists, "sequence: id in use");
  if (!request.urgent &&
      (waiting_.size() >= options_.max_waiting || waiting_.cost() + prompt_tokens > options_.max_waiting_tokens)) {
    return make_error(Code::kOverloaded,
                      fmt::format("queue: {} sequences with {} prompt tokens wait, limits {} and {}", waiting_.size(),
                                  waiting_.cost(), options_.max_waiting, options_.max_waiting_tokens));
  }
  auto sequence = std::make_unique<Sequence>();
  sequence->id = request.id;
  sequence->tenant = std::move(request.tenant);
  sequence->tokens = std::move(request.prompt);
  sequence->prompt_length = static_cast<std::int32_t>(prompt_tokens);
  sequence->max_tokens = static_cast<std::int32_t>(max_tokens);
  sequence->wants_all_logits = request.wants_all_logits;
  sequence->top_is_enough = request.top_is_enough;
  sequence->wants_hidden = request.wants_hidden;
  sequence->shares = options_.share_prefixes && !request.wants_all_logits && !request.wants_hidden;
  sequence->urgent = request.urgent;
  if (sequence->urgent) {
    urgent_.push_back(sequence.get());
  } else {
    waiting_.push(sequence->tenant, sequence->id, prompt_tokens);
  }
  sequences_.emplace(request.id, std::move(sequence));
  return {};
}

void Scheduler::commit() {
  for (const auto& [id, token_count] : planned_) {
    Sequence& sequence = *sequences_.at(id);
    sequence.computed += token_count - sequence.drafts;
    draft_tokens_ += static_cast<std::uint64_t>(sequence.drafts);
    sequence.reached = std::max(sequence.reached, sequence.computed);
    sequence.planned = false;
    share_pages(sequence);
  }
  planned_.clear();
  in_flight_ = false;
}

void Scheduler::abandon() {
  for (const auto& [id, token_count] : planned_) {
    Sequence& sequence = *sequences_.at(id);
    sequence.planned = false;
    sequence.drop_drafts();
  }
  planned_.clear();
  in_flight_ = false;
}

bool Scheduler::append(SequenceId id, TokenId token) {
  DCHECK(!in_flight_);
  Sequence& sequence = *sequences_.at(id);
  CHECK(sequence.remaining() == 0);
  CHECK(sequence.length() < sequence.max_tokens);
  const bool is_guessed = sequence.drafts > 0 && sequence.tokens[static_cast<std::size_t>(sequence.length())] == token;
  if (is_guessed) {
    // Its row was computed after the tokens that are before it now: as good as any.
    sequence.drafts -= 1;
    sequence.computed += 1;
    accepted_tokens_ += 1;
  }
  if (sequence.drafted > 0 && (!is_guessed || sequence.drafts == 0)) {
    sequence.draft_length.learn(sequence.drafted, sequence.drafted - sequence.drafts, draft_cost_);
    sequence.drafted = 0;
  }
  if (is_guessed) return true;
  sequence.drop_drafts();
  sequence.tokens.push_back(token);
  return false;
}

bool Scheduler::end(SequenceId id) {
  DCHECK(!in_flight_);
  const auto found = sequences_.find(id);
  if (found == sequences_.end()) return false;
  Sequence& sequence = *found->second;
  release_pages(sequence);
  switch (sequence.state) {
    case State::kRunning: std::erase(running_, &sequence); break;
    case State::kPreempted: std::erase(preempted_, &sequence); break;
    case State::kWaiting:
      if (sequence.urgent)
        std::erase(urgent_, &sequence);
      else
        waiting_.remove(sequence.tenant, id);
      break;
  }
  sequences_.erase(found);
  return true;
}

std::int64_t Scheduler::waiting() const {
  return waiting_.size() + std::ssize(preempted_) + std::ssize(urgent_);
}

std::int32_t Scheduler::cached_tokens(SequenceId id) const {
  const auto found = sequences_.find(id);
  return found == sequences_.end() ? 0 : found->second->cached;
}

std::span<const TokenId> Scheduler::tokens(SequenceId id) const {
  const auto found = sequences_.find(id);
  if (found == sequences_.end()) return {};
  return std::span<const TokenId>(found->second->tokens).first(static_cast<std::size_t>(found->second->length()));
}

bool Scheduler::is_running(SequenceId id) const {
  const auto found = sequences_.find(id);
  return found != sequences_.end() && found->second->state == State::kRunning;
}

}  // namespace dormouse::sched
