// A second opinion for replay_test.cc: one instance as a machine of states, event by event, written for plainness and
// against replay.h's rules only. It knows nothing of how a replay works.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "planner/tariff.h"
#include "planner/traffic.h"

namespace dormouse::planner {

struct Happened {
  std::int64_t cold_requests = 0;
  std::int64_t wakes = 0;
  std::int64_t awake_us = 0;
  std::int64_t busy_us = 0;
  std::int64_t waking_us = 0;
  std::int64_t idle_us = 0;
  std::int64_t paid_us = 0;
  std::int64_t paid_micros = 0;
  std::map<std::int64_t, std::int64_t> paid_by_day;
  std::vector<std::int64_t> latencies_us;
};

[[nodiscard]] Happened happen(std::span<const Arrival> arrivals, const Timer& timer, const Tariff& tariff);

}  // namespace dormouse::planner
