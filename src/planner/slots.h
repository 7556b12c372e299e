// How an instance serves what it is asked: four kinds of slots behind one shape, which replay.cc is written against.
//   advance(to, ...)   what ends until then, ends: an end comes before a request of the same microsecond
//   take(arrival, ...) one more, in the order they came, after a wake if it needed one
//   drain(...)         none comes any more: what is left, ends
// Each moves the instance's free_us and busy_us and counts each request's latency once. Owner: one replay. PURE.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

#include "planner/latencies.h"
#include "planner/sessions.h"
#include "planner/traffic.h"

namespace dormouse::planner {

// One after another.
class OneSlot {
 public:
  explicit OneSlot(const Timer& /*timer*/) {}
  void advance(std::int64_t /*to_us*/, Instance& /*instance*/, Latencies& /*latencies*/) {}
  void take(const Arrival& arrival, Instance& instance, Latencies& latencies) {
    instance.free_us = std::max(arrival.at_us, instance.free_us) + arrival.service_us;
    instance.busy_us += arrival.service_us;
    latencies.add(instance.free_us - arrival.at_us);
  }
  void drain(Instance& /*instance*/, Latencies& /*latencies*/) {}
};

// All at once, each at its full speed.
class AnySlots {
 public:
  explicit AnySlots(const Timer& /*timer*/) {}
  void advance(std::int64_t /*to_us*/, Instance& /*instance*/, Latencies& /*latencies*/) {}
  void take(const Arrival& arrival, Instance& instance, Latencies& latencies) {
    serve(std::max(arrival.at_us, instance.ready_us), arrival, instance, latencies);
  }
  void drain(Instance& /*instance*/, Latencies& /*latencies*/) {}

  // From begin_us on. Later calls begin later or at the same time, so that busy time is what sticks out at the end.
  static void serve(std::int64_t begin_us, const Arrival& arrival, Instance& instance, Latencies& latencies) {
    const std::int64_t end_us = begin_us + arrival.service_us;
    instance.busy_us += std::max<std::int64_t>(0, end_us - std::max(begin_us, instance.free_us));
    instance.free_us = std::max(instance.free_us, end_us);
    latencies.add(end_us - arrival.at_us);
  }
};

// So many at once, each at its full speed; the others wait. Memory: 8 bytes for each slot in use.
class FullSpeedSlots {
 public:
  explicit FullSpeedSlots(const Timer& timer) : slots_(static_cast<std::size_t>(timer.slots)) {}
  void advance(std::int64_t to_us, Instance& /*instance*/, Latencies& /*latencies*/) {
    while (!ends_us_.empty() && ends_us_.front() <= to_us) pop();
  }
  void take(const Arrival& arrival, Instance& instance, Latencies& latencies) {
    std::int64_t begin_us = std::max(arrival.at_us, instance.ready_us);
    if (ends_us_.size() == slots_) begin_us = std::max(begin_us, pop());
    AnySlots::serve(begin_us, arrival, instance, latencies);
    ends_us_.push_back(begin_us + arrival.service_us);
    std::push_heap(ends_us_.begin(), ends_us_.end(), std::greater<>());
  }
  void drain(Instance& /*instance*/, Latencies& /*latencies*/) {}

 private:
  std::int64_t pop() {
    std::pop_heap(ends_us_.begin(), ends_us_.end(), std::greater<>());
    const std::int64_t end_us = ends_us_.back();
    ends_us_.pop_back();
    return end_us;
  }

  const std::size_t slots_;
  std::vector<std::int64_t> ends_us_;  // of slots taken, the soonest on top; some may be over
};

// So many at once, or without limit, each slowed by the others. With b in service all of them progress alike, so there
// is one virtual clock that runs at 1 / (1 + slowdown (b - 1)) and shows the same service_us more at a request's end
// than at its beginning: the next to end is the top of a heap, and nobody else is touched.
// Ends are rounded to the microsecond and the others go on from there: a request's end is within half a microsecond a
// preceding end of the same busy time from the ideal one, and all counted from the ends is exact. The virtual clock is
// a double that starts at 0 with each busy time: below 2^53 us (285 years), its own error is smaller than that.
// Memory: 16 bytes for each slot in use.
class SharedSlots {
 public:
  explicit SharedSlots(const Timer& timer)
      : slots_(timer.slots < 1 ? SIZE_MAX : static_cast<std::size_t>(timer.slots)),
        slowdown_(std::min(timer.slowdown, 1.0)) {}
  void advance(std::int64_t to_us, Instance& instance, Latencies& latencies);
  // The arrivals taken lie one behind the other in memory: those that wait are a part of them.
  void take(const Arrival& arrival, Instance& instance, Latencies& latencies);
  void drain(Instance& instance, Latencies& latencies) { advance(Instance::kBusy, instance, latencies); }

 private:
  struct Running {
    double end = 0;  // on the virtual clock
    std::int64_t at_us = 0;
    bool operator>(const Running& other) const { return end > other.end; }
  };

  [[nodiscard]] double stretch() const { return 1 + slowdown_ * static_cast<double>(running_.size() - 1); }
  void begin(const Arrival& arrival);

  const std::size_t slots_;
  const double slowdown_;
  std::int64_t now_us_ = 0;
  std::int64_t busy_since_us_ = 0;
  double virtual_us_ = 0;
  std::vector<Running> running_;            // a heap, the first to end on top
  const Arrival* waiting_begin_ = nullptr;  // borrowed from the replayed arrivals
  const Arrival* waiting_end_ = nullptr;
};

}  // namespace dormouse::planner
