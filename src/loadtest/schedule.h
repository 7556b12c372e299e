// When the requests of a step are due. An open loop sends at these times whatever the server does; a closed loop has no
// such times: its callers ask again as soon as they are answered. PURE: no clock, no I/O; the same seed gives the same
// times.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace dormouse::loadtest {

// More than a day at 11 a second; what is asked beyond it is refused before anything is sent.
inline constexpr std::int64_t kMostRequests = 1'000'000;
inline constexpr std::int64_t kMostTokens = 1'000'000;  // of one prompt or one answer

// One request of an open loop.
struct Due {
  double at_s = 0;                 // from the step's start; ascending
  std::int64_t input_tokens = 0;   // about, of its prompt; 0: as all others
  std::int64_t output_tokens = 0;  // at most, of its answer; 0: as all others
  friend bool operator==(const Due&, const Due&) = default;
};

// How long a step lasts. Both set: whichever ends first. One of them is set.
struct Extent {
  std::int64_t requests = 0;  // 0: any number
  double duration_s = 0;      // 0: any time
};

struct Step {
  enum class Kind { kClosed, kPoisson, kConstant, kTrace, kCold };
  Kind kind = Kind::kClosed;
  std::int64_t concurrency = 1;  // kClosed: callers
  double rate = 0;               // kPoisson, kConstant: requests a second
  double speed = 1;              // kTrace: how many times as fast as it was
  friend bool operator==(const Step&, const Step&) = default;
};

// "closed" | "poisson" | "constant" | "trace" | "cold": the record's words.
[[nodiscard]] std::string_view to_string(Step::Kind kind);

// Errors: kInvalidArgument (nothing set, more than kMostRequests at this rate, a rate that is not above 0).
[[nodiscard]] Status check_extent(double rate, const Extent& extent);

// 0, 1/rate, 2/rate, ...
[[nodiscard]] std::vector<Due> constant_arrivals(double rate, const Extent& extent);
// Independent callers: the gaps are exponential with mean 1/rate, the first one begins at 0.
[[nodiscard]] std::vector<Due> poisson_arrivals(double rate, const Extent& extent, std::uint64_t seed);

// Measured requests: CSV whose first line names its columns: t_s, input_tokens, output_tokens; others are skipped.
// Sorted by time, the first one due at 0.
// Errors: kInvalidArgument with the line (no such columns, no number, over a limit, over kMostRequests lines).
[[nodiscard]] Result<std::vector<Due>> parse_trace(std::string_view text);
// The same requests in 1/speed of the time, and of them what lies within the extent.
[[nodiscard]] std::vector<Due> sped_up(std::vector<Due> trace, double speed, const Extent& extent);

}  // namespace dormouse::loadtest
