// How much money in which time, as people write it: "50CNY/month", "2.50 USD/day". Threads: any.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace dormouse::catalog {

struct BudgetRule {
  enum class Period { kDay, kMonth };
  std::int64_t micros = 0;  // 0: no budget
  std::string currency;
  Period period = Period::kMonth;
  friend bool operator==(const BudgetRule&, const BudgetRule&) = default;
};

// At most 1,000,000,000 of any currency; six decimals at most, as micro-units have.
inline constexpr std::int64_t kMaxBudgetMicros = 1'000'000'000'000'000;

// Empty or "none": no budget. Errors: kInvalidArgument.
[[nodiscard]] Result<BudgetRule> parse_budget(std::string_view text);
// As parse_budget reads it; empty where there is none.
[[nodiscard]] std::string budget_text(const BudgetRule& budget);

}  // namespace dormouse::catalog
