// Whether a plan is one that this engine can compute: a wrong one is a bug of the caller, reported and not fatal. Pure.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "sched/batch_plan.h"

namespace dormouse::engine {

struct PlanBounds {
  std::int32_t rows = 0;
  std::int32_t logits_rows = 0;
  std::int32_t context = 0;
  std::int32_t pages = 0;
  std::int32_t vocab = 0;
  bool gives_hidden = false;
};

// Errors: kInvalidArgument, naming what is out of bounds.
[[nodiscard]] Status check_plan(const sched::BatchPlan& plan, const PlanBounds& bounds);

}  // namespace dormouse::engine
