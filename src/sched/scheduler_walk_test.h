// Drives a scheduler by a string of bytes and holds it to its invariants: the one checker behind the random walk of
// scheduler_test.cc and the fuzz target. Test equipment. It keeps its own model of who has computed what and compares.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "sched/scheduler.h"

namespace dormouse::sched {

class SchedulerWalk {
 public:
  explicit SchedulerWalk(const SchedulerOptions& options) : scheduler_(options) {}

  // Consumes all bytes, then runs until idle. Empty: every invariant held; otherwise what broke.
  [[nodiscard]] std::string run(std::span<const std::uint8_t> bytes) {
    bytes_ = bytes;
    while (!bytes_.empty() && failure_.empty()) event();
    // Each step feeds at least one row; recomputation is bounded because the oldest never yields.
    for (std::int64_t steps = 0; !scheduler_.idle() && failure_.empty(); ++steps) {
      if (steps > 2'000'000) fail("does not come to an end");
      step();
    }
    if (failure_.empty() && scheduler_.free_pages() != scheduler_.options().kv_pages) fail("pages leaked");
    if (failure_.empty() && finished_ != accepted_) fail("a sequence got lost");
    return failure_;
  }
  [[nodiscard]] std::int64_t accepted() const { return accepted_; }
  [[nodiscard]] std::int64_t refused() const { return refused_; }
  [[nodiscard]] std::uint64_t preemptions() const { return scheduler_.preemptions(); }

 private:
  struct Model {
    std::int32_t prompt = 0;
    std::int32_t tokens = 0;
    std::int32_t left = 0;  // tokens it may still append
    std::int32_t computed = 0;
    bool was_ready = false;  // ran and only waited for its next token when the plan was made
  };

  std::uint8_t take() {
    if (bytes_.empty()) return 0;
    const std::uint8_t value = bytes_.front();
    bytes_ = bytes_.subspan(1);
    return value;
  }
  void fail(std::string what) {
    if (failure_.empty()) failure_ = std::move(what);
  }

  void event() {
    const std::uint8_t kind = take();
    if (kind < 80) submit();
    else if (kind < 100) cancel();
    else step();
  }

  void submit() {
    SequenceRequest request;
    request.id = next_id_++;
    const std::uint8_t shape = take();
    request.tenant = std::string(1, static_cast<char>('a' + shape % 3));
    // Mostly short, now and then longer than a step, rarely longer than the cache.
    const std::int32_t length = 1 + take() * (shape < 200 ? 1 : 8);
    request.prompt.assign(static_cast<std::size_t>(length), 7);
    request.max_new_tokens = shape % 7 == 0 ? 0 : take();
    request.wants_all_logits = shape % 11 == 0;
    request.urgent = shape % 13 == 0;
    const Model model{
        .prompt = length, .tokens = length, .left = request.max_new_tokens, .computed = 0, .was_ready = false};
    const bool fits = pages_for(length + request.max_new_tokens) <= scheduler_.options().kv_pages;
    const SequenceId id = request.id;
    const Status status = scheduler_.submit(std::move(request));
    if (status.has_value()) {
      if (!fits) fail("accepted what can never fit");
      accepted_ += 1;
      models_.emplace(id, model);
      return;
    }
    refused_ += 1;
    if (status.error().code == Code::kInvalidArgument && fits) fail("refused what fits");
  }

  void cancel() {
    if (models_.empty()) return;
    auto victim = models_.begin();
    std::advance(victim, take() % std::ssize(models_));
    if (!scheduler_.end(victim->first)) fail("a live sequence was unknown");
    if (scheduler_.end(victim->first)) fail("ended twice");
    models_.erase(victim);
    finished_ += 1;
  }

  void step() {
    for (auto& [id, model] : models_) {
      model.was_ready = scheduler_.is_running(id) && model.tokens - model.computed == 1;
    }
    const BatchPlan& plan = scheduler_.plan();
    if (plan.empty() != scheduler_.idle()) fail("nothing planned although sequences are there");
    check(plan);
    if (!failure_.empty() || plan.empty()) return;
    if (take() % 32 == 31) return scheduler_.abandon();
    // Spans die with commit().
    std::vector<std::pair<SequenceId, bool>> done;
    for (const PlanEntry& entry : plan.entries) {
      models_.at(entry.sequence).computed += static_cast<std::int32_t>(entry.tokens.size());
      done.emplace_back(entry.sequence, entry.wants_logits);
    }
    scheduler_.commit();
    for (const auto& [id, wants_logits] : done) {
      if (wants_logits) advance(id);
    }
  }

  void advance(SequenceId id) {
    Model& model = models_.at(id);
    if (model.left > 0 && take() % 64 != 63) {
      scheduler_.append(id, 9);
      model.tokens += 1;
      model.left -= 1;
      return;
    }
    if (!scheduler_.end(id)) fail("a live sequence was unknown");
    models_.erase(id);
    finished_ += 1;
  }

  void check(const BatchPlan& plan) {
    const SchedulerOptions& options = scheduler_.options();
    std::set<SequenceId> seen;
    std::set<PageId> pages;
    std::int32_t rows = 0;
    std::int32_t logits = 0;
    for (const PlanEntry& entry : plan.entries) {
      const auto count = static_cast<std::int32_t>(entry.tokens.size());
      if (count <= 0) fail("an empty entry");
      if (!seen.insert(entry.sequence).second) fail("a sequence twice in a plan");
      const Model& model = models_.at(entry.sequence);
      if (entry.start_position != model.computed) fail("a gap between two chunks");
      if (entry.prompt_length != model.prompt) fail("a token in the other arithmetic");
      if (entry.wants_logits != (entry.start_position + count == model.tokens)) fail("logits at the wrong row");
      if (std::ssize(entry.pages) != pages_for(entry.start_position + count)) fail("wrong number of pages");
      for (const PageId page : entry.pages) {
        if (page < 0 || page >= options.kv_pages) fail("no such page");
        if (!pages.insert(page).second) fail("a page in two sequences");
      }
      rows += count;
      logits += entry.wants_all_logits ? count : (entry.wants_logits ? 1 : 0);
    }
    if (rows != plan.token_count || rows > options.max_batch_tokens) fail("over the rows of a step");
    if (logits != plan.logits_count || logits > options.max_logits_rows) fail("over the logits rows of a step");
    if (scheduler_.running() > options.max_sequences) fail("over the sequences");
    for (auto& [id, model] : models_) {
      if (model.was_ready && scheduler_.is_running(id) && !seen.contains(id)) fail("a decode was left out");
      if (!scheduler_.is_running(id)) model.computed = 0;  // preempted: it starts again
    }
    if (std::ssize(pages) > options.kv_pages - scheduler_.free_pages()) fail("a free page is in use");
  }

  Scheduler scheduler_;
  std::span<const std::uint8_t> bytes_;
  std::map<SequenceId, Model> models_;
  SequenceId next_id_ = 1;
  std::int64_t accepted_ = 0;
  std::int64_t refused_ = 0;
  std::int64_t finished_ = 0;
  std::string failure_;
};

}  // namespace dormouse::sched
