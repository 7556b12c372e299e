// What `dormouse bench` is asked on its command line, and what that means. No I/O.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "loadtest/runner.h"

namespace dormouse::cli {

// As written; empty: not given.
struct BenchFlags {
  std::string url;
  std::string ca_file;
  std::string key;  // secret
  std::string model;
  bool completions = false;
  std::string concurrency;
  std::string rate;
  std::string arrivals = "poisson";
  std::string trace;
  double speed = 1;
  std::int64_t requests = 0;
  std::string duration;
  std::int64_t input_tokens = 128;
  std::int64_t output_tokens = 64;
  std::string prompts;
  bool same_prompt = false;
  bool ignore_eos = false;
  std::int64_t warm_up = 1;
  std::string cold;
  std::string slo_ttft;
  std::string slo_itl;
  std::string slo_e2e;
  std::string timeout = "120s";
  std::int64_t max_outstanding = 1'024;
  std::uint64_t seed = 1;
  std::string on;
  std::string config;
  std::string format = "table";
  std::string html;
  std::string output;
};

struct BenchStep {
  loadtest::Step step;
  loadtest::Extent extent;
};

struct BenchQuestion {
  loadtest::LoadOptions options;  // but for its endpoint
  loadtest::Slo slo;
  std::vector<BenchStep> steps;  // as they run; a cold one is the first
  std::int64_t warm_up = 1;
};

// The steps of a sweep are --concurrency's, --rate's or --trace's, one of the three; nothing: one caller.
// Errors: kInvalidArgument, naming the flag and what it wants.
[[nodiscard]] Result<BenchQuestion> read_bench_flags(const BenchFlags& flags);

}  // namespace dormouse::cli
