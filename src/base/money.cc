#include "base/money.h"

#include <fmt/format.h>

#include <algorithm>

namespace dormouse {

bool is_currency(std::string_view text) {
  constexpr std::size_t kLetters = 3;
  return text.size() == kLetters && std::all_of(text.begin(), text.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
}

std::string to_display(const Money& money) {
  const bool negative = money.micros < 0;
  // Magnitude in unsigned: -INT64_MIN does not exist in int64.
  const auto magnitude =
      negative ? 0ULL - static_cast<unsigned long long>(money.micros) : static_cast<unsigned long long>(money.micros);
  unsigned long long cents = magnitude / 10'000;
  const unsigned long long rest = magnitude % 10'000;
  if (rest > 5'000 || (rest == 5'000 && cents % 2 == 1)) ++cents;
  const std::string amount = fmt::format("{}.{:02}", cents / 100, cents % 100);
  const char* sign = negative && cents > 0 ? "-" : "";
  if (money.currency == "CNY") return fmt::format("{}¥{}", sign, amount);
  if (money.currency == "USD") return fmt::format("{}${}", sign, amount);
  return fmt::format("{}{} {}", sign, amount, money.currency);
}

std::optional<std::int64_t> parse_micros(std::string_view text) {
  constexpr std::size_t kDecimals = 6;
  std::int64_t out = 0;
  std::size_t decimals = 0;
  bool has_point = false;
  bool has_digit = false;
  const auto append = [&out](int digit) {
    return !__builtin_mul_overflow(out, std::int64_t{10}, &out) &&
           !__builtin_add_overflow(out, std::int64_t{digit}, &out);
  };
  for (const char c : text) {
    if (c == '.' && !has_point && has_digit) {
      has_point = true;
      continue;
    }
    if (c < '0' || c > '9' || (has_point && ++decimals > kDecimals) || !append(c - '0')) return std::nullopt;
    has_digit = true;
  }
  if (!has_digit || (has_point && decimals == 0)) return std::nullopt;
  for (; decimals < kDecimals; ++decimals) {
    if (!append(0)) return std::nullopt;
  }
  return out;
}

std::int64_t proportion(std::int64_t whole, std::int64_t part, std::int64_t of) {
  __extension__ using Wide = __int128;  // GCC's and clang's own; ISO C++ has none
  return static_cast<std::int64_t>(static_cast<Wide>(whole) * part / of);
}

std::int64_t cost_micros(const TimePrice& price, std::int64_t ns) {
  return proportion(price.micros, ns, price.period_ns);
}

}  // namespace dormouse
