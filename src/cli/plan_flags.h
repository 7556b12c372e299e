// The switches of `dormouse plan`. No I/O.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/context.h"

namespace CLI {
class App;
}

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
  bool is_measured = false;
  std::string measured;  // a deployment; empty: the only one
  bool is_applied = false;
  std::int64_t days = 30;
  std::string holes = "refuse";
  std::optional<std::string> idle_timeout;  // these two: what was measured, or 10m and 30s
  std::optional<std::string> wake;
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

// `flags` outlives the verb's parsing.
void add_plan_flags(CLI::App& verb, const Context& context, PlanFlags& flags);

}  // namespace dormouse::cli
