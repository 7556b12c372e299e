// A supervisor with everything real around it but the driver: a loop, a ledger on a temporary file, a server on a Unix
// socket that serves the control channel. Tests only.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "fleet/supervisor.h"
#include "http/server.h"
#include "ledger/ledger.h"

namespace dormouse::fleet {

// Runs the loop until `condition` holds; false after `limit`.
inline bool run_until(asio::io_context& io, const std::function<bool()>& condition,
                      std::chrono::milliseconds limit = std::chrono::seconds(30)) {
  const SystemClock clock;
  const MonoTime end = clock.now() + limit;
  while (!condition()) {
    if (clock.now() >= end) return false;
    io.restart();
    io.run_one_for(std::chrono::milliseconds(10));
  }
  return true;
}

// co_spawn's own completion wants a T that can be made of nothing; a Lease cannot. `out` outlives the loop's run.
template <typename T>
Task<void> keep(Task<T> task, std::optional<T>* out) {
  T value = co_await std::move(task);
  out->emplace(std::move(value));
}

// Runs a task to its end on the loop and returns its value; the test fails after 30 s.
template <typename T>
std::optional<T> run_task(asio::io_context& io, Task<T> task) {
  std::optional<T> out;
  asio::co_spawn(io, keep(std::move(task), &out), asio::detached);
  EXPECT_TRUE(run_until(io, [&out] { return out.has_value(); })) << "not within 30 s";
  return out;
}

// Runs, and can be moved on while nobody reads it.
class AdvancedClock final : public Clock {
 public:
  [[nodiscard]] MonoTime now() const override { return system_.now() + ahead_; }
  [[nodiscard]] WallTime wall() const override { return {system_.wall().us + ahead_.count() / 1'000}; }
  void advance(Nanoseconds d) { ahead_ += d; }

 private:
  const SystemClock system_;
  Nanoseconds ahead_{0};
};

class FleetFixture : public ::testing::Test {
 protected:
  void SetUp() override {
    set_log_level(LogLevel::kError);
    std::string name = "/tmp/fleet_XXXXXX";  // short: Unix socket names hold 107 bytes
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
    open_ledger();
    http::Handler handler = [this](http::Exchange& exchange) { return supervisor_->serve_control(exchange); };
    http::ErrorBody error_body = [](int, std::string_view) { return std::string("{}"); };
    server_ = std::make_unique<http::Server>(io_, http::ServerLimits{}, std::move(handler), std::move(error_body));
    control_ = http::Address::parse("unix:" + directory_ + "/admin.sock").value();
    ASSERT_TRUE(server_->listen(control_, "control").has_value());
  }
  void TearDown() override {
    supervisor_.reset();
    if (server_ != nullptr) {
      bool drained = false;
      asio::co_spawn(io_, server_->drain(std::chrono::milliseconds(100)), [&](std::exception_ptr) { drained = true; });
      run_until(io_, [&] { return drained; });
    }
    server_.reset();
    ledger_.reset();
    std::filesystem::remove_all(directory_);
  }

  void open_ledger() {
    ledger::Options options;
    options.path = directory_ + "/ledger.db";
    options.clock = &ledger_clock_;
    options.ballast_bytes = 0;
    ledger_ = ledger::Ledger::open(options).value();
    put_in_ledger("m");
  }
  void put_in_ledger(const std::string& name) {
    ledger::Deployment deployment;
    deployment.name = name;
    std::promise<bool> put;
    ledger_->put_deployment(deployment, [&](const Status& status) { put.set_value(status.has_value()); });
    ASSERT_TRUE(put.get_future().get());
  }
  void make_supervisor(const Clock& clock, std::string driver_name, Driver& driver, std::int64_t memory_budget = 0) {
    SupervisorOptions options;
    options.io = &io_;
    options.clock = &clock;
    options.ledger = ledger_.get();
    options.drivers = {{std::move(driver_name), &driver}};
    options.random_seed = 1;
    options.memory_budget = memory_budget;
    supervisor_ = std::make_unique<Supervisor>(std::move(options));
  }
  AcquireResult acquire(Cancellation* cancellation = nullptr) {
    AcquireRequest request;
    request.deployment = "m";
    request.tokens_estimate = 10;
    request.cancellation = cancellation;
    return std::move(run_task(io_, supervisor_->acquire(request)).value());
  }
  DeploymentStatus status() { return supervisor_->status().at(0); }
  // The loop is not running meanwhile: the ledger answers on its own thread.
  std::vector<ledger::Span> spans() {
    std::promise<Result<std::vector<ledger::Span>>> promise;
    ledger_->record_progress({}, [&](const Status&) {  // behind everything queued so far
      ledger_->spans("m", 1'000, [&](Result<std::vector<ledger::Span>> found) { promise.set_value(std::move(found)); });
    });
    return promise.get_future().get().value();
  }

  AdvancedClock ledger_clock_;
  asio::io_context io_{1};
  std::string directory_;
  http::Address control_;
  std::unique_ptr<ledger::Ledger> ledger_;
  std::unique_ptr<http::Server> server_;
  std::unique_ptr<Supervisor> supervisor_;
};

}  // namespace dormouse::fleet
