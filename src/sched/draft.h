// Guesses at how a text goes on, so that one step can compute several tokens of it: what followed when the last few
// tokens came before in the same sequence (prompt lookup decoding). Code, summaries and quotes repeat; verse does not.
// A guess costs a row of a step and is never part of an answer: the sampler decides at each position as it would have,
// and what it decides differently ends there.
// PURE. Owner: Scheduler.
#pragma once

#include <cstdint>
#include <vector>

#include "sched/batch_plan.h"

namespace dormouse::sched {

// Also the most rows a guess adds to its sequence's step: kernels read the weights once for 8 rows as for one.
inline constexpr std::int32_t kMaxDraft = 7;

// Appends up to `count` tokens to `tokens`: what followed the latest earlier place with the longest end in common, of 2
// to 4 tokens. Reading on into what it appends, so that a short period is continued for as long as wanted. How many: 0
// or `count`. Cost: linear in the tokens, 20 us at 40,000.
std::int32_t append_draft(std::vector<TokenId>& tokens, std::int32_t count);

enum class Speculation {
  kOff,
  kNgram,  // as much as there is room for, always
  kAuto    // as DraftLength has it
};

// How many tokens to guess for one sequence, by how its last guesses fared: as far as the last one was right and one
// more; none for a while when guesses do not pay, which is when fewer of them are right than they cost of a step.
class DraftLength {
 public:
  // For the next step. Each call is a step of rest, while it rests.
  [[nodiscard]] std::int32_t next();
  // cost: of one guess, as a part of a step without any.
  void learn(std::int32_t drafted, std::int32_t accepted, double cost);

 private:
  static constexpr std::int32_t kShortestRest = 16;
  static constexpr std::int32_t kLongestRest = 512;

  std::int32_t length_ = 3;
  double rate_ = 0.5;  // accepted of drafted, the newest counts a quarter
  std::int32_t rest_ = 0;
  std::int32_t next_rest_ = kShortestRest;  // doubles each time, until guesses pay again
};

}  // namespace dormouse::sched
