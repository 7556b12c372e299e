// What it saves to let some requests wait, as a Batch API does: they are gathered and run when an instance is awake
// anyway, or all together shortly before the first of them is due. One instance that sleeps and wakes, as in replay.h;
// online requests live by its rules, and by these together with the gathered ones:
//  1. `share` of the requests may wait, spread evenly: request i does if floor((i + 1) share) > floor(i share). Each is
//     due `deadline` after it came.
//  2. They run in the order they came, in batches that fill all slots: each takes service_us (1 + slowdown (slots - 1))
//     / slots of the instance's time, to the microsecond.
//  3. They run while it is awake and serves nothing else. An online request stops them at once and is never delayed by
//     them; they go on afterwards, with nothing lost.
//  4. It goes to sleep when the timeout of its last online request (none since it woke: nothing) has passed and none is
//     left; whatever is gathered when it is awake is done before it sleeps. Exactly then it is still awake.
//  5. Asleep, it wakes for them at the last moment at which all that are gathered can be done before the oldest one is
//     due, or at once if that has passed. At the same moment an online request's wake comes first.
//  A request is late if online ones leave no time until it is due, or the deadline is shorter than the wake.
// PURE. Cost: O(requests), with slots above one O(log slots) more.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "planner/replay.h"
#include "planner/tariff.h"
#include "planner/traffic.h"

namespace dormouse::planner {

struct DeferredRules {
  double share = 0;  // of requests, 0 to 1
  std::int64_t deadline_us = kDayUs;
};

struct DeferredRun {
  // Of all requests together; its cold requests and latencies are the online ones'. Time with a gathered one at work is
  // busy.
  Outcome outcome;
  std::int64_t deferred = 0;
  std::int64_t late = 0;
  std::int64_t own_wakes = 0;  // of outcome.wakes: rule 5
  double mean_s = 0;           // of the gathered: from arrival to end
  double longest_s = 0;
};

struct DeferredEffect {
  Outcome at_once;  // all of them online: replay()
  DeferredRun gathered;
  std::int64_t at_once_micros = 0;  // a month
  std::int64_t gathered_micros = 0;
};

// Online requests run at their time alone, whatever the timer's slowdown. Errors: check_workload's (fleet_run.h);
// kInvalidArgument naming the field: a share outside [0, 1], a deadline below zero or beyond a month, no limit of slots
// (there is no full batch then), paid increments that are prepaid (when it sleeps follows other rules).
[[nodiscard]] Result<DeferredEffect> defer(const Workload& workload, const DeferredRules& rules, const Timer& timer,
                                           const Tariff& tariff);

}  // namespace dormouse::planner
