// Whether a deployment is asked in office hours only: the window of weekdays that holds nearly all of its requests.
// PURE. Threads: any.
#pragma once

#include <optional>
#include <string>

#include "gateway/plan_advice.h"

namespace dormouse::gateway {

struct OfficeHours {
  std::string window;  // "Mon-Fri 08:59-18:00 +08:00": as a rule takes it, begun early enough for the measured wake
  double share = 0;    // of requests inside it
};

// The shortest window of whole quarters of an hour on Mondays to Fridays with at least 95 % of the requests. nullopt:
// there is none of 12 hours at most.
[[nodiscard]] std::optional<OfficeHours> office_hours(const MeasuredPeriod& period);

}  // namespace dormouse::gateway
