// What one engine step computes: made by sched/ (pure), carried out by engine/. Nothing here knows about threads, HTTP
// or weights. A row is one token of one sequence; the rows of one sequence are consecutive.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace dormouse::sched {

using TokenId = std::int32_t;
using PageId = std::int32_t;
using SequenceId = std::uint64_t;

// Tokens per KV page. 32: a page of one layer and one KV head is 32 x 128 x 2 B = 8 KiB in fp16, two of them fill half
// an L1; a sequence wastes 16 tokens on average.
inline constexpr std::int32_t kPageTokens = 32;

// The part of one sequence in this step.
struct PlanEntry {
  SequenceId sequence = 0;
  // [token_count] ids to feed, at positions start_position ...; borrowed from the scheduler until commit().
  std::span<const TokenId> tokens;
  std::int32_t start_position = 0;
  // Tokens of this sequence's prompt. Rows at positions below it are prompt rows, all others generated rows: two
  // arithmetics, and a token's keys and values always come from its own, also when it is computed again. An entry may
  // hold both (a sequence that comes back after preemption).
  std::int32_t prompt_length = 0;
  // [ceil((start_position + token_count) / kPageTokens)] pages of this sequence, in order; same lifetime.
  std::span<const PageId> pages;
  // Logits wanted for the last token of the entry (it ends the prompt, or it is a decode row)...
  bool wants_logits = false;
  // ...or for every token (golden rows, teacher forcing, echo+logprobs, guesses).
  bool wants_all_logits = false;
  // Of those rows the likeliest tokens are enough (engine/row_logits.h): a device then copies nothing else.
  bool top_is_enough = false;
  // ...or the likeliest alone, as a benchmark wants it: among all ids, and whether or not each logit is a number.
  bool likeliest_is_enough = false;
  // The last of `tokens` that are guesses at what comes after the one before them: generated rows like any, of which
  // those after the first wrong guess are not looked at. Their keys and values are overwritten later.
  std::int32_t draft_count = 0;
  // Instead of logits, the hidden state after the final norm of every token (embeddings). Never with the other two.
  bool wants_hidden = false;

  [[nodiscard]] std::int32_t logits_rows() const {
    return wants_all_logits ? static_cast<std::int32_t>(tokens.size()) : (wants_logits ? 1 : 0);
  }
};

struct BatchPlan {
  std::vector<PlanEntry> entries;
  std::int32_t token_count = 0;   // rows in all
  std::int32_t logits_count = 0;  // rows that want logits
  std::int32_t hidden_count = 0;  // rows that want their hidden state

  [[nodiscard]] bool empty() const { return entries.empty(); }
};

}  // namespace dormouse::sched
