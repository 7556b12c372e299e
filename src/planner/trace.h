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
  std::optional<TokenSpeeds> speeds{};
  std::int64_t context_tokens = 0;  // what a request may have at most, input and output; 0: not checked
  Holes holes = Holes::kRefuse;
};

inline constexpr std::size_t kMostTraceLines = 10'000'000;
inline constexpr std::int64_t kMostTraceTokens = 1'000'000'000;  // of one request, either way
// Longer without a request is a hole: days were not recorded, or t_s does not count from the trace's beginning.
inline constexpr std::int64_t kHoleUs = 7 * kDayUs;

// Columns, in any order: t_s (seconds since the trace's beginning, ascending), and service_s or, where speeds are
// known, input_tokens and output_tokens (both are read if there); others are skipped, empty lines too. Months: its
// whole days of 730 h / 24.
// Errors: kInvalidArgument with the line, the column and what to do: no such columns, one twice, a field missing or
// empty, more fields than columns, no number, below zero, out of order, a hole, seconds that look like milliseconds (a
// service beyond a day) or like a date (a time beyond ten years), parts of tokens, more tokens than the context, too
// many lines, no request, speeds of 0.
// Cost: the text and 16 bytes a request; ten million lines in about a second.
[[nodiscard]] Result<Workload> parse_trace(std::string_view csv, const TraceOptions& options);

// Whole days from the first request to the last, one at least.
[[nodiscard]] double days_of(const Workload& workload);

}  // namespace dormouse::planner
