// What limits have beside the deciding: a clock that ticks, limits.state, and where counted refusals go.
// Threads: the loop's. Outlives every request.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "base/clock.h"
#include "gateway/limits/limiter.h"
#include "gateway/limits/refusals.h"
#include "http/asio.h"

namespace dormouse::gateway {

struct LimitOptions {
  std::string state_path;       // empty: nothing is kept
  LimiterOptions limiter;       // utc_offset_s null: this machine's time zone
  RefusalSink record_refusals;  // called on the loop, at most once a tick; null: they are counted and dropped
  // A budget has come to 80 or 100 per cent; once for each of the two while it stays there.
  std::function<void(const BudgetUse& use)> on_budget;
};

class LimitKeeper {
 public:
  // Reads limits.state. Damaged or missing: every bucket starts full.
  LimitKeeper(asio::io_context& io, const Clock& clock, LimitOptions options);
  ~LimitKeeper();
  LimitKeeper(const LimitKeeper&) = delete;
  LimitKeeper& operator=(const LimitKeeper&) = delete;

  [[nodiscard]] Limiter& limiter() { return limiter_; }
  [[nodiscard]] RefusalCounts& refusals() { return refusals_; }
  // A tick every five seconds from now on: what a crash can give back to a caller is what he took in that time.
  void begin();
  // No more ticks; state and counts are written a last time.
  void end();
  void tick();

 private:
  static constexpr std::chrono::seconds kTick{5};

  void restore();
  void save();
  void arm();
  void tell_budgets();

  const Clock& clock_;
  const LimitOptions options_;
  Limiter limiter_;
  RefusalCounts refusals_;
  asio::steady_timer timer_;
  std::shared_ptr<LimitKeeper*> alive_;  // null inside: a timer's queued handler must not touch us
  bool saved_anything_ = false;
  std::map<std::pair<Holder, std::string>, int> told_percent_;  // 80 or 100
};

}  // namespace dormouse::gateway
