// From the switches of `dormouse plan` to what the planner is asked. Reads files; talks to nobody.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "catalog/instance_types.h"
#include "cli/context.h"
#include "cli/price_list.h"
#include "planner/plan.h"
#include "planner/speeds.h"

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
  std::string measured;  // a deployment, where is_measured; empty: the only one
  bool is_measured = false;
  bool is_applied = false;
  std::int64_t days = 30;
  std::string holes = "refuse";
  std::string idle_timeout = "10m";
  std::string wake = "30s";
  bool is_timeout_given = false;  // these two: else the deployment's own, where it is measured
  bool is_wake_given = false;
  std::string fast_wake = "1s";
  std::string on;
  int slots = 1;
  double slowdown = -1;  // below 0: from a kept load test, else none
  std::string model = "qwen3-4b";
  std::string quant = "q4_k_m";
  std::int64_t context = 4'096;
  bool has_details = false;
  double most_cold_percent = -1;  // these two: below 0, no goal
  double most_p99_s = -1;
  double spike = 0;        // requests of the day that instances are counted for; 0: the fullest
  double spike_hours = 0;  // 0: as many as are active
  int instances = 4;
  double deferred_percent = 0;
  std::string deadline = "24h";
  std::string config;
  std::string currency;             // empty: the type's own, or the configuration's where types are compared
  std::vector<std::string> rates;   // "USD=7.10"
  std::vector<std::string> around;  // "gateway-host=30 CNY/month"
  std::string format = "table";
};

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

// By its data sheet; zeros where nothing is known.
[[nodiscard]] planner::Card card_of(const catalog::InstanceType& type);

// Errors: kInvalidArgument, naming the switch and what to do.
[[nodiscard]] Result<PlanView> plan_on(const Context& context, const PlanFlags& flags, const PriceList& prices,
                                       const catalog::InstanceType& type);

}  // namespace dormouse::cli
