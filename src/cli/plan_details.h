// `dormouse plan --details`: what stands behind the plan, in tables. Reads kept load tests; talks to nobody.
#pragma once

#include <string>

#include "cli/plan_question.h"
#include "cli/plan_text.h"
#include "planner/details.h"

namespace dormouse::cli {

// What the switches wish, and what is known of the type. Errors: kInvalidArgument, kNotFound, naming the switch's
// value: no such model or quantisation, no duration.
[[nodiscard]] Result<planner::Wishes> wishes_of(const PlanFlags& flags, const PlanView& view);

[[nodiscard]] std::string details_text(const PlanView& view, const planner::Details& details, Language language,
                                       PlanFormat format);

}  // namespace dormouse::cli
