#include "catalog/currency_rates.h"

#include <fmt/format.h>

#include <limits>
#include <utility>

#include "base/money.h"

namespace dormouse::catalog {
namespace {

constexpr std::int64_t kOne = 1'000'000;  // a rate of 1, in micro-units

Error no_rate(std::string_view from, std::string_view to, std::string_view missing, std::string_view base) {
  return make_error(
      Code::kInvalidArgument,
      fmt::format("no rate from {0} to {1}: give one, --rate {2}=RATE or rates = [\"{2}=RATE\"] in [prices] of "
                  "dormouse.toml, where one {2} is RATE {3}",
                  from, to, missing, base));
}

// Of d > 0.
__extension__ using Wide = __int128;  // GCC's and clang's own; ISO C++ has none
Wide divide_half_even(Wide n, Wide d) {
  const Wide quotient = n / d;
  const Wide rest = n % d;
  const Wide twice = 2 * (rest < 0 ? -rest : rest);
  const bool is_away = twice > d || (twice == d && quotient % 2 != 0);
  if (!is_away) return quotient;
  return n < 0 ? quotient - 1 : quotient + 1;
}

}  // namespace

Result<CurrencyRates> CurrencyRates::parse(const std::vector<std::string>& pairs, std::string_view base) {
  if (!is_currency(base)) {
    return make_error(Code::kInvalidArgument, fmt::format("currency '{}': want three letters such as CNY", base));
  }
  CurrencyRates out;
  out.base_ = base;
  for (const std::string& pair : pairs) {
    const auto wrong = [&pair](std::string_view problem) {
      return make_error(Code::kInvalidArgument, fmt::format("rate '{}': {}", pair, problem));
    };
    const std::size_t sign = pair.find('=');
    const std::string currency = pair.substr(0, sign);
    if (sign == std::string::npos || !is_currency(currency)) {
      return wrong(fmt::format("want USD=7.10, where one USD is 7.10 {}", base));
    }
    const std::optional<std::int64_t> micros = parse_micros(std::string_view(pair).substr(sign + 1));
    if (!micros.has_value() || *micros == 0 || *micros > kMostRate * kOne) {
      return wrong(fmt::format("want a number over 0 and up to {}, with at most six decimals", kMostRate));
    }
    if (currency == base && *micros != kOne) return wrong(fmt::format("one {0} is 1 {0}", base));
    if (!out.micros_.emplace(currency, *micros).second) return wrong(fmt::format("{} has a rate already", currency));
  }
  return out;
}

Result<CurrencyRates> CurrencyRates::with(const std::vector<std::string>& pairs) const {
  TRY(CurrencyRates out, parse(pairs, base_));
  out.micros_.insert(micros_.begin(), micros_.end());  // leaves those that are there
  return out;
}

std::optional<std::int64_t> CurrencyRates::micros_of(std::string_view currency) const {
  if (currency == base_) return kOne;
  const auto found = micros_.find(currency);
  return found == micros_.end() ? std::nullopt : std::optional(found->second);
}

Result<std::int64_t> CurrencyRates::convert(std::int64_t micros, std::string_view from, std::string_view to) const {
  for (const std::string_view currency : {from, to}) {
    if (is_currency(currency)) continue;
    return make_error(Code::kInvalidArgument,
                      fmt::format("'{}' is no currency, want three letters such as CNY", currency));
  }
  if (from == to) return micros;
  const std::optional<std::int64_t> one_from = micros_of(from);
  if (!one_from.has_value()) return no_rate(from, to, from, base_);
  const std::optional<std::int64_t> one_to = micros_of(to);
  if (!one_to.has_value()) return no_rate(from, to, to, base_);
  // 2^63 x 10^15 fits 128 bits with 14 to spare.
  const Wide out = divide_half_even(static_cast<Wide>(micros) * *one_from, *one_to);
  if (out > std::numeric_limits<std::int64_t>::max() || out < std::numeric_limits<std::int64_t>::min()) {
    return make_error(Code::kTooLarge, fmt::format("{} micro-{} are more {} than can be counted", micros, from, to));
  }
  return static_cast<std::int64_t>(out);
}

}  // namespace dormouse::catalog
