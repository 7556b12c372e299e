#include "base/money.h"

#include <fmt/format.h>

namespace dormouse {

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

std::int64_t proportion(std::int64_t whole, std::int64_t part, std::int64_t of) {
  __extension__ using Wide = __int128;  // GCC's and clang's own; ISO C++ has none
  return static_cast<std::int64_t>(static_cast<Wide>(whole) * part / of);
}

std::int64_t cost_micros(const TimePrice& price, std::int64_t ns) {
  return proportion(price.micros, ns, price.period_ns);
}

}  // namespace dormouse
