// From the switches of `dormouse plan` to what the planner is asked. Reads files; talks to nobody.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "catalog/instance_types.h"
#include "cli/context.h"
#include "planner/plan.h"

namespace dormouse::cli {

struct PlanFlags {
  double requests_per_day = 0;
  double seconds_per_request = 0;  // 0: from the tokens, or 2
  double input_tokens = 0;         // of one request
  double output_tokens = 0;
  double tokens_per_second = 0;  // of one answer; 0: the instance type's
  double active_days = 25;
  double active_hours = 8;
  std::string profile;  // office, always or a file
  std::string trace;
  std::string holes = "refuse";
  std::string idle_timeout = "10m";
  std::string wake = "30s";
  std::string fast_wake = "1s";
  std::string on;
  int slots = 1;
  std::string config;
  std::string format = "table";
};

// A plan with what its reader has to be told beside the numbers.
struct PlanView {
  planner::Plan plan;
  catalog::InstanceType type;
  std::string currency;            // of every sum
  std::vector<std::string> notes;  // what was assumed; each a line
};

// Compiled in, and those of the user's configuration.
[[nodiscard]] Result<catalog::InstanceTypes> known_types(const Context& context, const std::string& config);

// Errors: kInvalidArgument, naming the switch and what to do.
[[nodiscard]] Result<PlanView> plan_on(const Context& context, const PlanFlags& flags,
                                       const catalog::InstanceType& type);

}  // namespace dormouse::cli
