// Goal: a worker on another machine is let in by its lease alone, is spoken to over TLS pinned to its certificate, and
// may lose its link and call again within the lease's time to live, never after it. Method: the supervisor behind a TLS
// door, workers dialled by hand, a driver that only notes what it is told, a clock moved by hand.
#include <gtest/gtest.h>

#include "control/messages.h"
#include "fleet/fleet_fixture.h"
#include "http/tls.h"
#include "http/websocket.h"

namespace dormouse::fleet {
namespace {

class NotingDriver final : public Driver {
 public:
  void attach(DriverEvents& events) override { events_ = &events; }
  void start(StartSpec spec) override { starts.push_back(std::move(spec)); }
  void resume(const std::string& instance_id, Nanoseconds /*age*/) override { resumed.push_back(instance_id); }
  void stop(const std::string& instance_id, StopMode mode) override { stops.emplace_back(instance_id, mode); }
  [[nodiscard]] std::vector<std::string> list() const override { return {}; }

  DriverEvents& events() { return *events_; }
  std::vector<StartSpec> starts;
  std::vector<std::string> resumed;
  std::vector<std::pair<std::string, StopMode>> stops;

 private:
  DriverEvents* events_ = nullptr;
};

using Socket = std::shared_ptr<http::WebSocket>;

Task<Socket> dial(asio::io_context& io, http::Address address, std::optional<control::Hello> hello) {
  Result<std::unique_ptr<http::WebSocket>> socket =
      co_await http::connect_websocket(io, address, "/internal/worker", {}, std::chrono::seconds(5));
  if (!socket.has_value()) co_return nullptr;
  const Socket out = std::move(*socket);
  if (!hello.has_value()) co_return out;
  std::string text = control::encode(*hello);
  static_cast<void>(co_await out->write(std::move(text)));
  co_return out;
}

Task<bool> say(Socket socket, control::Message message) {
  std::string text = control::encode(message);
  const Status written = co_await socket->write(std::move(text));
  co_return written.has_value();
}

Task<std::string> listen(Socket socket) {
  const Result<std::string> text = co_await socket->read();
  co_return text.has_value() ? *text : std::string("closed");
}

class RemoteTest : public FleetFixture {
 protected:
  void SetUp() override {
    FleetFixture::SetUp();
    make_supervisor(clock_, "cloud", driver_);
    put("m");
    const http::TlsIdentity identity = http::make_tls_identity({"localhost"}).value();
    http::Handler handler = [this](http::Exchange& e) { return supervisor_->serve_control(e, WorkerDoor::kRemote); };
    http::ErrorBody error_body = [](int, std::string_view) { return std::string("{}"); };
    remote_ = std::make_unique<http::Server>(io_, http::ServerLimits{}, std::move(handler), std::move(error_body));
    door_ = remote_->listen(http::Address::parse("127.0.0.1:0").value(), "workers", &identity).value();
    door_.tls = http::TlsTrust{identity.fingerprint, {}};
  }
  void TearDown() override {
    supervisor_.reset();
    bool drained = false;
    asio::co_spawn(io_, remote_->drain(std::chrono::milliseconds(50)), [&](std::exception_ptr) { drained = true; });
    run_until(io_, [&] { return drained; });
    remote_.reset();
    FleetFixture::TearDown();
  }
  void put(const std::string& model_path) {
    DeploymentSpec spec;
    spec.name = "m";
    spec.model_path = model_path;
    spec.driver = "cloud";
    spec.lease_time_to_live = std::chrono::seconds(5);
    spec.max_wait = std::chrono::seconds(30);
    ASSERT_TRUE(supervisor_->put(spec).has_value());
  }
  struct Caller {
    std::optional<AcquireResult> result;
  };
  std::unique_ptr<Caller> call() {
    auto caller = std::make_unique<Caller>();
    AcquireRequest request;
    request.deployment = "m";
    asio::co_spawn(io_, keep(supervisor_->acquire(request), &caller->result), asio::detached);
    return caller;
  }
  // A caller, and the start it brings about.
  std::unique_ptr<Caller> call_and_start(std::size_t starts) {
    auto caller = call();
    EXPECT_TRUE(run_until(io_, [&] { return driver_.starts.size() == starts; }));
    driver_.events().on_started(driver_.starts.back().instance_id);
    return caller;
  }
  control::Hello hello() const {
    const StartSpec& spec = driver_.starts.back();
    control::Hello hello;
    hello.build = "test";
    hello.lease = spec.lease_token;
    hello.epoch = spec.epoch;
    hello.address = "0.0.0.0:4711";
    hello.tls_fingerprint = "sha256:" + std::string(64, 'a');
    return hello;
  }
  // What comes back to a hello: "welcome", or "closed".
  std::string answer_to(const control::Hello& hello) {
    const Socket socket = run_task(io_, dial(io_, door_, hello)).value();
    return socket == nullptr ? "no socket" : run_task(io_, listen(socket)).value();
  }
  Socket join() {
    const Socket socket = run_task(io_, dial(io_, door_, hello())).value();
    EXPECT_NE(run_task(io_, listen(socket)).value().find("welcome"), std::string::npos);
    return socket;
  }
  void say_ready(const Socket& socket, const std::string& model = "m") {
    control::Ready ready;
    ready.model = model;
    EXPECT_TRUE(run_task(io_, say(socket, ready)).value_or(false));
  }
  bool answered(const Caller& caller) {
    return run_until(io_, [&] { return caller.result.has_value(); });
  }
  std::string state_of_instance() {
    const DeploymentStatus now = status();
    if (now.instances.empty()) return "none";
    return now.instances[0].state + (now.instances[0].reachable ? "" : ", out of reach");
  }
  // The gateway dies and starts again, `away` later.
  void restart(std::chrono::seconds away) {
    supervisor_.reset();
    settle();
    ledger_.reset();
    ledger_clock_.advance(away);
    open_ledger();
    make_supervisor(clock_, "cloud", driver_);
  }
  // Runs what is under way to its end: everything that could be answered has been.
  void settle() {
    for (int i = 0; i < 20; ++i)
      run_until(
          io_, [] { return false; }, std::chrono::milliseconds(5));
  }

