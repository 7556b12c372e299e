#include "planner/replay.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <queue>

namespace dormouse::planner {
namespace {

double seconds(std::int64_t us) {
  return static_cast<double>(us) / static_cast<double>(kSecondUs);
}

std::int64_t us(double seconds) {
  return std::llround(seconds * static_cast<double>(kSecondUs));
}

double at_share(const std::vector<std::int64_t>& sorted, double share) {
  if (sorted.empty()) return 0;
  return seconds(sorted[static_cast<std::size_t>(std::lround(share * static_cast<double>(sorted.size() - 1)))]);
}

// One instance through the arrivals, a session after another.
class Replay {
 public:
  Replay(const Timer& timer, const Tariff& tariff)
      : timeout_us_(us(timer.idle_timeout_s)),
        wake_us_(us(timer.wake_s)),
        slots_(std::max(timer.slots, 1)),
        tariff_(tariff) {}

  void add(const Arrival& arrival) {
    if (!is_on_ || arrival.at_us > off_us()) {
      end();
      is_on_ = true;
      on_us_ = arrival.at_us;
      ready_us_ = free_us_ = on_us_ + wake_us_;
      ++out_.wakes;
      free_.assign(static_cast<std::size_t>(slots_), ready_us_);
    }
    std::pop_heap(free_.begin(), free_.end(), std::greater<>());
    const std::int64_t begin_us = std::max(arrival.at_us, free_.back());
    const std::int64_t end_us = begin_us + arrival.service_us;
    free_.back() = end_us;
    std::push_heap(free_.begin(), free_.end(), std::greater<>());
    out_.busy_us += std::max<std::int64_t>(0, end_us - std::max(begin_us, free_us_));
    free_us_ = std::max(free_us_, end_us);
    ++out_.requests;
    out_.cold_requests += arrival.at_us < ready_us_ ? 1 : 0;
    latencies_.push_back(end_us - arrival.at_us);
  }

  void end() {
    if (!is_on_) return;
    is_on_ = false;
    const std::int64_t awake = off_us() - on_us_;
    out_.awake_us += awake;
    out_.waking_us += wake_us_;
    out_.paid_us += paid_us(tariff_, awake);
  }

  Outcome finish() {
    end();
    out_.idle_us = out_.awake_us - out_.busy_us - out_.waking_us;
    out_.paid_micros = hours_micros(tariff_, out_.paid_us);
    std::sort(latencies_.begin(), latencies_.end());
    double sum = 0;
    for (const std::int64_t latency : latencies_) sum += seconds(latency);
    if (!latencies_.empty()) out_.mean_s = sum / static_cast<double>(latencies_.size());
    out_.p50_s = at_share(latencies_, 0.50);
    out_.p95_s = at_share(latencies_, 0.95);
    out_.p99_s = at_share(latencies_, 0.99);
    out_.p999_s = at_share(latencies_, 0.999);
    return out_;
  }

 private:
  [[nodiscard]] std::int64_t off_us() const { return free_us_ + timeout_us_; }

  const std::int64_t timeout_us_;
  const std::int64_t wake_us_;
  const int slots_;
  const Tariff tariff_;
  Outcome out_;
  bool is_on_ = false;
  std::int64_t on_us_ = 0;
  std::int64_t ready_us_ = 0;
  std::int64_t free_us_ = 0;        // of its last request
  std::vector<std::int64_t> free_;  // when each slot is, the soonest on top
  std::vector<std::int64_t> latencies_;
};

}  // namespace

Outcome replay(std::span<const Arrival> arrivals, const Timer& timer, const Tariff& tariff) {
  Replay one(timer, tariff);
  for (const Arrival& arrival : arrivals) one.add(arrival);
  return one.finish();
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

Forecast a_month_of(const Outcome& outcome, double months) {
  Forecast out;
  out.awake_s = seconds(outcome.awake_us) / months;
  out.busy_s = seconds(outcome.busy_us) / months;
  out.waking_s = seconds(outcome.waking_us) / months;
  out.idle_s = seconds(outcome.idle_us) / months;
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
  const double stopped_h = std::max(0.0, kHoursOfMonth - seconds(outcome.awake_us) / months / 3'600);
  const double stopped = stopped_h * static_cast<double>(tariff.stopped_hour_micros);
  return std::llround(static_cast<double>(outcome.paid_micros) / months + stopped) + tariff.fixed_month_micros;
}

}  // namespace dormouse::planner
