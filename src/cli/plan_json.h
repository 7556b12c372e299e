// A plan for programs. No I/O.
#pragma once

#include <string>

#include "cli/plan_question.h"

namespace dormouse::cli {

[[nodiscard]] std::string plan_json(const PlanView& view);

}  // namespace dormouse::cli
