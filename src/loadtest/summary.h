// From the requests of a step, one by one, to what is said of it. PURE.
//
// Every latency is counted from when a request was due: in an open loop the schedule's time, whenever it was really
// sent; in a closed loop (and a cold one) there is no schedule, and due is when it was sent. A server that stalls
// thereby shows the stall in every request that was due meanwhile, not only in the one it held ("coordinated
// omission").
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/money.h"
#include "loadtest/percentiles.h"
#include "loadtest/schedule.h"

namespace dormouse::loadtest {

// Why a request failed. Its times are in no percentile, and it is in every count.
enum class Failure {
  kConnect,       // no connection, or it ended before an answer began
  kTimeout,       // not whole within the time a request has
  kHttp429,       // refused: too many
  kHttp4xx,       // refused: any other reason
  kHttp5xx,       // the server's own failure
  kBrokenStream,  // ended in the middle, or with an error in it
  kBadAnswer,     // ended well, and is no answer: no event stream, nothing in it, another status
};
inline constexpr int kFailureKinds = 7;
// "connect" | "timeout" | "http_429" | "http_4xx" | "http_5xx" | "broken_stream" | "bad_answer": the record's words.
[[nodiscard]] std::string_view to_string(Failure failure);

// One request. Times are seconds from the step's start.
struct Sample {
  double due_s = 0;
  double sent_s = 0;               // >= due_s
  double first_s = 0;              // its first piece of text
  double last_s = 0;               // its last
  double end_s = 0;                // its answer's end
  std::int64_t input_tokens = 0;   // 0: the server did not say
  std::int64_t output_tokens = 0;  // by the server's usage, else its pieces
  bool is_usage = false;           // the server said
  std::optional<Failure> failure;
  std::string said;  // with a failure: one line for a person, from the server where it had words

  [[nodiscard]] double ttft_s() const { return first_s - due_s; }
  [[nodiscard]] double e2e_s() const { return end_s - due_s; }
  // What its own tokens took on average after the first one; 0 of a single token.
  [[nodiscard]] double seconds_per_token() const {
    return output_tokens > 1 ? (last_s - first_s) / static_cast<double>(output_tokens - 1) : 0;
  }
};

struct Measured {
  Step step;
  std::vector<Sample> samples;  // of the requests that ended
  GapCounts gaps;               // of those that did not fail
  double duration_s = 0;        // from the step's start to its last request's end; of a cold step its requests' own
};

// What a request must keep to count as good. Those that are not set do not judge.
struct Slo {
  std::optional<double> ttft_s = std::nullopt;
  std::optional<double> itl_s = std::nullopt;  // its seconds_per_token
  std::optional<double> e2e_s = std::nullopt;
  [[nodiscard]] bool is_set() const { return ttft_s.has_value() || itl_s.has_value() || e2e_s.has_value(); }
};

struct FailureCount {
  std::int64_t count = 0;
  std::string said;  // of the first one
  friend bool operator==(const FailureCount&, const FailureCount&) = default;
};

// What is said of a step.
struct StepResult {
  Step step;
  std::int64_t requests = 0;  // that ended, well or not
  std::int64_t failed = 0;
  double duration_s = 0;
  double requests_per_s = 0;  // that did not fail, as all rates here
  double output_tokens_per_s = 0;
  double input_tokens_per_s = 0;
  bool is_usage = false;  // tokens are by the server's usage; else each piece of text counts as one
  // nullopt: no request succeeded, or none had a second token
  std::optional<Percentiles> ttft_s;
  std::optional<Percentiles> itl_s;  // between two pieces of text
  std::optional<Percentiles> e2e_s;
  std::optional<double> goodput;  // share of all requests that kept the SLO; nullopt: no SLO
  double goodput_per_s = 0;
  std::map<Failure, FailureCount> errors;
  std::optional<Money> cost_per_million_tokens;  // of output; nullopt: no price, or no token
  // The 0th, 1st, ... 100th percentile, for the curve of a report. Not in the record; empty without a success.
  std::vector<double> e2e_curve_s;
  friend bool operator==(const StepResult&, const StepResult&) = default;
};

[[nodiscard]] StepResult summarize(const Measured& measured, const Slo& slo, const std::optional<Money>& hour_price);

// A million tokens at so many a second under a price by the hour: price / (tokens an hour) * 1,000,000.
// nullopt: no tokens, or too much to be written as money.
[[nodiscard]] std::optional<Money> cost_per_million(const Money& hour_price, double tokens_per_s);

}  // namespace dormouse::loadtest
