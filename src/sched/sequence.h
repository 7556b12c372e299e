// What the scheduler knows of one sequence. Private to scheduler.cc and planning.cc.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sched/scheduler.h"

namespace dormouse::sched {

struct Scheduler::Sequence {
  SequenceId id = 0;
  std::string tenant;
  std::vector<TokenId> tokens;
  std::int32_t prompt_length = 0;
  std::int32_t max_tokens = 0;  // prompt and all that may be appended
  bool wants_all_logits = false;
  bool urgent = false;
  State state = State::kWaiting;
  std::int32_t computed = 0;  // tokens whose keys and values are in `pages`
  std::vector<PageId> pages;
  std::uint64_t admission = 0;  // first admission's number: age survives preemption
  bool planned = false;

  [[nodiscard]] std::int32_t remaining() const { return static_cast<std::int32_t>(tokens.size()) - computed; }
};

}  // namespace dormouse::sched
