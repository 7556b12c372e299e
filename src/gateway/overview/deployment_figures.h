// What a deployment did today and costs this month. Plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace dormouse::gateway {

// Money in micro-units of `currency`; the three sums are 0 and the rest is nothing where that is empty: no price is
// known. Days and months are the reporting time zone's.
struct DeploymentFigures {
  std::int64_t requests = 0;  // of today, as are the next three
  std::int64_t output_tokens = 0;
  std::optional<std::int64_t> ttft_p50_us;  // nullopt: no first token yet
  std::optional<std::int64_t> ttft_p95_us;
  std::string currency;
  std::int64_t today_micros = 0;  // of time paid by the hour; a month's fee is in the month alone
  std::int64_t month_micros = 0;
  // The month's end, if the days before it go on as the last seven did. nullopt: less than an hour is known.
  std::optional<std::int64_t> forecast_micros;
  // How far off that may be, 90 %: one month in twenty ends above forecast + margin, one below forecast - margin.
  // nullopt: fewer than five whole days are known.
  std::optional<std::int64_t> margin_micros;
  // What one instance that never slept would have cost since the month, or the deployment, began, less what its time
  // did cost; below zero where more than one ran. nullopt: not billed by the hour.
  std::optional<std::int64_t> saved_micros;
  friend bool operator==(const DeploymentFigures&, const DeploymentFigures&) = default;
};

}  // namespace dormouse::gateway
