// What a step gives of a row that wants logits, to whoever chooses the next token (sampler.h).
#pragma once

#include <span>

#include "sched/batch_plan.h"

namespace dormouse::engine {

inline constexpr int kTopTokens = 64;

struct TopToken {
  float logit = 0;
  sched::TokenId token = 0;
};

// One of the three.
struct RowLogits {
  std::span<const float> all;  // [vocab]; whole rows that are neighbours in a plan are neighbours in memory
  // [kTopTokens], or fewer in a smaller vocabulary: most likely first, the lower id on ties, no padding. A logit that
  // is not finite comes before all others.
  std::span<const TopToken> top;
  sched::TokenId likeliest = -1;  // where both are empty
};

}  // namespace dormouse::engine
