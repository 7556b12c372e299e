// Looks every ten seconds at what runs: is it as fast as it should be, has it given up, what does it take of the
// machine. Keeps what /metrics, `ps` and the admin API show of it, and raises alerts. Wakes nothing, and reads nothing
// of the system while all sleep. Owner: the house. Threads: the loop's; the system is read on a thread of its own,
// because NVML may take a second.
#pragma once

#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "gateway/advice.h"
#include "gateway/alerts/alert.h"
#include "gateway/pricing.h"
#include "gateway/services.h"
#include "gateway/speed_note.h"
#include "gateway/vitals.h"
#include "gateway/vitals_sampler.h"
#include "ledger/records.h"
#include "policy/degraded.h"

namespace dormouse::gateway {

struct WatchOptions {
  std::chrono::milliseconds period{10'000};
  VitalsSources sources;
  std::function<void(Alert)> raise;  // may be empty
  const Advisor* advisor = nullptr;  // borrowed; null: nothing is known of types
  // The month a moment belongs to, where bills are read.
  std::function<Month(WallTime)> month = [](WallTime at) { return month_of(at, TimeZone()); };
};

class Watch {
 public:
  Watch(Services services, WatchOptions options);
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  void start();
  void stop() { timer_.cancel(); }
  // One look, as the timer does it.
  void look();
  // Of each request after its end.
  void on_finished(const Call& call);

  [[nodiscard]] const Vitals& vitals() const { return vitals_; }
  [[nodiscard]] Advice advice_for(const Deployment& deployment) const;
  // Neither measured nor expected: nothing is known of it.
  [[nodiscard]] SpeedView speed_of(const std::string& deployment) const;

 private:
  struct Observed {
    policy::Degraded speed{policy::DegradedConfig{}};
    std::string what;  // model and machine: another one is judged anew
  };
  static Task<void> run(Watch* self, std::weak_ptr<int> alive);
  void judge(const fleet::DeploymentStatus& status);
  void sample(const std::vector<fleet::DeploymentStatus>& fleet);
  void ask_for_hours();
  void judge_hours(const std::vector<ledger::UsageRow>& rows, const std::string& month);
  void raise(Alert alert) const;
  Observed& observed(const Deployment& deployment);

  Services services_;
  const WatchOptions options_;
  asio::steady_timer timer_;
  std::map<std::string, Observed> observed_;       // by deployment
  std::map<std::string, std::int64_t> instances_;  // that are ready, at the last look
  std::set<std::string> failed_;
  std::optional<MonoTime> hours_asked_;
  std::set<std::string> near_break_even_;  // "MONTH DEPLOYMENT" that has been told of
  Vitals vitals_;
  bool is_sampling_ = false;
  VitalsSampler sampler_;  // used on sampling_thread_ only
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
  asio::thread_pool sampling_thread_{1};
};

}  // namespace dormouse::gateway
