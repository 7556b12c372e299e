// What /metrics shows, in Prometheus' text format: vLLM's names where vLLM has one (existing dashboards and autoscalers
// read them), dormouse_* for the rest. Numbers of the engine come as a snapshot; numbers of requests are counted here.
// Threads: the io_context's.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace dormouse::worker {

class Histogram {
 public:
  explicit Histogram(std::span<const double> bounds) : bounds_(bounds), counts_(bounds.size() + 1, 0) {}
  void observe(double value);
  void write(std::string& out, std::string_view name, std::string_view labels) const;

 private:
  std::span<const double> bounds_;  // static storage, ascending
  std::vector<std::uint64_t> counts_;
  double sum_ = 0;
};

// Counters of the engine thread at one moment.
struct EngineSnapshot {
  std::uint64_t steps = 0;
  std::int64_t running = 0;
  std::int64_t waiting = 0;
  std::uint64_t prompt_tokens = 0;
  std::uint64_t generated_tokens = 0;
  std::uint64_t preemptions = 0;
  std::int64_t kv_pages = 0;
  std::int64_t kv_pages_free = 0;     // kv_pages_idle among them
  std::int64_t kv_pages_idle = 0;     // hold prompts that may come again
  std::uint64_t prefix_queries = 0;   // prompt tokens looked up in the prefix cache
  std::uint64_t prefix_hits = 0;      // and found there
  std::uint64_t draft_tokens = 0;     // guesses computed
  std::uint64_t accepted_tokens = 0;  // and right
  std::uint64_t circles = 0;          // answers and thoughts ended because they went round in circles
  Nanoseconds slow_step{0};           // StepPace's, of a step as full as may be; 0: not known yet
  std::int64_t prefill_chunk = 0;     // rows of prompt the next step may hold beside decodes
};

class Metrics {
 public:
  Metrics();

  // One finished request. Times in seconds from its arrival; first_token < 0: there was none.
  struct Finished {
    std::string_view reason;  // "stop" | "length" | "tool_calls" | "abort" | "error"
    double first_token_s = -1;
    double total_s = 0;
    std::int64_t prompt_tokens = 0;
    std::int64_t generated_tokens = 0;
  };
  void count_finished(const Finished& request);
  void count_between_tokens(double seconds) { inter_token_.observe(seconds); }
  void count_http(std::string_view handler, std::string_view method, int status);
  void count_error(std::string_view code) { errors_[std::string(code)] += 1; }
  void count_ignored_field(std::string_view name);
  void set_load_seconds(double seconds) { load_seconds_ = seconds; }

  [[nodiscard]] std::string write(std::string_view model, const EngineSnapshot& engine) const;

 private:
  Histogram first_token_;
  Histogram inter_token_;
  Histogram total_;
  Histogram prompt_tokens_;
  Histogram generated_tokens_;
  std::map<std::string, std::uint64_t> finished_;  // by reason
  std::map<std::string, std::uint64_t> http_;      // by label set
  std::map<std::string, std::uint64_t> errors_;    // by code
  std::map<std::string, std::uint64_t> ignored_;   // by field
  double load_seconds_ = 0;
};

}  // namespace dormouse::worker
