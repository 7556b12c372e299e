// What the catalog of instance types says of a deployment: its price, its speed, and the next type to consider. The one
// place that asks it for /metrics, notes and alerts. No I/O. Threads: any, once made.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "catalog/instance_types.h"
#include "gateway/deployments.h"

namespace dormouse::gateway {

// What an hour of one instance costs.
struct HourPrice {
  std::int64_t micros = 0;
  std::string currency;
};

struct Advice {
  // Of its own type, where it is billed by the hour and somebody has said what that costs.
  std::optional<HourPrice> price;
  std::optional<double> break_even_hours;  // of a month, from which on a month's rent of its type is cheaper
  double expected_tokens_per_second = 0;   // told by its rules, or what its type makes of such a model; 0: unknown
  std::string next_type;                   // the next one that holds more; empty: none is known
  std::string next_price;                  // "¥3.50/h"
};

class Advisor {
 public:
  explicit Advisor(const catalog::InstanceTypes& types) : types_(types) {}  // borrowed
  explicit Advisor(catalog::InstanceTypes&& types) = delete;
  [[nodiscard]] Advice advice_for(const Deployment& deployment) const;

 private:
  const catalog::InstanceTypes& types_;
};

}  // namespace dormouse::gateway
