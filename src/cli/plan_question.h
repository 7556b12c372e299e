// From the switches of `dormouse plan` to what the planner is asked. Reads files; talks to nobody.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "catalog/instance_types.h"
#include "cli/context.h"
#include "cli/plan_flags.h"
#include "cli/price_list.h"
#include "planner/details.h"
#include "planner/plan.h"
#include "planner/speeds.h"

namespace dormouse::cli {

// A plan with what its reader has to be told beside the numbers.
struct PlanView {
  planner::Plan plan;
  catalog::InstanceType type;
  std::string currency;                   // of every sum
  std::string asked_for;                  // what is asked of it, in the reader's words
  double gap_s = 0;                       // between two requests, on average; of assumptions nights are left out
  std::optional<planner::Speeds> speeds;  // of the asked quantisation: measured, or listed; nullopt: neither
  std::vector<std::string> notes;         // what was assumed; each a line
};

// With the rates and costs of the switches.
[[nodiscard]] Result<PriceList> read_prices(const Context& context, const PlanFlags& flags);

// In one currency. Errors: kInvalidArgument, naming the switch or the rate that is missing, and what to do.
[[nodiscard]] Result<planner::Tariff> tariff_in(const PriceList& prices, const catalog::InstanceType& type,
                                                const std::string& currency);

// The model, the quantisation and what it has to hold, as the switches say. Errors: kInvalidArgument, naming what there
// is.
[[nodiscard]] Result<planner::ModelWish> model_wish(const PlanFlags& flags, const catalog::InstanceType& type);

// By its data sheet; zeros where nothing is known.
[[nodiscard]] planner::Card card_of(const catalog::InstanceType& type);

// Errors: kInvalidArgument, naming the switch and what to do.
[[nodiscard]] Result<PlanView> plan_on(const Context& context, const PlanFlags& flags, const PriceList& prices,
                                       const catalog::InstanceType& type);

}  // namespace dormouse::cli
