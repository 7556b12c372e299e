#include "catalog/budget.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

namespace dormouse::catalog {
namespace {

constexpr std::int64_t kMicros = 1'000'000;
constexpr std::size_t kDecimals = 6;
constexpr std::size_t kCurrencyLetters = 3;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

std::string_view take_digits(std::string_view& text) {
  const auto* const end = std::find_if_not(text.begin(), text.end(), is_digit);
  const std::string_view digits = text.substr(0, static_cast<std::size_t>(end - text.begin()));
  text.remove_prefix(digits.size());
  return digits;
}

// "12" or "12.5", taken off the front; never through a floating point.
std::optional<std::int64_t> take_micros(std::string_view& text) {
  const std::string_view whole = take_digits(text);
  std::string_view fraction;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    fraction = take_digits(text);
    if (fraction.empty()) return std::nullopt;
  }
  if (whole.empty() || fraction.size() > kDecimals) return std::nullopt;
  std::int64_t units = 0;
  const auto [end, ec] = std::from_chars(whole.data(), whole.data() + whole.size(), units);
  if (ec != std::errc() || units > kMaxBudgetMicros / kMicros) return std::nullopt;
  std::int64_t parts = 0;
  for (std::size_t i = 0; i < kDecimals; ++i) parts = parts * 10 + (i < fraction.size() ? fraction[i] - '0' : 0);
  return units * kMicros + parts;
}

bool is_currency(std::string_view text) {
  return text.size() == kCurrencyLetters &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
}

}  // namespace

Result<BudgetRule> parse_budget(std::string_view text) {
  BudgetRule out;
  if (text.empty() || text == "none") return out;
  std::string_view rest = text;
  const std::optional<std::int64_t> micros = take_micros(rest);
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
