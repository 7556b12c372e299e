#include "planner/replay.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "planner/latencies.h"
#include "planner/sessions.h"
#include "planner/slots.h"

namespace dormouse::planner {
namespace {

struct Asked {
  const Timer& timer;
  const Tariff& tariff;
  std::vector<std::int64_t>* paid_by_day = nullptr;  // nullptr: not asked
};

// 20 timeouts over ten million requests are 200 million turns of this loop; two seconds are 10 ns a turn, 26 cycles at
// 2.6 GHz. One slot costs: the comparison that finds it asleep, mispredicted every other time where the timeout is as
// long as the gaps (up to 10 cycles on average), the chain of max and add through free_us, the latency's bucket beside
// it. Measured: 17 cycles, without limit 19. Arrivals stream: 16 bytes a turn are 2.4 GB/s, a fraction of what a core
// reads, so that one timeout after the other is no slower than all of them a block of arrivals at a time.
template <typename Slots>
Outcome run(std::span<const Arrival> arrivals, const Asked& asked) {
  Sessions sessions(asked.timer, asked.tariff, asked.paid_by_day);
  Latencies latencies;
  Slots slots(asked.timer);
  Instance instance;
  std::int64_t cold = 0;
  for (const Arrival& arrival : arrivals) {
    DCHECK(arrival.at_us >= 0 && arrival.service_us >= 0 && arrival.service_us <= kMostServiceUs);
    slots.advance(arrival.at_us, instance, latencies);
    const bool woke = sessions.wake_for(arrival.at_us, instance);
    cold += woke || arrival.at_us < instance.ready_us ? 1 : 0;
    slots.take(arrival, instance, latencies);
  }
  slots.drain(instance, latencies);
  sessions.end(instance.free_us, instance.busy_us);
  Outcome out;
  out.requests = static_cast<std::int64_t>(arrivals.size());
  out.cold_requests = cold;
  out.wakes = sessions.wakes();
  out.awake_us = sessions.awake_us();
  out.busy_us = instance.busy_us;
  out.waking_us = sessions.waking_us();
  out.idle_us = out.awake_us - out.busy_us - out.waking_us;
  out.paid_us = sessions.paid_us();
  out.paid_micros = hours_micros(asked.tariff, out.paid_us);
  out.mean_s = latencies.mean_s();
  out.p50_s = latencies.at_share_s(0.50);
  out.p95_s = latencies.at_share_s(0.95);
  out.p99_s = latencies.at_share_s(0.99);
  out.p999_s = latencies.at_share_s(0.999);
  return out;
}

Outcome answer(std::span<const Arrival> arrivals, const Asked& asked) {
  const Timer& timer = asked.timer;
  if (timer.slots == 1) return run<OneSlot>(arrivals, asked);
  if (timer.slowdown > 0) return run<SharedSlots>(arrivals, asked);
  if (timer.slots < 1) return run<AnySlots>(arrivals, asked);
  return run<FullSpeedSlots>(arrivals, asked);
}

}  // namespace

Outcome replay(std::span<const Arrival> arrivals, const Timer& timer, const Tariff& tariff) {
  return answer(arrivals, {timer, tariff});
}

std::vector<Outcome> replay_all(std::span<const Arrival> arrivals, std::span<const double> timeouts_s,
                                const Timer& timer, const Tariff& tariff) {
  std::vector<Outcome> out;
  for (const double timeout_s : timeouts_s) {
    Timer one = timer;
    one.idle_timeout_s = timeout_s;
    out.push_back(replay(arrivals, one, tariff));
  }
  return out;
}

std::vector<std::int64_t> paid_by_day(std::span<const Arrival> arrivals, const Timer& timer, const Tariff& tariff) {
  if (arrivals.empty()) return {};
  std::vector<std::int64_t> out(static_cast<std::size_t>(arrivals.back().at_us / kDayUs) + 1);
  answer(arrivals, {timer, tariff, &out});
  return out;
}

Timer never_sleeping(Timer timer) {
  timer.idle_timeout_s = to_seconds(kMostUs);
  timer.wake_s = 0;
  return timer;
}

std::int64_t service_us_of(std::span<const Arrival> arrivals) {
  std::int64_t out = 0;
  for (const Arrival& arrival : arrivals) out += arrival.service_us;
  return out;
}

Forecast a_month_of(const Outcome& outcome, double months) {
  Forecast out;
  out.awake_s = to_seconds(outcome.awake_us) / months;
  out.busy_s = to_seconds(outcome.busy_us) / months;
  out.waking_s = to_seconds(outcome.waking_us) / months;
  out.idle_s = to_seconds(outcome.idle_us) / months;
  out.wakes = static_cast<double>(outcome.wakes) / months;
  const auto requests = static_cast<double>(outcome.requests);
  out.cold_share = outcome.requests > 0 ? static_cast<double>(outcome.cold_requests) / requests : 0;
  out.mean_s = outcome.mean_s;
  out.p50_s = outcome.p50_s;
  out.p95_s = outcome.p95_s;
  out.p99_s = outcome.p99_s;
  out.p999_s = outcome.p999_s;
  return out;
}

std::int64_t month_micros(const Outcome& outcome, double months, const Tariff& tariff) {
  const double stopped_h = std::max(0.0, kHoursOfMonth - to_seconds(outcome.awake_us) / months / 3'600);
  const double stopped = stopped_h * static_cast<double>(tariff.stopped_hour_micros);
  const double micros = static_cast<double>(outcome.paid_micros) / months + stopped;
  return std::llround(std::min(micros, static_cast<double>(kMostMicros))) + tariff.fixed_month_micros;
}

}  // namespace dormouse::planner
