// What the scheduler knows of one sequence. Private to scheduler.cc and planning.cc.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "sched/scheduler.h"

namespace dormouse::sched {

struct Scheduler::Sequence {
  SequenceId id = 0;
  std::string tenant;
  std::vector<TokenId> tokens;  // and, from plan() until append() has decided about them, `drafts` guesses
  std::int32_t drafts = 0;
  std::int32_t drafted = 0;  // what `drafts` was in the plan
  DraftLength draft_length;
  std::int32_t prompt_length = 0;
  std::int32_t max_tokens = 0;  // prompt and all that may be appended
  bool wants_all_logits = false;
  bool top_is_enough = false;
  bool wants_hidden = false;
  bool shares = false;  // takes part in the prefix cache
  bool urgent = false;
  State state = State::kWaiting;
  std::int32_t computed = 0;  // tokens whose keys and values are in `pages`
  std::vector<PageId> pages;  // the first path.size() of them are the prefix cache's
  PrefixCache::Path path;
  std::int32_t reached = 0;     // tokens ever computed or found: a hit below it, after a preemption, is no gain
  std::int32_t cached = 0;      // tokens found before they were ever computed
  std::uint64_t admission = 0;  // first admission's number: age survives preemption
  bool planned = false;

  // Without guesses.
  [[nodiscard]] std::int32_t length() const { return static_cast<std::int32_t>(tokens.size()) - drafts; }
  [[nodiscard]] std::int32_t remaining() const { return length() - computed; }
  void drop_drafts() {
    tokens.resize(static_cast<std::size_t>(length()));
    drafts = 0;
    drafted = 0;
  }
  // Where the next page of the path begins and ends.
  [[nodiscard]] std::int32_t path_end() const { return static_cast<std::int32_t>(path.size()) * kPageTokens; }
  [[nodiscard]] PrefixCache::PageTokens next_page() const {
    return std::span<const TokenId>(tokens).subspan(static_cast<std::size_t>(path_end())).first<kPageTokens>();
  }
  // At a border of pages, and the next one is full of prompt and not the last row's, whose logits are wanted.
  [[nodiscard]] bool may_reuse() const {
    const std::int32_t last = std::min(prompt_length, length() - 1);
    return shares && computed == path_end() && computed + kPageTokens <= last;
  }
};

}  // namespace dormouse::sched
