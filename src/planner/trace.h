// A measured trace of requests: CSV whose first line names its columns. PURE.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "planner/traffic.h"

namespace dormouse::planner {

// What a trace of tokens is served with, alone.
struct TokenSpeeds {
  double input_per_s = 0;
  double output_per_s = 0;  // both above 0
};

enum class Holes { kRefuse, kKeep };

struct TraceOptions {
  std::optional<TokenSpeeds> speeds;
  std::int64_t context_tokens = 0;  // what a request may have at most, input and output; 0: not checked
  Holes holes = Holes::kRefuse;     // more than a week without a request
};

inline constexpr std::size_t kMostTraceLines = 10'000'000;

// Columns: t_s, and service_s or, where speeds are known, input_tokens and output_tokens (both are read if there);
// other columns are skipped. Months: its whole days of 730 h / 24. Errors: kInvalidArgument with the line, the column
// and what to do: no such columns, no number, a field missing, below zero, out of order, a hole, seconds that look like
// milliseconds (a service beyond a day, a time beyond ten years), more tokens than the context, too many lines.
[[nodiscard]] Result<Workload> parse_trace(std::string_view csv, const TraceOptions& options);

// Whole days from the first request to the last, one at least.
[[nodiscard]] double days_of(const Workload& workload);

}  // namespace dormouse::planner
