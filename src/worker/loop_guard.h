// Notices a generation that goes round in circles: quantised models of this size do, above all while they think, and
// nobody wants to pay for it up to max_tokens.
// A circle: the last tokens repeat with a period of at most kMaxPeriod, for at least kLeastTokens tokens and
// kLeastRounds rounds. Code, tables and lists repeat too, but not to the token and not for that long.
// PURE. Owner: the engine thread, one object a choice. Cost: kMaxPeriod comparisons a token, about 0.1 us.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "text/token_id.h"

namespace dormouse::worker {

class LoopGuard {
 public:
  static constexpr std::size_t kMaxPeriod = 256;
  static constexpr std::size_t kLeastTokens = 256;  // one token this often is a circle as well
  static constexpr std::size_t kLeastRounds = 9;

  // The answer's next token, and those before it. True: they go round in circles.
  [[nodiscard]] bool is_circling(std::span<const text::TokenId> before, text::TokenId token);
  void forget() { equal_ = {}; }

 private:
  // equal_[p - 1]: how many of the last tokens, without a gap, equal the one p before them.
  std::array<std::uint32_t, kMaxPeriod> equal_{};
};

}  // namespace dormouse::worker
