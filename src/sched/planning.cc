// How a step is put together: decodes first, then who is admitted, then the prompts' parts.
#include <algorithm>
#include <optional>
#include <utility>

#include "base/check.h"
#include "sched/scheduler.h"
#include "sched/sequence.h"

namespace dormouse::sched {

const BatchPlan& Scheduler::plan(const PlanLimits& limits) {
  CHECK(!in_flight_);
  plan_.entries.clear();
  plan_.token_count = 0;
  plan_.logits_count = 0;
  plan_.hidden_count = 0;
  planned_.clear();
  row_limit_ = options_.max_batch_tokens;
  draft_cost_ = limits.draft_cost;
  const std::uint64_t preemptions_before = preemptions_;
  plan_decodes();
  if (!plan_.entries.empty()) {
    row_limit_ = plan_.token_count + std::min(rows_left(), std::max(limits.prompt_rows_beside_decodes, kMinChunk));
  }
  // In a step that ran out of pages nobody new comes in, least of all the one that just gave its own.
  if (preemptions_ == preemptions_before) admit();
  plan_prompts();
  in_flight_ = !plan_.entries.empty();
  return plan_;
}

// Every running sequence that waits for its next token, oldest first: when pages run out, it is the newest that yields,
// and what is newer than this one has not been planned yet.
void Scheduler::plan_decodes() {
  const std::int32_t draft_room = draft_room_each();
  for (std::size_t i = 0; i < running_.size(); ++i) {
    Sequence& sequence = *running_[i];
    if (sequence.remaining() != 1) continue;
    if (!make_room_for(sequence)) break;  // it was the newest itself and has left the list's end
    draft(sequence, draft_room);
    add_entry(sequence, 1 + sequence.drafts);
  }
}

// Rows are nearly free only while there are few, and nobody's own row may go missing: not in the step, and not among
// those with logits (each that runs or will be admitted now needs one, one that wants all of them one more).
std::int32_t Scheduler::draft_room_each() const {
  if (options_.speculation == Speculation::kOff) return 0;
  std::int32_t decodes = 0;
  for (const Sequence* sequence : running_) decodes += sequence->remaining() == 1 ? 1 : 0;
  if (decodes == 0) return 0;
  const std::int32_t room = std::min({kDecodeRowsWithDrafts - decodes, options_.max_batch_tokens - decodes,
                                      options_.max_logits_rows - options_.max_sequences - 1});
  return std::max(room, 0) / decodes;
}

// Guesses stay within the pages the sequence has: a page taken for them could cost another sequence its own.
void Scheduler::draft(Sequence& sequence, std::int32_t room) {
  if (room == 0 || sequence.wants_all_logits || sequence.computed < sequence.prompt_length) return;
  const std::int32_t page_room = static_cast<std::int32_t>(sequence.pages.size()) * kPageTokens - sequence.computed - 1;
  const std::int32_t wanted = options_.speculation == Speculation::kAuto ? sequence.draft_length.next() : kMaxDraft;
  // The row of the last token that may be appended is the last one of use.
  const std::int32_t count = std::min({wanted, room, page_room, sequence.max_tokens - sequence.length() - 1});
  sequence.drafts = append_draft(sequence.tokens, count);
  sequence.drafted = sequence.drafts;
}

// A page for the sequence's next row. False: it had to give up its own.
bool Scheduler::make_room_for(Sequence& sequence) {
  const auto needed = static_cast<std::size_t>(pages_for(sequence.computed + 1));
  while (sequence.pages.size() < needed) {
    if (cache_.take(1, sequence.pages)) return true;
    const bool is_newest = running_.back() == &sequence;
    preempt_newest();
    if (is_newest) return false;
  }
  return true;
}

void Scheduler::preempt_newest() {
  Sequence& victim = *running_.back();
  CHECK(!victim.planned);
  running_.pop_back();
  release_pages(victim);
  victim.state = State::kPreempted;
  const auto younger = std::find_if(preempted_.begin(), preempted_.end(),
                                    [&](const Sequence* other) { return other->admission > victim.admission; });
  preempted_.insert(younger, &victim);
  preemptions_ += 1;
}

Scheduler::Sequence* Scheduler::next_to_start() {
  if (!urgent_.empty()) return urgent_.front();
  if (!preempted_.empty()) return preempted_.front();
  const std::optional<SequenceId> id = waiting_.peek();
  return id.has_value() ? sequences_.at(*id).get() : nullptr;
}

// Starts what has a place, pages for all its tokens, and rows to make progress with in this step. Whoever does not fit
// is waited for, not overtaken: a large prompt must not starve behind small ones.
void Scheduler::admit() {
  std::int32_t prompts = 0;
  for (const Sequence* sequence : running_) prompts += sequence->planned ? 0 : 1;
  while (std::ssize(running_) < options_.max_sequences) {
    const bool has_rows = prompts == 0 ? rows_left() > 0 : (prompts + 1) * kMinChunk <= rows_left();
    if (!has_rows) return;
    Sequence* const next = next_to_start();
    if (next == nullptr || !start(*next)) return;
    prompts += 1;
  }
}

bool Scheduler::start(Sequence& sequence) {
  // One token more than there are, so that the first generated one has a page; and a few pages are left for those that
  // run (1 % of the cache, at most one each), so that admission is not followed by preemption.
  const std::int32_t tokens = std::min(sequence.length() + 1, sequence.max_tokens);
  CHECK(sequence.pages.empty());
  reuse_pages(sequence);
  const auto pages = static_cast<std::int32_t>(pages_for(tokens)) - static_cast<std::int32_t>(sequence.pages.size());
  const auto spare = std::min(static_cast<std::int32_t>(running_.size()), options_.kv_pages / 100);
  if (pages > cache_.available() - spare) {
    release_pages(sequence);
    return false;
  }
  CHECK(cache_.take(pages, sequence.pages));
  switch (sequence.state) {
    case State::kPreempted: preempted_.pop_front(); break;
    case State::kWaiting:
      if (sequence.urgent)
        urgent_.pop_front();
      else
        waiting_.pop();
      sequence.admission = ++admissions_;
      if (sequence.shares) prefix_queries_ += static_cast<std::uint64_t>(sequence.prompt_length);
      break;
    case State::kRunning: CHECK(false);
  }
  sequence.state = State::kRunning;
  count_found(sequence);
  // By age: a preempted sequence that returns is older than what was admitted since.
  const auto younger = std::find_if(running_.begin(), running_.end(),
                                    [&](const Sequence* other) { return other->admission > sequence.admission; });
  running_.insert(younger, &sequence);
  return true;
}

// Prompts share what rows the decodes left: urgent ones whole, then equal parts (a short prompt is not kept waiting by
// a long one), then the rest to the oldest. One that an older one computes for is not in it.
void Scheduler::plan_prompts() {
  prompts_.clear();
  for (Sequence* sequence : running_) {
    if (sequence->planned) continue;
    reuse_pages(*sequence);
    count_found(*sequence);
    if (sequence->urgent)
      grow_prompt(*sequence, sequence->remaining());
    else if (!waits_for_older(*sequence))
      prompts_.push_back(sequence);
  }
  if (prompts_.empty()) return;
  const std::int32_t share = std::max(kMinChunk, rows_left() / static_cast<std::int32_t>(prompts_.size()));
  // What a share leaves over goes to the oldest prompt: sizes first, entries after, so that one sequence is one entry.
  std::int32_t left = rows_left();
  std::int32_t spare = left;
  for (const Sequence* sequence : prompts_) spare -= std::min(share, sequence->remaining());
  spare = std::max(spare, 0);
  for (Sequence* sequence : prompts_) {
    if (left == 0) return;
    const std::int32_t base = std::min(share, sequence->remaining());
    const std::int32_t extra = std::min(spare, sequence->remaining() - base);
    spare -= extra;
    grow_prompt(*sequence, std::min(left, base + extra));
    left = rows_left();
  }
}

void Scheduler::grow_prompt(Sequence& sequence, std::int32_t limit) {
  std::int32_t count = std::min({limit, sequence.remaining(), rows_left()});
  if (sequence.wants_all_logits) {
    // Every running sequence may need one row; what is over belongs to those that want all.
    std::int32_t free_rows = options_.max_logits_rows - plan_.logits_count;
    for (const Sequence* other : running_) free_rows -= (!other->planned && other != &sequence) ? 1 : 0;
    count = std::min(count, free_rows);
  }
  if (count > 0) add_entry(sequence, count);
}

void Scheduler::add_entry(Sequence& sequence, std::int32_t token_count) {
  const auto begin = static_cast<std::size_t>(sequence.computed);
  const std::int32_t end = sequence.computed + token_count;
  const auto pages = static_cast<std::size_t>(pages_for(end));
  CHECK(pages <= sequence.pages.size());
  PlanEntry entry;
  entry.sequence = sequence.id;
  entry.tokens = std::span<const TokenId>(sequence.tokens).subspan(begin, static_cast<std::size_t>(token_count));
  entry.start_position = sequence.computed;
  entry.prompt_length = sequence.prompt_length;
  entry.pages = std::span<const PageId>(sequence.pages).first(pages);
  entry.wants_hidden = sequence.wants_hidden;
  entry.wants_logits = !entry.wants_hidden && end == static_cast<std::int32_t>(sequence.tokens.size());
  entry.wants_all_logits = sequence.wants_all_logits || sequence.drafts > 0;
  entry.top_is_enough = sequence.top_is_enough;
  entry.draft_count = sequence.drafts;
  plan_.logits_count += entry.logits_rows();
  plan_.hidden_count += entry.wants_hidden ? token_count : 0;
  plan_.token_count += token_count;
  plan_.entries.push_back(entry);
  planned_.emplace_back(sequence.id, token_count);
  sequence.planned = true;
}

// Takes over what the prefix cache has from where the sequence stands.
void Scheduler::reuse_pages(Sequence& sequence) {
  while (sequence.may_reuse()) {
    const std::size_t index = sequence.path.size();
    const std::optional<PageId> page = cache_.follow(sequence.tenant, sequence.path, sequence.next_page());
    if (!page.has_value()) return;
    if (index < sequence.pages.size())
      pool_.give_back(std::exchange(sequence.pages[index], *page));
    else
      sequence.pages.push_back(*page);
    sequence.computed += kPageTokens;
  }
}

void Scheduler::count_found(Sequence& sequence) {
  const std::int32_t found = std::max(0, sequence.computed - sequence.reached);
  sequence.reached += found;
  sequence.cached += found;
  prefix_hits_ += static_cast<std::uint64_t>(found);
}

// Gives the pages of its prompt that are full now to everybody. Where another has done so with the same tokens
// meanwhile, that page is taken: the two are equal to the bit (the engine's promise), and one of them is enough.
void Scheduler::share_pages(Sequence& sequence) {
  if (!sequence.shares) return;
  const std::int32_t full = std::min(sequence.computed, sequence.prompt_length);
  while (sequence.path_end() + kPageTokens <= full) {
    const PrefixCache::PageTokens tokens = sequence.next_page();
    PageId& own = sequence.pages[sequence.path.size()];
    const std::optional<PageId> page = cache_.follow(sequence.tenant, sequence.path, tokens);
    if (page.has_value())
      pool_.give_back(std::exchange(own, *page));
    else
      cache_.insert(sequence.tenant, sequence.path, tokens, own);
  }
}

void Scheduler::release_pages(Sequence& sequence) {
  pool_.give_back_from(sequence.path.size(), sequence.pages);
  sequence.pages.clear();
  cache_.release(sequence.path);
  sequence.computed = 0;
}

// Whether an older sequence is on the way to computing the very page this one needs next. Ends: the oldest never waits,
// and a page is shared as soon as it is computed.
bool Scheduler::waits_for_older(const Sequence& sequence) const {
  if (!sequence.may_reuse()) return false;
  for (const Sequence* older : running_) {
    if (older == &sequence) return false;
    if (!older->shares || older->tenant != sequence.tenant || older->path != sequence.path) continue;
    if (older->path_end() + kPageTokens > older->prompt_length) continue;
    if (std::ranges::equal(older->next_page(), sequence.next_page())) return true;
  }
  return false;
}

}  // namespace dormouse::sched
