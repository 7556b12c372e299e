// Plans and advice out of the ledger, off the loop: what was measured is read day by day, so that no report waits for
// it, and replayed on a thread of this object's own, as that takes seconds for millions of requests.
// Owner: the house. Threads: the loop's. stop() before the loop ends; the thread is joined when this goes.
#pragma once

#include <boost/asio/thread_pool.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time_zone.h"
#include "catalog/instance_types.h"
#include "gateway/admin/plan_wire.h"
#include "gateway/deployments.h"
#include "gateway/turns.h"
#include "http/asio.h"
#include "ledger/ledger.h"

namespace dormouse::gateway {

// Of a measured plan; the latest stay. 160 MB while it is replayed, and one at a time is.
inline constexpr std::int64_t kMostMeasuredRequests = 10'000'000;
// Asked for and not answered; past it kOverloaded.
inline constexpr int kMostPlansAtOnce = 16;
// Of a month's assumptions: 16 of them are replayed, 77 MB. `dormouse plan` takes more, on its own machine.
inline constexpr double kMostAssumedRequests = 300'000;

// What is asked about a deployment's past.
struct PlanWish {
  Deployment deployment;
  TimeZone zone;
  std::int64_t begin_us = 0;
  std::int64_t end_us = 0;
  catalog::InstanceType type;              // whose price is taken
  std::optional<double> idle_timeout_s{};  // of the asked row, instead of the rules'
  std::optional<double> wake_s{};          // instead of the measured one
  planner::Goal goal{};
};

// Advice with the period it is of.
template <typename T>
struct Dated {
  T value;
  std::int64_t begin_us = 0;  // what was known of the period begins here
  std::int64_t made_us = 0;   // when the deployment was made
};

class PlanService {
 public:
  // Borrowed: all outlive this.
  PlanService(asio::io_context& io, ledger::Ledger& ledger, const catalog::InstanceTypes& types);
  ~PlanService();
  PlanService(const PlanService&) = delete;
  PlanService& operator=(const PlanService&) = delete;

  // What runs ends after the timeout it is at; what waits gets kCancelled.
  void stop();
  // Of these rules; one without a price where nobody knows the type.
  [[nodiscard]] catalog::InstanceType type_of(const catalog::DeploymentRules& rules) const;
  [[nodiscard]] const catalog::InstanceTypes& types() const { return types_; }

  // Errors of all: those of the ledger, kOverloaded (too many at once), kCancelled (closing). Of the two plans also
  // kInvalidArgument, "PARAMETER: ...".
  Task<Result<MeasuredPlan>> measured(PlanWish wish);
  Task<Result<PlanReport>> assumed(planner::Question question, PlanTerms terms);
  Task<Result<Dated<PlanAdvice>>> advice(PlanWish wish);
  // `wish` is about that month; whether it is over is the caller's to know. Also kInvalidArgument (no such month).
  Task<Result<Dated<Hindsight>>> hindsight(PlanWish wish, std::int64_t year, int month);

 private:
  // As it was read: the worker makes one workload of it.
  struct Material {
    MeasuredPeriod period;
    std::vector<ledger::MeasuredWorkload> days;  // the latest first
    MeasuredPeriod& whole();                     // once
  };
  Task<Result<std::shared_ptr<Material>>> read(PlanWish wish);
  template <typename T>
  Task<Result<T>> work(std::function<Result<T>(const std::stop_token&)> job);

  asio::io_context& io_;
  ledger::Ledger& ledger_;
  const catalog::InstanceTypes& types_;
  Turns turns_;
  std::shared_ptr<int> pending_ = std::make_shared<int>(0);
  std::stop_source stop_;
  std::optional<asio::thread_pool> worker_;  // from the first plan on: a thread is memory, and most days nobody asks
};

}  // namespace dormouse::gateway
