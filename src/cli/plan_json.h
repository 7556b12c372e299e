// A plan for programs: {"plan":...} as the admin API answers it, and {"details":...} beside it. No I/O.
#pragma once

#include <optional>
#include <string>

#include "cli/plan_question.h"
#include "planner/details.h"

namespace dormouse::cli {

[[nodiscard]] std::string plan_json(const PlanView& view, const std::optional<planner::Details>& details);

}  // namespace dormouse::cli
