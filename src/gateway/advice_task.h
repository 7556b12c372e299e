// Makes the advice that is due and writes it into the ledger: of the last 30 days on Mondays at four, of the month that
// is over on the first at four; what a stop has missed is caught up with at the next start, for the last such moment
// only. Wakes no instance. Owner: the house. Threads: the loop's; stopped before the loop ends.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>

#include "base/clock.h"
#include "base/time_zone.h"
#include "gateway/plan_service.h"
#include "http/asio.h"

namespace dormouse::gateway {

inline constexpr int kAdviceDays = 30;

class AdviceTask {
 public:
  struct Options {
    TimeZone zone;                                  // the reports'
    std::chrono::milliseconds first_after{60'000};  // a start has better to do
  };
  // Borrowed: all outlive this.
  AdviceTask(asio::io_context& io, const Clock& clock, ledger::Ledger& ledger, const Deployments& deployments,
             PlanService& plans, Options options);
  ~AdviceTask() { stop(); }
  AdviceTask(const AdviceTask&) = delete;
  AdviceTask& operator=(const AdviceTask&) = delete;

  void start();
  void stop();
  // Whatever is due and not yet in the ledger. Errors: the first that a deployment met; the others were gone through.
  Task<Status> run_due();

 private:
  // What is due; a period begins and ends with days of the zone.
  struct Due {
    std::int64_t week_begin_us = 0;
    std::int64_t week_end_us = 0;
    std::int64_t month_begin_us = 0;
    std::int64_t month_end_us = 0;
    friend bool operator==(const Due&, const Due&) = default;
  };
  [[nodiscard]] Due due_at(WallTime now) const;
  void wait(std::chrono::milliseconds how_long);
  Task<void> look();
  Task<Status> make_weekly(Deployment deployment, Due due);
  Task<Status> make_regret(Deployment deployment, Due due);
  Task<Result<bool>> is_made(ledger::AdviceQuery query, std::int64_t period_end_us);
  Task<Status> keep(ledger::AdviceRecord record);

  asio::io_context& io_;
  asio::steady_timer timer_;
  const Clock& clock_;
  ledger::Ledger& ledger_;
  const Deployments& deployments_;
  PlanService& plans_;
  const Options options_;
  std::shared_ptr<bool> alive_;  // false: stopped
  Due done_;                     // gone through for every deployment since the start
};

}  // namespace dormouse::gateway
