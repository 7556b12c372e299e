// Money is a count of micro-units (1/1,000,000) of a named currency, never floating point in storage.
// 1.80 CNY = {1'800'000, "CNY"}. Sums of two currencies are a bug of the caller: convert first, by an explicit rate.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace dormouse {

struct Money {
  std::int64_t micros = 0;
  std::string currency = "CNY";
  friend bool operator==(const Money&, const Money&) = default;
};

// Three capital letters, as ISO 4217 writes them. That such a currency exists is not asked.
[[nodiscard]] bool is_currency(std::string_view text);

// "¥1.80" for CNY, "$0.35" for USD, "1.80 XYZ" otherwise; two decimals, rounded half to even.
[[nodiscard]] std::string to_display(const Money& money);

// "1.80", "300", "0.000500": digits, at most six decimals, no sign. nullopt: anything else, or too much.
[[nodiscard]] std::optional<std::int64_t> parse_micros(std::string_view text);

// whole * part / of, rounded down, without overflow in between. All >= 0, of > 0; the result must fit.
[[nodiscard]] std::int64_t proportion(std::int64_t whole, std::int64_t part, std::int64_t of);

// A price by time: `micros` for every `period_ns`. 1.80 CNY/h = {1'800'000, 3'600'000'000'000, "CNY"}.
struct TimePrice {
  std::int64_t micros = 0;
  std::int64_t period_ns = 1;
  std::string currency;
  friend bool operator==(const TimePrice&, const TimePrice&) = default;
};
// Of `ns` >= 0 under this price, rounded down. Differences of this at two times add up to the whole exactly.
[[nodiscard]] std::int64_t cost_micros(const TimePrice& price, std::int64_t ns);

}  // namespace dormouse
