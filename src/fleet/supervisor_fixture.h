// A supervisor whose driver is in this process: the test says what happens to each instance, and its "workers" dial the
// real control channel; the clock is moved by hand. Tests only.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "control/messages.h"
#include "fleet/fleet_fixture.h"
#include "http/websocket.h"

namespace dormouse::fleet {

// Starts nothing by itself: the test says what happens to each instance.
class FakeDriver final : public Driver {
 public:
  void attach(DriverEvents& events) override { events_ = &events; }
  void start(StartSpec spec) override {
    starts.push_back(spec);
    if (on_start) on_start(spec);
  }
  void stop(const std::string& instance_id, StopMode mode) override { stops.emplace_back(instance_id, mode); }
  [[nodiscard]] std::vector<std::string> list() const override { return {}; }

  DriverEvents& events() { return *events_; }
  std::vector<StartSpec> starts;
  std::vector<std::pair<std::string, StopMode>> stops;
  std::function<void(const StartSpec&)> on_start;

 private:
  DriverEvents* events_ = nullptr;
};

using Socket = std::shared_ptr<http::WebSocket>;

inline Task<Socket> dial(asio::io_context& io, http::Address address, control::Hello hello) {
  Result<std::unique_ptr<http::WebSocket>> socket =
      co_await http::connect_websocket(io, address, "/internal/worker", {}, std::chrono::seconds(5));
  if (!socket.has_value()) co_return nullptr;
  const Socket out = std::move(*socket);
  std::string text = control::encode(hello);
  static_cast<void>(co_await out->write(std::move(text)));
  co_return out;
}

inline Task<bool> say(Socket socket, control::Message message) {
  std::string text = control::encode(message);
  const Status written = co_await socket->write(std::move(text));
  co_return written.has_value();
}

inline Task<std::string> listen(Socket socket) {
  const Result<std::string> text = co_await socket->read();
  co_return text.has_value() ? *text : std::string("closed");
}

class SupervisorTest : public FleetFixture {
 protected:
  void SetUp() override {
    FleetFixture::SetUp();
    make_supervisor(clock_, "process", driver_);
    DeploymentSpec spec;
    spec.name = "m";
    spec.model_path = "m.gguf";
    ASSERT_TRUE(supervisor_->put(spec).has_value());
  }

  struct Caller {
    std::optional<AcquireResult> result;
    Cancellation cancellation;
  };
  std::unique_ptr<Caller> call(const std::string& deployment = "m") {
    auto caller = std::make_unique<Caller>();
    AcquireRequest request;
    request.deployment = deployment;
    request.cancellation = &caller->cancellation;
    asio::co_spawn(io_, keep(supervisor_->acquire(request), &caller->result), asio::detached);
    return caller;
  }
  bool started(std::size_t count) {
    return run_until(io_, [&] { return driver_.starts.size() == count; });
  }
  std::string state_of(const std::string& instance_id) {
    for (const DeploymentStatus& deployment : supervisor_->status()) {
      for (const InstanceStatus& instance : deployment.instances) {
        if (instance.instance_id == instance_id) return instance.state;
      }
    }
    return "gone";
  }
  DeploymentStatus status_of(const std::string& name) {
    for (const DeploymentStatus& deployment : supervisor_->status()) {
      if (deployment.name == name) return deployment;
    }
    return {};
  }
  static control::Hello hello_of(const StartSpec& spec) {
    control::Hello hello;
    hello.build = "test";
    hello.lease = spec.lease_token;
    hello.epoch = spec.epoch;
    hello.address = "unix:/tmp/data.sock";
    hello.pid = 42;
    return hello;
  }
  // The worker of the last start says hello and ready.
  Socket bring_up(std::int64_t max_sequences = 0) {
    const StartSpec spec = driver_.starts.back();
    driver_.events().on_started(spec.instance_id);
    const Socket socket = run_task(io_, dial(io_, control_, hello_of(spec))).value();
    EXPECT_NE(socket, nullptr);
    control::Ready ready;
    ready.model = spec.deployment;
    ready.isa = "fake";
    ready.max_sequences = max_sequences;
    EXPECT_TRUE(run_task(io_, say(socket, ready)).value_or(false));
    EXPECT_TRUE(run_until(io_, [&] { return state_of(spec.instance_id) == "ready"; }));
    return socket;
  }

  ManualClock clock_;
  FakeDriver driver_;
};

}  // namespace dormouse::fleet
