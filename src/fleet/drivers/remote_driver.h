// The life of instances whose machines somebody else runs: one driver for every Provider (a cloud's command line, a
// batch system). What makes it safe with money:
//   1. A create whose reply was lost is looked up until the provider must show it before it is repeated.
//   2. A stop is over when the provider no longer shows the machine as alive, not when it took the request; until then
//      it is repeated with backoff. From `report_after` attempts on a provider that refuses, and after `stop_patience`
//      one that only takes its time, is told through on_stop_unconfirmed.
//   3. Every reconcile interval, and once at the start, all our machines are listed: strangers seen twice are ended,
//      known ones missing twice have exited.
//   4. A provider that does not answer is never taken for one that has nothing.
// What still runs when the driver goes is the next gateway's: it resumes what its ledger knows and ends the rest as
// strangers; without one the worker ends itself (its lease).
// Threads: the loop's.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "fleet/driver.h"
#include "fleet/drivers/provider.h"
#include "http/asio.h"

namespace dormouse::fleet {

enum class LookBeforeCreate { kNo, kYes };

struct RemoteOptions {
  asio::io_context* io = nullptr;
  const Clock* clock = nullptr;
  std::string name;  // of the driver, for the log
  LookBeforeCreate look_before_create = LookBeforeCreate::kNo;
  int create_attempts = 3;                           // of each kind
  int report_after = 3;                              // stop attempts without confirmation
  std::chrono::milliseconds stop_patience{300'000};  // a machine may take minutes to end
  std::chrono::milliseconds poll_interval{3'000};    // while starting and stopping
  std::chrono::milliseconds reconcile_interval{60'000};
  std::chrono::milliseconds visible_after{60'000};   // by then the provider shows what it made
  std::chrono::milliseconds start_timeout{900'000};  // from created to running; then the next kind is tried
  std::chrono::milliseconds backoff_first{1'000};    // doubles up to backoff_most
  std::chrono::milliseconds backoff_most{60'000};
};

class RemoteDriver final : public Driver {
 public:
  RemoteDriver(RemoteOptions options, std::unique_ptr<Provider> provider);
  ~RemoteDriver() override;  // ends running commands, not machines
  RemoteDriver(const RemoteDriver&) = delete;
  RemoteDriver& operator=(const RemoteDriver&) = delete;

  void attach(DriverEvents& events) override;  // the first reconcile begins
  void start(StartSpec spec) override;
  void resume(const std::string& instance_id, Nanoseconds age) override;
  // Both modes are the provider's one way to end a machine: the worker was asked over the control channel before.
  void stop(const std::string& instance_id, StopMode mode) override;
  [[nodiscard]] std::vector<std::string> list() const override;
  void worker_joined(const std::string& instance_id) override;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;  // shared with the coroutines of its instances, which end when it is closed
};

}  // namespace dormouse::fleet
