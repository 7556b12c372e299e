#include "planner/slots.h"

#include <cmath>

namespace dormouse::planner {

void SharedSlots::begin(const Arrival& arrival) {
  running_.push_back({virtual_us_ + static_cast<double>(arrival.service_us), arrival.at_us});
  std::push_heap(running_.begin(), running_.end(), std::greater<>());
}

void SharedSlots::take(const Arrival& arrival, Instance& instance, Latencies& /*latencies*/) {
  if (running_.empty()) {
    now_us_ = busy_since_us_ = std::max(arrival.at_us, instance.ready_us);
    virtual_us_ = 0;
    instance.free_us = Instance::kBusy;
  }
  if (running_.size() < slots_) return begin(arrival);
  if (waiting_begin_ == waiting_end_) waiting_begin_ = &arrival;
  waiting_end_ = &arrival + 1;
}

void SharedSlots::advance(std::int64_t to_us, Instance& instance, Latencies& latencies) {
  while (!running_.empty()) {
    const Running next = running_.front();
    const std::int64_t end_us = now_us_ + std::llround(std::max(next.end - virtual_us_, 0.0) * stretch());
    if (end_us > to_us) break;
    now_us_ = end_us;
    virtual_us_ = next.end;
    std::pop_heap(running_.begin(), running_.end(), std::greater<>());
    running_.pop_back();
    latencies.add(end_us - next.at_us);
    if (waiting_begin_ != waiting_end_) begin(*waiting_begin_++);
    if (!running_.empty()) continue;
    instance.free_us = end_us;
    instance.busy_us += end_us - busy_since_us_;
  }
  if (running_.empty() || to_us <= now_us_) return;
  virtual_us_ += static_cast<double>(to_us - now_us_) / stretch();
  now_us_ = to_us;
}

}  // namespace dormouse::planner
