// What a deployment's instances cost, and the months that are paid whether it runs or not. Threads: the loop's.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/money.h"
#include "base/time_zone.h"
#include "catalog/deployment_rules.h"
#include "catalog/instance_types.h"
#include "fleet/supervisor.h"
#include "http/asio.h"
#include "ledger/ledger.h"

namespace dormouse::gateway {

class Deployments;

struct Pricing {
  std::optional<fleet::InstancePrice> price;       // of an instance; nullopt: nobody knows
  std::optional<fleet::InstancePrice> base_price;  // of the first base_instances at a time, where billing is mixed
  int base_instances = 0;
  Nanoseconds increment{0};        // what is paid whole, where that is worth staying awake for
  std::optional<Money> month_fee;  // due each month
  std::int64_t fee_price_version = 0;
};

// What these rules mean for money: "hourly" needs no price, "monthly" and "mixed" do.
// Errors: kInvalidArgument, "billing: ...".
[[nodiscard]] Status check_billing(const catalog::InstanceTypes& types, const catalog::DeploymentRules& rules);
// With the ledger's versions. Errors: those of check_billing and of the ledger.
Task<Result<Pricing>> find_pricing(asio::io_context& io, ledger::Ledger& ledger, const catalog::InstanceTypes& types,
                                   catalog::DeploymentRules rules);

struct Month {
  std::string name;  // "2026-11"
  WallTime begin;
};
[[nodiscard]] Month month_of(WallTime at, const TimeZone& zone);

// Books the month's fee of every deployment that has one: at its start, and when a month begins while it runs. Booking
// twice is nothing; a month in which no server ran is not known to have been paid.
class Fees {
 public:
  // `month` as month_of, of the reporting time zone.
  Fees(asio::io_context& io, ledger::Ledger& ledger, const Clock& clock, const Deployments& deployments,
       std::function<Month(WallTime)> month);
  void start();
  void stop();
  // Of one deployment, now.
  void book(const std::string& deployment, const Pricing& pricing);

 private:
  void arm();

  ledger::Ledger& ledger_;
  const Clock& clock_;
  const Deployments& deployments_;
  std::function<Month(WallTime)> month_;
  asio::steady_timer timer_;
};

}  // namespace dormouse::gateway
