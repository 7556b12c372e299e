// One instance's sessions: when it sleeps, and what of each is paid. What is served in between is slots.h's. PURE.
// Owner: one replay.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "planner/tariff.h"
#include "planner/traffic.h"

namespace dormouse::planner {

// An instance at work: what changes with each request. Apart from Sessions so that a loop can hold it in registers.
struct Instance {
  // Of free_us: something is in service, and nobody knows yet until when.
  static constexpr std::int64_t kBusy = std::numeric_limits<std::int64_t>::max() / 4;

  std::int64_t ready_us = 0;  // when it can serve
  // When it has served all it was asked so far, kBusy, or when it is ready. At first: asleep since ever.
  std::int64_t free_us = -kBusy;
  std::int64_t busy_us = 0;  // of all its sessions
};

class Sessions {
 public:
  // paid_by_day: nullptr, or where each session's paid time goes, by the day it began on.
  Sessions(const Timer& timer, const Tariff& tariff, std::vector<std::int64_t>* paid_by_day);

  // A request comes. True: it finds the instance asleep, which wakes: ready_us and free_us are those of a new session.
  bool wake_for(std::int64_t at_us, Instance& instance) {
    if (at_us <= instance.free_us + timeout_us_ || !is_over(at_us, instance.free_us)) return false;
    end(instance.free_us, instance.busy_us);
    begin(at_us, instance.busy_us);
    instance.ready_us = instance.free_us = at_us + wake_us_;
    return true;
  }
  // The last session ends, after no request came any more.
  void end(std::int64_t free_us, std::int64_t busy_us);

  [[nodiscard]] std::int64_t wakes() const { return wakes_; }
  [[nodiscard]] std::int64_t awake_us() const { return awake_us_; }
  [[nodiscard]] std::int64_t waking_us() const { return wakes_ * wake_us_; }
  [[nodiscard]] std::int64_t paid_us() const { return paid_us_; }

 private:
  [[nodiscard]] bool is_over(std::int64_t at_us, std::int64_t free_us) const {
    return !is_prepaid_ || wakes_ == 0 || at_us > off_us(free_us);
  }
  [[nodiscard]] std::int64_t off_us(std::int64_t free_us) const;
  [[nodiscard]] std::int64_t paid_from_us() const;
  void begin(std::int64_t at_us, std::int64_t busy_us);

  const Tariff tariff_;
  const std::int64_t timeout_us_;
  const std::int64_t wake_us_;
  const bool is_prepaid_;
  std::vector<std::int64_t>* const paid_by_day_;
  std::int64_t on_us_ = 0;  // since when it is awake, and how much it had been busy then
  std::int64_t busy_at_on_us_ = 0;
  std::int64_t wakes_ = 0;
  std::int64_t awake_us_ = 0;
  std::int64_t paid_us_ = 0;
};

}  // namespace dormouse::planner
