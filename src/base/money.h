// Money is a count of micro-units (1/1,000,000) of a named currency, never floating point in storage.
// 1.80 CNY = {1'800'000, "CNY"}. Sums of two currencies are a bug of the caller: convert first, by an explicit rate.
#pragma once

#include <cstdint>
#include <string>

namespace dormouse {

struct Money {
  std::int64_t micros = 0;
  std::string currency = "CNY";
  friend bool operator==(const Money&, const Money&) = default;
};

// "¥1.80" for CNY, "$0.35" for USD, "1.80 XYZ" otherwise; two decimals, rounded half to even.
[[nodiscard]] std::string to_display(const Money& money);

}  // namespace dormouse