  ManualClock clock_;
  NotingDriver driver_;
  std::unique_ptr<http::Server> remote_;
  http::Address door_;
};

TEST_F(RemoteTest, IsSpokenToWhereItCalledFromOverTlsPinnedToItsCertificateWithItsLease) {
  auto caller = call_and_start(1);
  const Socket worker = join();
  say_ready(worker);
  ASSERT_TRUE(answered(*caller) && caller->result->has_value());
  const Lease& lease = **caller->result;
  EXPECT_EQ(lease.address().to_string(), "127.0.0.1:4711");
  ASSERT_TRUE(lease.address().tls.has_value());
  EXPECT_EQ(lease.address().tls->fingerprint, hello().tls_fingerprint);
  EXPECT_EQ(lease.token(), driver_.starts[0].lease_token);
}

TEST_F(RemoteTest, NobodyIsLetInWithoutTheLeaseTheEpochAndACertificate) {
  auto caller = call_and_start(1);
  control::Hello wrong = hello();
  wrong.lease = std::string(wrong.lease.size(), '0');
  EXPECT_EQ(answer_to(wrong), "closed") << "wrong token";
  wrong = hello();
  wrong.epoch += 1;
  EXPECT_EQ(answer_to(wrong), "closed") << "wrong epoch";
  wrong = hello();
  wrong.tls_fingerprint.clear();
  EXPECT_EQ(answer_to(wrong), "closed") << "no certificate: requests would go in the clear";
  wrong = hello();
  wrong.tls_fingerprint = "sha256:12";
  EXPECT_EQ(answer_to(wrong), "closed") << "no fingerprint";
  wrong = hello();
  wrong.address = "unix:/run/admin.sock";
  EXPECT_EQ(answer_to(wrong), "closed") << "our own sockets are not a remote worker's";
  wrong = hello();
  wrong.build = std::string(70'000, 'x');
  EXPECT_EQ(answer_to(wrong), "closed") << "too long";
  const Socket worker = join();
  EXPECT_EQ(answer_to(hello()), "closed") << "it is connected already";
  say_ready(worker);
  EXPECT_TRUE(answered(*caller) && caller->result->has_value()) << "the right one is served all the same";
}

TEST_F(RemoteTest, ASilentCallerIsCut) {
  const Socket silent = run_task(io_, dial(io_, door_, std::nullopt)).value();
  ASSERT_NE(silent, nullptr);
  EXPECT_EQ(run_task(io_, listen(silent)).value(), "closed") << "within 10 s, although it answers pings";
}

TEST_F(RemoteTest, AWorkerThatServesAnotherModelIsEndedAndPsSaysWhy) {
  auto caller = call_and_start(1);
  const Socket worker = join();
  say_ready(worker, "something-else");
  ASSERT_TRUE(run_until(io_, [&] { return driver_.stops.size() == 1; }));
  EXPECT_EQ(driver_.stops[0].second, StopMode::kKill);
  driver_.events().on_exited(driver_.starts[0].instance_id, {});
  ASSERT_TRUE(answered(*caller));
  EXPECT_EQ(caller->result->error().reason, RefusalReason::kLoadFailed);
  EXPECT_NE(status().failure.find("model_mismatch"), std::string::npos) << status().failure;
}

TEST_F(RemoteTest, ALostLinkHoldsNewRequestsAndKeepsRunningOnesUntilItIsBack) {
  auto first = call_and_start(1);
  Socket worker = join();
  say_ready(worker);
  ASSERT_TRUE(answered(*first) && first->result->has_value());
  worker->close();
  worker.reset();
  settle();
  auto second = call();
  clock_.advance(std::chrono::seconds(4));
  supervisor_->tick();
  settle();
  EXPECT_FALSE(second->result.has_value()) << "no new lease while nobody hears it";
  EXPECT_TRUE(driver_.stops.empty());
  worker = join();
  say_ready(worker);  // a worker says it again
  ASSERT_TRUE(answered(*second) && second->result->has_value());
  EXPECT_EQ((*second->result)->epoch(), 1U);
  EXPECT_EQ((*second->result)->instance_id(), (*first->result)->instance_id());
  EXPECT_EQ(status().running, 2) << "the first one ran on";
  clock_.advance(std::chrono::seconds(9));  // far past the lost link's lease: it is forgotten
  supervisor_->tick();
  EXPECT_TRUE(driver_.stops.empty());
}

TEST_F(RemoteTest, PastItsLeaseItIsEndedFencedAndReplacedOnlyOnceItIsGone) {
  auto first = call_and_start(1);
  Socket worker = join();
  say_ready(worker);
  ASSERT_TRUE(answered(*first) && first->result->has_value());
  const control::Hello old = hello();
  worker->close();
  worker.reset();
  settle();
  auto second = call();
  clock_.advance(std::chrono::seconds(5));
  supervisor_->tick();
  ASSERT_EQ(driver_.stops.size(), 1U);
  EXPECT_EQ(driver_.stops[0].second, StopMode::kKill);
  EXPECT_EQ(answer_to(old), "closed") << "its lease is over";
  settle();
  EXPECT_EQ(driver_.starts.size(), 1U) << "nothing runs twice";
  driver_.events().on_exited(driver_.starts[0].instance_id, {});
  clock_.advance(std::chrono::seconds(2));  // the backoff
  supervisor_->tick();
  ASSERT_TRUE(run_until(io_, [&] { return driver_.starts.size() == 2; }));
  driver_.events().on_started(driver_.starts[1].instance_id);
  EXPECT_EQ(answer_to(old), "closed") << "the epoch fences";
  worker = join();
  say_ready(worker);
  ASSERT_TRUE(answered(*second) && second->result->has_value());
  EXPECT_EQ((*second->result)->epoch(), 2U);
  const std::vector<ledger::Span> found = spans();
  ASSERT_EQ(found.size(), 2U);
  const auto reason = [&](std::uint64_t epoch) { return found[found[0].epoch == epoch ? 0 : 1].reason; };
  EXPECT_EQ(reason(1), "lease_expired");
  EXPECT_EQ(reason(2), "");
}

TEST_F(RemoteTest, AWorkerThatNeverFinishesLoadingOutOfReachIsLostToo) {
  auto caller = call_and_start(1);
  Socket worker = join();
  worker->close();
  worker.reset();
  settle();
  clock_.advance(std::chrono::seconds(5));
  supervisor_->tick();
  ASSERT_EQ(driver_.stops.size(), 1U);
  driver_.events().on_exited(driver_.starts[0].instance_id, {});
  ASSERT_TRUE(answered(*caller));
  EXPECT_EQ(caller->result->error().reason, RefusalReason::kLoadFailed);
}

TEST_F(RemoteTest, AfterARestartItIsLetInByItsLeaseAloneAndNothingElseIsStarted) {
  auto first = call_and_start(1);
  Socket worker = join();
  say_ready(worker);
  ASSERT_TRUE(answered(*first) && first->result->has_value());
  first.reset();
  restart(std::chrono::seconds(3));
  EXPECT_EQ(driver_.resumed, std::vector<std::string>{driver_.starts[0].instance_id}) << "before any reconciling";
  EXPECT_EQ(answer_to(hello()), "closed") << "its deployment is not known yet";
  put("m");
  EXPECT_EQ(state_of_instance(), "ready, out of reach");
  control::Hello wrong = hello();
  wrong.lease = std::string(wrong.lease.size(), '0');
  EXPECT_EQ(answer_to(wrong), "closed") << "the ledger has no token, but its hash";
  auto second = call();
  settle();
  EXPECT_FALSE(second->result.has_value());
  worker = join();
  say_ready(worker);
  ASSERT_TRUE(answered(*second) && second->result->has_value());
  EXPECT_EQ((*second->result)->token(), driver_.starts[0].lease_token);
  EXPECT_EQ((*second->result)->epoch(), 1U);
  EXPECT_EQ(state_of_instance(), "ready");
  EXPECT_EQ(driver_.starts.size(), 1U);
  EXPECT_TRUE(driver_.stops.empty());
  EXPECT_EQ(spans().size(), 1U);
}

TEST_F(RemoteTest, AfterARestartThatTookTooLongOrWithoutItsDeploymentItIsEnded) {
  for (const bool is_late : {true, false}) {
    SCOPED_TRACE(is_late);
    auto first = call_and_start(driver_.starts.size() + 1);
    Socket worker = join();
    say_ready(worker);
    ASSERT_TRUE(answered(*first) && first->result->has_value());
    first.reset();
    worker.reset();
    driver_.stops.clear();
    // 10 s of its absence are the ledger's period, 5 s the lease.
    restart(is_late ? std::chrono::seconds(16) : std::chrono::seconds(1));
    if (!is_late) supervisor_->end_survivors();
    put("m");
    ASSERT_EQ(driver_.stops.size(), 1U);
    EXPECT_EQ(driver_.stops[0].first, driver_.starts.back().instance_id);
    EXPECT_EQ(answer_to(hello()), "closed");
    EXPECT_EQ(spans().at(0).reason, is_late ? "lease_expired" : "deployment_gone");
    EXPECT_FALSE(spans().at(0).confirmed_us.has_value()) << "not before its driver says so";
    driver_.events().on_exited(driver_.starts.back().instance_id, {});
    EXPECT_TRUE(spans().at(0).confirmed_us.has_value());
  }
}

}  // namespace
}  // namespace dormouse::fleet
