// Decimal numbers within bounds, digit by digit: exact, however many digits the bounds have. PURE.
#pragma once

#include <cstdint>
#include <optional>

#include "base/result.h"
#include "grammar/builder.h"

namespace dormouse::grammar {

inline constexpr std::int64_t kGreatestWhole = 999'999'999'999'999'999;  // kMaxWholeDigits nines

struct WholeRange {
  std::int64_t min = -kGreatestWhole;
  std::int64_t max = kGreatestWhole;
};
// Whole numbers from min to max, both included; min <= max. No leading zeros, no -0.
[[nodiscard]] Expr whole_numbers(Builder& builder, WholeRange range);

struct Bound {
  std::int64_t value = 0;
  bool is_open = false;  // the value itself does not belong to it
};
struct RealRange {
  std::optional<Bound> min;
  std::optional<Bound> max;
};
// The greatest bound, and the most digits behind the point: doubles of this size still tell 10^-6 apart, so a reader's
// rounding does not carry a number over its bound.
inline constexpr std::int64_t kGreatestRealBound = 1'000'000'000;
inline constexpr std::uint64_t kBoundedFractionDigits = 6;
// Numbers without exponent. Not empty: min < max, or equal and closed.
[[nodiscard]] Expr real_numbers(Builder& builder, RealRange range);

}  // namespace dormouse::grammar
