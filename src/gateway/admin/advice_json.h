// Advice as a JSON object: a part of a measured plan, and the body that the ledger keeps. Include from .cc files only
// (Boost.JSON). Threads: any.
#pragma once

#include <boost/json/object.hpp>

#include "base/result.h"
#include "gateway/plan_advice.h"

namespace dormouse::gateway {

[[nodiscard]] boost::json::object advice_object(const PlanAdvice& advice);
[[nodiscard]] Result<PlanAdvice> read_advice(const boost::json::object& object);  // kDataLoss

}  // namespace dormouse::gateway
