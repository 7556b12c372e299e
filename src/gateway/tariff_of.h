// How an instance type's price looks to the planner. Pure. Threads: any.
#pragma once

#include "catalog/instance_types.h"
#include "planner/tariff.h"

namespace dormouse::gateway {

// Without an hourly price hour_micros is 0, which the planner refuses. Money is in the type's own currency.
[[nodiscard]] planner::Tariff tariff_of(const catalog::InstanceType& type);

}  // namespace dormouse::gateway
