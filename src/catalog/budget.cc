#include "catalog/budget.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/money.h"

namespace dormouse::catalog {
namespace {

constexpr std::int64_t kMicros = 1'000'000;

}  // namespace

Result<BudgetRule> parse_budget(std::string_view text) {
  BudgetRule out;
  if (text.empty() || text == "none") return out;
  const std::string_view amount = text.substr(0, std::min(text.find_first_not_of("0123456789."), text.size()));
  const std::optional<std::int64_t> micros = parse_micros(amount);
  std::string_view rest = text.substr(amount.size());
  while (rest.starts_with(' ')) rest.remove_prefix(1);
  const std::size_t slash = rest.find('/');
  const std::string_view currency = rest.substr(0, slash);
  const std::string_view period = slash == std::string_view::npos ? std::string_view() : rest.substr(slash + 1);
  const bool is_known = period == "day" || period == "month";
  if (!micros.has_value() || *micros == 0 || *micros > kMaxBudgetMicros || !is_currency(currency) || !is_known) {
    return make_error(Code::kInvalidArgument,
                      fmt::format("'{}' is no budget; write 50CNY/month, 2.50USD/day or none", text));
  }
  out.micros = *micros;
  out.currency = currency;
  out.period = period == "day" ? BudgetRule::Period::kDay : BudgetRule::Period::kMonth;
  return out;
}

std::string budget_text(const BudgetRule& budget) {
  if (budget.micros == 0) return {};
  std::string amount = fmt::format("{}", budget.micros / kMicros);
  if (budget.micros % kMicros != 0) {
    amount += fmt::format(".{:06}", budget.micros % kMicros);
    while (amount.ends_with('0')) amount.pop_back();
  }
  return fmt::format("{}{}/{}", amount, budget.currency, budget.period == BudgetRule::Period::kDay ? "day" : "month");
}

}  // namespace dormouse::catalog
