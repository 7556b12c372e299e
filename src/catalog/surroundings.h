// What a deployment costs beside its instances: the host of the gateway that is always on, disks, addresses, the
// traffic one expects to send. Each is so much a month, in its own currency. No I/O. Threads: any.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "catalog/currency_rates.h"

namespace dormouse::catalog {

struct Surrounding {
  std::string name;
  std::int64_t month_micros = 0;
  std::string currency;
  friend bool operator==(const Surrounding&, const Surrounding&) = default;
};

// "gateway-host=30 CNY/month", "disk=0.05/hour" (of a month of kHoursPerMonth; `currency` where it names none).
// Errors: kInvalidArgument, with the text and the form that is wanted.
[[nodiscard]] Result<Surrounding> parse_surrounding(std::string_view text, std::string_view currency = "CNY");

// Of a month, in `currency`. Errors: those of CurrencyRates::convert, naming the item; kTooLarge.
[[nodiscard]] Result<std::int64_t> sum_surroundings(const std::vector<Surrounding>& list, std::string_view currency,
                                                    const CurrencyRates& rates);

}  // namespace dormouse::catalog
