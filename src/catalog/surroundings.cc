#include "catalog/surroundings.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/checked_int.h"
#include "base/money.h"
#include "catalog/instance_types.h"

namespace dormouse::catalog {
namespace {

constexpr std::size_t kMaxNameBytes = 63;
// As instance_entry.cc has it for what is paid at once.
constexpr std::int64_t kMostPerMonth = 10'000'000'000'000;

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

bool is_name(std::string_view name) {
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  return !name.empty() && name.size() <= kMaxNameBytes && std::none_of(name.begin(), name.end(), is_control);
}

}  // namespace

Result<Surrounding> parse_surrounding(std::string_view text, std::string_view currency) {
  const auto wrong = [text](std::string_view problem) {
    return make_error(
        Code::kInvalidArgument,
        fmt::format("'{}': {}; want NAME=AMOUNT CUR/month or /hour: gateway-host=30 CNY/month", text, problem));
  };
  const std::size_t equals = text.find('=');
  const std::size_t slash = text.rfind('/');
  if (equals == std::string_view::npos) return wrong("it has no =");
  if (slash == std::string_view::npos || slash < equals) return wrong("it does not say per what time");
  Surrounding out;
  out.name = trimmed(text.substr(0, equals));
  if (!is_name(out.name)) return wrong("the name is empty, longer than 63 bytes or not printable");
  const std::string_view period = trimmed(text.substr(slash + 1));
  if (period != "month" && period != "hour") return wrong(fmt::format("'{}' is neither month nor hour", period));
  const std::string_view price = trimmed(text.substr(equals + 1, slash - equals - 1));
  const std::size_t digits = std::min(price.find_first_not_of("0123456789."), price.size());
  const std::optional<std::int64_t> micros = parse_micros(price.substr(0, digits));
  if (!micros.has_value()) return wrong("the amount has the form 1.80, with at most six decimals");
  const std::string_view named = trimmed(price.substr(digits));
  out.currency = named.empty() ? currency : named;
  if (!is_currency(out.currency)) return wrong(fmt::format("'{}' is no currency", out.currency));
  const std::optional<std::int64_t> month = checked_mul(*micros, period == "hour" ? kHoursPerMonth : 1);
  if (!month.has_value() || *month > kMostPerMonth) return wrong("more than 10000000 a month cannot be");
  out.month_micros = *month;
  return out;
}

Result<std::int64_t> sum_surroundings(const std::vector<Surrounding>& list, std::string_view currency,
                                      const CurrencyRates& rates) {
  std::int64_t out = 0;
  for (const Surrounding& item : list) {
    const Result<std::int64_t> micros = rates.convert(item.month_micros, item.currency, currency);
    if (!micros.has_value()) {
      return make_error(micros.error().code, fmt::format("{}: {}", item.name, micros.error().message));
    }
    const std::optional<std::int64_t> sum = checked_add(out, *micros);
    if (!sum.has_value()) return make_error(Code::kTooLarge, fmt::format("{}: the sum cannot be counted", item.name));
    out = *sum;
  }
  return out;
}

}  // namespace dormouse::catalog
