// A percentile that is one of the values: of n values in order, p per mille is the ceil(p / 1000 * n)-th smallest, so
// that p99 of fewer than 100 values is the largest. PURE.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/check.h"

namespace dormouse {

// `per_mille` 0 to 1,000; `sorted` is ascending and not empty.
template <typename Value>
[[nodiscard]] Value nearest_rank(const std::vector<Value>& sorted, std::uint64_t per_mille) {
  CHECK(!sorted.empty());
  const std::uint64_t rank = (per_mille * sorted.size() + 999) / 1'000;  // 1 is the smallest
  return sorted[std::max<std::uint64_t>(rank, 1) - 1];
}

}  // namespace dormouse
