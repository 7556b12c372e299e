// `dormouse plan --measured`: a plan, advice and what to change, from the server's ledger.
#pragma once

#include <string>

#include "cli/context.h"
#include "cli/plan_question.h"

namespace dormouse::cli {

// Asks the running server, prints, and with --apply changes the deployment.
void plan_measured(Context& context, const PlanFlags& flags);

}  // namespace dormouse::cli
