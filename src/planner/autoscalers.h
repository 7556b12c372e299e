// Other fleets' rules over the same requests, to hold ours against: Knative's, Kubernetes' and SkyServe's autoscalers
// as their sources and documents describe them (2026-06 to 2026-09), without what a cluster adds (scheduling, image
// pulls, metrics that come late). All wait in one queue without limit, and go to the ready instance with the fewest
// requests. What is not wanted any more ends what it serves and takes nothing new; what still loads goes first. PURE.
//  kKnative   every 2 s; concurrency (served and waiting) over 60 s, and 6 s in panic, over 0.7 of the slots; panic
//  when
//             the latter asks for twice what is ready, and then never down until 60 s after; to zero after 60 s without
//             a request and 30 s of grace; from zero at once.
//  kHpa       every 15 s; instances x concurrency / (0.7 of their slots), unless within 10 % of what there is; up by as
//             many again or 4; down to the largest wish of 300 s; never below one, as it buffers nothing.
//  kSkyServe  every 20 s, 5 s with none up; requests of the last 60 s over what an instance serves at 0.7 of its slots;
//             up after 15 wishes in a row (300 s), from none at once; down after 60 (1,200 s).
// Threads: any. Cost: some operations on each instance a request and a tick.
#pragma once

#include <cstdint>
#include <optional>

#include "base/result.h"
#include "planner/fleet_run.h"
#include "planner/queueing.h"
#include "planner/tariff.h"
#include "planner/traffic.h"

namespace dormouse::planner {

enum class Scaler { kKnative, kHpa, kSkyServe };

struct ScalerRules {
  Scaler scaler = Scaler::kKnative;
  int min_instances = 0;
  int max_instances = 1;
  std::int64_t wake_us = 30 * kSecondUs;
  int slots = 1;  // each request at its speed alone, whatever runs beside it
};

// As run_fleet, under these rules; nobody is refused or cut. Errors: check_workload's; kInvalidArgument naming the
// field: nothing is asked, instances outside 0 to kMostInstances, slots outside 1 to kMostSlots, a wake below zero or
// beyond a day.
[[nodiscard]] Result<FleetRun> run_scaler(const Workload& workload, const ScalerRules& rules, const Tariff& tariff,
                                          const std::optional<Slo>& slo = {});

}  // namespace dormouse::planner
