// Drives a scheduler by a string of bytes and holds it to its invariants: the one checker behind the random walk of
// scheduler_test.cc and the fuzz target. Test equipment. It keeps its own model of who has computed what, and of what
// every slot of every page holds: a number for the tenant, all tokens up to there and the arithmetic of each.
#pragma once

#include <algorithm>
#include <array>
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
  explicit SchedulerWalk(const SchedulerOptions& options)
      : scheduler_(options), slots_(static_cast<std::size_t>(options.kv_pages)) {}

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
  [[nodiscard]] std::uint64_t draft_tokens() const { return scheduler_.draft_tokens(); }
  [[nodiscard]] std::uint64_t accepted_tokens() const { return scheduler_.accepted_tokens(); }
  [[nodiscard]] std::uint64_t prefix_hits() const { return scheduler_.prefix_hits(); }

 private:
  struct Model {
    bool all_logits = false;
    bool hidden = false;  // states instead of logits
    std::int32_t prompt = 0;
    std::vector<std::uint64_t> marks;  // by position: what a slot must hold that has this token's keys and values
    std::int32_t left = 0;             // tokens it may still append
    std::int32_t computed = 0;
    std::int32_t cached = 0;  // skipped
    bool started = false;
    bool preempted = false;
    bool was_ready = false;  // ran and only waited for its next token when the plan was made

    [[nodiscard]] std::int32_t tokens() const { return static_cast<std::int32_t>(marks.size()) - 1; }
    // marks[0] is the tenant's.
    [[nodiscard]] std::uint64_t mark(std::int32_t at) const { return marks[static_cast<std::size_t>(at) + 1]; }
    void append(TokenId token) { marks.push_back(next_mark(marks.back(), token, tokens())); }
    [[nodiscard]] std::uint64_t next_mark(std::uint64_t before, TokenId token, std::int32_t at) const {
      const std::uint64_t word = static_cast<std::uint64_t>(token) * 2 + (at < prompt ? 0U : 1U);
      return (before ^ word) * 0x9E3779B97F4A7C15ULL + 1;
    }
  };
  using Slots = std::array<std::uint64_t, kPageTokens>;

  std::uint8_t take() {
    if (bytes_.empty()) return 0;
    const std::uint8_t value = bytes_.front();
    bytes_ = bytes_.subspan(1);
    return value;
  }
  void fail(std::string what) {
    if (failure_.empty()) failure_ = std::move(what);
  }
  [[nodiscard]] std::uint64_t& slot(const PlanEntry& entry, std::int32_t position) {
    const PageId page = entry.pages[static_cast<std::size_t>(position / kPageTokens)];
    return slots_[static_cast<std::size_t>(page)][static_cast<std::size_t>(position % kPageTokens)];
  }

  void event() {
    const std::uint8_t kind = take();
    if (kind < 80)
      submit();
    else if (kind < 100)
      cancel();
    else
      step();
  }

  void submit() {
    SequenceRequest request;
    request.id = next_id_++;
    const std::uint8_t shape = take();
    request.tenant = std::string(1, static_cast<char>('a' + shape % 3));
    // Mostly short, now and then longer than a step, rarely longer than the cache; alike up to one of four borders.
    const std::int32_t length = 1 + take() * (shape < 200 ? 1 : 8);
    const std::uint8_t branch = take() % 4;
    Model model;
    model.prompt = length;
    model.marks.push_back(static_cast<std::uint64_t>(shape % 3));
    for (std::int32_t i = 0; i < length; ++i) {
      request.prompt.push_back(i < branch * kPageTokens ? 7 : 10 + branch);
      model.append(request.prompt.back());
    }
    request.max_new_tokens = shape % 7 == 0 ? 0 : take();
    request.wants_all_logits = shape % 11 == 0;
    request.wants_hidden = shape % 17 == 5 && !request.wants_all_logits;
    if (request.wants_hidden) request.max_new_tokens = 0;
    request.urgent = shape % 13 == 0;
    model.all_logits = request.wants_all_logits;
    model.hidden = request.wants_hidden;
    model.left = request.max_new_tokens;
    const bool fits = pages_for(length + request.max_new_tokens) <= scheduler_.options().kv_pages;
    const SequenceId id = request.id;
    const Status status = scheduler_.submit(std::move(request));
    if (status.has_value()) {
      if (!fits) fail("accepted what can never fit");
      accepted_ += 1;
      models_.emplace(id, std::move(model));
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
      model.was_ready = scheduler_.is_running(id) && model.tokens() - model.computed == 1;
    }
    limits_.prompt_rows_beside_decodes = take() % 2 == 0 ? 1000 : take();
    const BatchPlan& plan = scheduler_.plan(limits_);
    if (plan.empty() != scheduler_.idle()) fail("nothing planned although sequences are there");
    check_sequences(plan);
    check(plan);
    if (!failure_.empty() || plan.empty()) return;
    const bool abandoned = take() % 32 == 31;
    write(plan, abandoned);
    if (abandoned) return scheduler_.abandon();
    // Spans die with commit().
    std::vector<std::pair<SequenceId, std::vector<TokenId>>> done;
    for (const PlanEntry& entry : plan.entries) {
      const auto drafts = entry.tokens.last(static_cast<std::size_t>(entry.draft_count));
      models_.at(entry.sequence).computed += static_cast<std::int32_t>(entry.tokens.size() - drafts.size());
      const bool is_last = entry.wants_hidden && models_.at(entry.sequence).computed == entry.prompt_length;
      if (entry.wants_logits || is_last)
        done.emplace_back(entry.sequence, std::vector<TokenId>(drafts.begin(), drafts.end()));
    }
    scheduler_.commit();
    for (const auto& [id, drafts] : done) {
      std::size_t right = 0;
      while (advance(id, drafts, right)) ++right;
    }
  }

  // One token: what is guessed, mostly, else one that prompts have, so that a page of these must still not be found by
  // a prompt. Whether the next row counts.
  bool advance(SequenceId id, const std::vector<TokenId>& drafts, std::size_t right) {
    Model& model = models_.at(id);
    if (model.left > 0 && take() % 64 != 63) {
      const bool is_guess_right = right < drafts.size() && take() % 4 != 0;
      const TokenId token = is_guess_right ? drafts[right] : (take() % 2 == 0 ? 8 : 7);
      const bool was_guessed = right < drafts.size() && drafts[right] == token;
      model.append(token);
      model.left -= 1;
      model.computed += was_guessed ? 1 : 0;
      if (scheduler_.append(id, token) != was_guessed) fail("a guess is taken for what it is not");
      return was_guessed;
    }
    if (!scheduler_.end(id)) fail("a live sequence was unknown");
    models_.erase(id);
    finished_ += 1;
    return false;
  }

  // Whoever does not run has nothing computed; whoever ran and was ready is in the plan.
  void check_sequences(const BatchPlan& plan) {
    std::set<SequenceId> planned;
    for (const PlanEntry& entry : plan.entries) planned.insert(entry.sequence);
    if (std::ssize(planned) != std::ssize(plan.entries)) fail("a sequence twice in a plan");
    for (auto& [id, model] : models_) {
      if (scheduler_.is_running(id)) {
        if (model.was_ready && !planned.contains(id)) fail("a decode was left out");
        model.started = true;
        continue;
      }
      model.computed = 0;
      model.preempted = model.preempted || model.started;
    }
    if (scheduler_.running() > scheduler_.options().max_sequences) fail("over the sequences");
    if (scheduler_.idle_pages() > scheduler_.options().max_idle_pages) fail("over the idle pages");
  }

  void check(const BatchPlan& plan) {
    const SchedulerOptions& options = scheduler_.options();
    std::map<PageId, int> users;
    std::int32_t rows = 0;
    std::int32_t prompt_rows = 0;
    std::int32_t decodes = 0;
    std::int32_t decode_rows = 0;
    std::int32_t logits = 0;
    std::int32_t hidden = 0;
    for (const PlanEntry& entry : plan.entries) {
      const auto count = static_cast<std::int32_t>(entry.tokens.size());
      if (count <= 0) fail("an empty entry");
      check_start(entry);
      const Model& model = models_.at(entry.sequence);
      if (entry.prompt_length != model.prompt) fail("a token in the other arithmetic");
      const std::int32_t known = count - entry.draft_count;
      const bool has_last = entry.start_position + known == model.tokens();
      if (entry.wants_hidden != model.hidden) fail("hidden states of the wrong sequence");
      if (entry.wants_logits != (has_last && !model.hidden)) fail("logits at the wrong row");
      hidden += entry.wants_hidden ? count : 0;
      check_drafts(entry);
      if (std::ssize(entry.pages) != pages_for(entry.start_position + count)) fail("wrong number of pages");
      for (const PageId page : entry.pages) {
        if (page < 0 || page >= options.kv_pages) return fail("no such page");
        users[page] += 1;
      }
      rows += count;
      if (model.was_ready) {
        decodes += 1;
        decode_rows += count;
      } else if (count > 1) {
        // One row may be the end of a prompt whose last page was found when there was no room for it in a step.
        prompt_rows += count;
      }
      logits += entry.wants_all_logits ? count : (entry.wants_logits ? 1 : 0);
    }
    for (const PlanEntry& entry : plan.entries) {
      for (const PageId page : entry.pages.subspan(static_cast<std::size_t>(entry.start_position / kPageTokens))) {
        if (users[page] != 1) fail("a page is written while it is shared");
      }
      check_history(entry);
    }
    if (rows != plan.token_count || rows > options.max_batch_tokens) fail("over the rows of a step");
    if (logits != plan.logits_count || logits > options.max_logits_rows) fail("over the logits rows of a step");
    if (hidden != plan.hidden_count) fail("hidden states are miscounted");
    if (decode_rows > std::max(decodes, kDecodeRowsWithDrafts)) fail("more guesses than rows are cheap");
    if (decodes > 0 && prompt_rows > std::max(limits_.prompt_rows_beside_decodes, kMinChunk)) {
      fail("decodes are held up by more rows than allowed");
    }
    if (std::ssize(users) > options.kv_pages - scheduler_.free_pages()) fail("a free page is in use");
  }

  // It goes on where it was, or further by whole pages of its prompt that somebody else computed.
  void check_start(const PlanEntry& entry) {
    Model& model = models_.at(entry.sequence);
    const std::int32_t skipped = entry.start_position - model.computed;
    const bool may_skip = entry.start_position % kPageTokens == 0 && !model.all_logits && !model.hidden &&
                          entry.start_position <= model.prompt && scheduler_.options().share_prefixes;
    if (skipped < 0 || (skipped > 0 && !may_skip)) fail("a gap between two chunks");
    if (model.preempted) return;
    model.cached += skipped;
    if (scheduler_.cached_tokens(entry.sequence) != model.cached) fail("tokens found are miscounted");
    model.computed = entry.start_position;
  }

  // What the entry's rows will read: the first and the last slot of each page it does not write from the start.
  void check_history(const PlanEntry& entry) {
    const Model& model = models_.at(entry.sequence);
    for (std::int32_t begin = 0; begin < entry.start_position; begin += kPageTokens) {
      const std::int32_t last = std::min(begin + kPageTokens, entry.start_position) - 1;
      if (slot(entry, begin) != model.mark(begin) || slot(entry, last) != model.mark(last)) {
        fail("a page holds other tokens than its sequence's");
      }
    }
  }

  // Guesses follow a sequence's own next token, and none is of use past its last token.
  void check_drafts(const PlanEntry& entry) {
    if (entry.draft_count == 0) return;
    const Model& model = models_.at(entry.sequence);
    if (!model.was_ready || entry.tokens.size() != static_cast<std::size_t>(entry.draft_count) + 1) {
      fail("guesses where no next token is");
    }
    if (entry.start_position < model.prompt) fail("guesses after a prompt row");
    if (!entry.wants_all_logits) fail("guesses without logits");
    if (entry.draft_count >= model.left) fail("guesses past the last token");
  }

  void write(const BatchPlan& plan, bool abandoned) {
    for (const PlanEntry& entry : plan.entries) {
      Model& model = models_.at(entry.sequence);
      model.computed = entry.start_position;
      std::uint64_t mark = model.mark(entry.start_position - 1);
      for (std::int32_t i = 0; i < static_cast<std::int32_t>(entry.tokens.size()); ++i) {
        const std::int32_t position = entry.start_position + i;
        mark = model.next_mark(mark, entry.tokens[static_cast<std::size_t>(i)], position);
        if (position < model.tokens() && mark != model.mark(position)) fail("another token than was appended");
        slot(entry, position) = abandoned ? 0 : mark;
      }
    }
  }

  Scheduler scheduler_;
  PlanLimits limits_;
  std::vector<Slots> slots_;  // by page
  std::span<const std::uint8_t> bytes_;
  std::map<SequenceId, Model> models_;
  SequenceId next_id_ = 1;
  std::int64_t accepted_ = 0;
  std::int64_t refused_ = 0;
  std::int64_t finished_ = 0;
  std::string failure_;
};

}  // namespace dormouse::sched
