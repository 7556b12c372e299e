// What instances cost by their time. An instance's time begins with its request by the wall clock and is as long as the
// boot clock measured; it costs the floor of its price at every moment, so that the costs of the stretches between any
// moments add up to the whole, to the micro-unit. After its end the last increment is paid to its own end.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/money.h"
#include "ledger/records.h"
#include "ledger/sqlite.h"

namespace dormouse::ledger {

struct SpanCost {
  std::string instance_id;
  std::int64_t deployment_id = 0;
  std::int64_t begin_us = 0;   // wall
  std::int64_t awake_us = 0;   // so far, while it lives
  std::int64_t waking_us = 0;  // its first part
  std::optional<Price> price;  // nullopt: none is known

  [[nodiscard]] bool is_hourly() const { return price.has_value() && price->billing == "hourly"; }
  // Awake, rounded up to whole increments where time is what is paid.
  [[nodiscard]] std::int64_t paid_us() const {
    if (!is_hourly()) return awake_us;
    return (awake_us + price->increment_us - 1) / price->increment_us * price->increment_us;
  }
  // How much of its first `length_us` lies before the moment.
  [[nodiscard]] std::int64_t before(std::int64_t at_us, std::int64_t length_us) const {
    return std::clamp<std::int64_t>(at_us - begin_us, 0, length_us);
  }
  // What the time up to a moment is worth, at most its first `length_us`; 0 without a price.
  [[nodiscard]] std::int64_t worth_until(std::int64_t at_us, std::int64_t length_us) const {
    if (!price.has_value()) return 0;
    return proportion(price->period_micros, before(at_us, length_us), price->period_us);
  }
};

// Of every instance whose paid time may meet [begin, end). Errors: kUnavailable, kDataLoss.
Result<std::vector<SpanCost>> select_span_costs(Connection& connection, std::int64_t begin_us, std::int64_t end_us);

// A half-open month of a zone. Errors: kInvalidArgument.
struct Month {
  std::string name;  // "2026-11"
  std::int64_t begin_us = 0;
  std::int64_t end_us = 0;
};
struct BillQuery;
Result<Month> month_of(const BillQuery& query);

// Fees of a month, by its name: it was due in whatever zone the server counted in.
struct MonthFee {
  std::int64_t deployment_id = 0;
  Price price;
  std::int64_t micros = 0;
};
Result<std::vector<MonthFee>> select_fees(Connection& connection, const std::string& month);

// Busy time of each instance in [begin, end).
Result<std::vector<std::pair<std::string, std::int64_t>>> select_busy(Connection& connection, std::int64_t begin_us,
                                                                      std::int64_t end_us);

}  // namespace dormouse::ledger
