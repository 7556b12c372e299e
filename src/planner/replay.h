// Requests one by one through an instance that sleeps and wakes: the reference that formulas are held against, and the
// only way to percentiles. PURE; random arrivals from a fixed seed, so that the same question has the same answer.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "planner/traffic.h"

namespace dormouse::planner {

struct Arrival {
  double at_s = 0;  // ascending
  double service_s = 0;
};

// Months of `traffic` at random. Each day begins asleep: nights are longer than any timeout; round the clock each
// month.
[[nodiscard]] std::vector<Arrival> random_months(const Traffic& traffic, int months, std::uint64_t seed);

// In order of arrival, each on the slot that is free first. Everything is a month's, of `months`.
// Cost: O(n log n) for the percentiles.
[[nodiscard]] Forecast replay(std::span<const Arrival> arrivals, const Timer& timer, const Prices& prices,
                              double months);

// What a trace of tokens is served with, alone.
struct TokenSpeeds {
  double input_per_s = 0;
  double output_per_s = 0;  // both above 0
};

// A measured trace: CSV whose first line names its columns: t_s, and service_s or, where `speeds` are known,
// input_tokens and output_tokens; other columns are skipped. Sorted by time. Errors: kInvalidArgument with the line (no
// such columns, no number, below zero, over 10 million lines).
[[nodiscard]] Result<std::vector<Arrival>> parse_trace(std::string_view csv, const std::optional<TokenSpeeds>& speeds);
// Whole days from its first request to its last.
[[nodiscard]] double trace_days(std::span<const Arrival> arrivals);

}  // namespace dormouse::planner
