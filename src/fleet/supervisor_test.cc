// Goal: the supervisor carries out what the policy decides, in the right order, and answers every caller once.
// Method: a driver in this process whose "workers" dial the real control channel; a clock moved by hand, ticks by hand.
#include "fleet/supervisor.h"

#include <gtest/gtest.h>

#include "fleet/lease_token.h"
#include "fleet/supervisor_fixture.h"

namespace dormouse::fleet {
namespace {

TEST_F(SupervisorTest, ManyCallersOneStartAndEachGetsItsLease) {
  std::vector<std::unique_ptr<Caller>> callers;
  for (int i = 0; i < 20; ++i) callers.push_back(call());
  ASSERT_TRUE(started(1));
  clock_.advance(std::chrono::milliseconds(80));
  const Socket worker = bring_up();
  ASSERT_TRUE(run_until(io_, [&] { return callers.back()->result.has_value(); }));
  EXPECT_EQ(driver_.starts.size(), 1U);
  EXPECT_EQ(status().running, 20);
  for (const auto& caller : callers) {
    ASSERT_TRUE(caller->result.has_value() && caller->result->has_value());
    const Lease& lease = **caller->result;
    EXPECT_EQ(lease.address().path, "/tmp/data.sock");
    EXPECT_EQ(lease.instance_id(), driver_.starts[0].instance_id);
    EXPECT_TRUE(lease.woke());
    EXPECT_EQ(lease.waited(), std::chrono::milliseconds(80));
  }
  callers.clear();
  EXPECT_EQ(status().running, 0) << "a lease gives itself back";
  EXPECT_EQ(status().instances.at(0).isa, "fake");
  EXPECT_EQ(status().instances.at(0).pid, 42);
}

TEST_F(SupervisorTest, TheIntentIsDurableBeforeTheDriverIsAsked) {
  std::uint64_t seen_epoch = 0;
  driver_.on_start = [&](const StartSpec&) {
    std::promise<std::uint64_t> epoch;
    ledger_->list_deployments(
        [&](Result<std::vector<ledger::Deployment>> found) { epoch.set_value(found.value().at(0).last_epoch); });
    seen_epoch = epoch.get_future().get();
  };
  const auto caller = call();
  ASSERT_TRUE(started(1));
  EXPECT_EQ(seen_epoch, driver_.starts[0].epoch);
  EXPECT_EQ(seen_epoch, 1U);
}

TEST_F(SupervisorTest, IdleDrainsOverTheChannelAndTheSpanIsInTheLedger) {
  auto caller = call();
  ASSERT_TRUE(started(1));
  clock_.advance(std::chrono::seconds(2));
  const Socket worker = bring_up();
  ASSERT_TRUE(run_until(io_, [&] { return caller->result.has_value(); }));
  clock_.advance(std::chrono::seconds(3));
  caller.reset();
  clock_.advance(std::chrono::minutes(10));
  EXPECT_EQ(status().idle_left, Nanoseconds{0});
  supervisor_->tick();
  EXPECT_EQ(status().state, "stopping");
  ASSERT_EQ(driver_.stops.size(), 1U);
  EXPECT_EQ(driver_.stops[0].second, StopMode::kGraceful);
  EXPECT_NE(run_task(io_, listen(worker)).value_or("").find("drain"), std::string::npos);
  driver_.events().on_exited(driver_.starts[0].instance_id, {0, 0});
  EXPECT_EQ(status().state, "asleep");
  EXPECT_TRUE(status().instances.empty());
  const std::vector<ledger::Span> found = spans();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].cause, "request");
  EXPECT_EQ(found[0].reason, "idle_timeout");
  EXPECT_EQ(found[0].waking_us, 2'000'000);
  EXPECT_EQ(found[0].busy_us, 3'000'000);
  EXPECT_EQ(found[0].alive_us, 605'000'000);
  EXPECT_TRUE(found[0].confirmed_us.has_value());
}

TEST_F(SupervisorTest, ACallerThatLeavesDoesNotAbortTheLoad) {
  const auto leaver = call();
  const auto stayer = call();
  ASSERT_TRUE(started(1));
  leaver->cancellation.cancel();
  ASSERT_TRUE(run_until(io_, [&] { return leaver->result.has_value(); }));
  ASSERT_FALSE(leaver->result->has_value());
  EXPECT_EQ(leaver->result->error().reason, RefusalReason::kCancelled);
  EXPECT_EQ(status().waiting, 1);
  const Socket worker = bring_up();
  ASSERT_TRUE(run_until(io_, [&] { return stayer->result.has_value(); }));
  EXPECT_TRUE(stayer->result->has_value());
}

TEST_F(SupervisorTest, AWrongLeaseOrEpochOrASecondHelloIsRefused) {
  const auto caller = call();
  ASSERT_TRUE(started(1));
  const StartSpec spec = driver_.starts[0];
  control::Hello wrong_lease = hello_of(spec);
  wrong_lease.lease.back() = wrong_lease.lease.back() == '0' ? '1' : '0';
  control::Hello wrong_epoch = hello_of(spec);
  wrong_epoch.epoch += 1;
  control::Hello wrong_address = hello_of(spec);
  wrong_address.address = "nonsense";
  for (const control::Hello& hello : {wrong_lease, wrong_epoch, wrong_address}) {
    const Socket socket = run_task(io_, dial(io_, control_, hello)).value();
    ASSERT_NE(socket, nullptr);
    EXPECT_EQ(run_task(io_, listen(socket)).value_or(""), "closed");
  }
  EXPECT_FALSE(caller->result.has_value()) << "nobody is ready yet";
  const Socket worker = bring_up();
  const Socket second = run_task(io_, dial(io_, control_, hello_of(spec))).value();
  EXPECT_EQ(run_task(io_, listen(second)).value_or(""), "closed");
  EXPECT_EQ(status().state, "ready");
}

TEST_F(SupervisorTest, AFirstMessageThatIsNotHelloIsRefused) {
  const auto caller = call();
  ASSERT_TRUE(started(1));
  Result<std::unique_ptr<http::WebSocket>> socket = std::move(
      run_task(io_, http::connect_websocket(io_, control_, "/internal/worker", {}, std::chrono::seconds(5))).value());
  ASSERT_TRUE(socket.has_value());
  const Socket shared = std::move(*socket);
  EXPECT_TRUE(run_task(io_, say(shared, control::Ready{})).value_or(false));
  EXPECT_EQ(run_task(io_, listen(shared)).value_or(""), "closed");
  EXPECT_EQ(status().state, "starting");
}

TEST_F(SupervisorTest, AFailedStartRefusesAtOnceWithAdviceAndGivesUpAfterFive) {
  for (std::size_t i = 1; i <= 5; ++i) {
    const auto caller = call();
    ASSERT_TRUE(started(i));
    driver_.events().on_start_failed(driver_.starts.back().instance_id, make_error(Code::kNotFound, "no such program"));
    ASSERT_TRUE(run_until(io_, [&] { return caller->result.has_value(); }));
    EXPECT_EQ(caller->result->error().reason, RefusalReason::kLoadFailed);
    EXPECT_EQ(caller->result->error().detail, "no such program");
    EXPECT_EQ(status().state, i < 5 ? "backoff" : "failed");
    clock_.advance(std::chrono::minutes(1));
    supervisor_->tick();
  }
  EXPECT_EQ(acquire().error().reason, RefusalReason::kLoadFailed);
  EXPECT_EQ(driver_.starts.size(), 5U);
  bool woken = false;
  asio::co_spawn(io_, supervisor_->wake("m", std::chrono::seconds(30)),
                 [&](std::exception_ptr, const Status& status) { woken = status.has_value(); });
  ASSERT_TRUE(started(6)) << "an operator clears it";
  const Socket worker = bring_up();
  EXPECT_TRUE(run_until(io_, [&] { return woken; }));
}

TEST_F(SupervisorTest, TheCallerOfAKilledWorkerLearnsWhyAndItsRetryIsServedByTheNext) {
  auto caller = call();
  ASSERT_TRUE(started(1));
  Socket worker = bring_up();
  ASSERT_TRUE(run_until(io_, [&] { return caller->result.has_value(); }));
  control::Failed failed;
  failed.code = "golden_mismatch";
  EXPECT_TRUE(run_task(io_, say(worker, failed)).value_or(false));
  Lease& lease = **caller->result;
  EXPECT_EQ(run_task(io_, lease.why_lost(std::chrono::seconds(5))).value(), LossReason::kGoldenMismatch);
  lease.release(LeaseOutcome::kWorkerFailed);
  ASSERT_EQ(driver_.stops.size(), 1U);
  EXPECT_EQ(driver_.stops[0].second, StopMode::kKill);
  const auto retry = call();
  driver_.events().on_exited(driver_.starts[0].instance_id, {-1, 9});
  run_until(io_, [&] { return status().state == "backoff"; });
  EXPECT_FALSE(retry->result.has_value());
  clock_.advance(std::chrono::seconds(1));
  supervisor_->tick();
  ASSERT_TRUE(started(2));
  EXPECT_GT(driver_.starts[1].epoch, driver_.starts[0].epoch);
  worker = bring_up();
  ASSERT_TRUE(run_until(io_, [&] { return retry->result.has_value(); }));
  EXPECT_TRUE(retry->result->has_value());
}

TEST_F(SupervisorTest, AChannelThatBreaksIsACrash) {
  const auto caller = call();
  ASSERT_TRUE(started(1));
  Socket worker = bring_up();
  worker->close();
  EXPECT_TRUE(run_until(io_, [&] { return !driver_.stops.empty(); }));
  EXPECT_EQ(driver_.stops[0].second, StopMode::kKill);
  driver_.events().on_exited(driver_.starts[0].instance_id, {-1, 9});
  EXPECT_EQ(status().state, "backoff");
  EXPECT_EQ(spans().at(0).reason, "crashed");
}

TEST_F(SupervisorTest, SleepReturnsWhenItsMemoryIsBack) {
  const auto caller = call();
  ASSERT_TRUE(started(1));
  const Socket worker = bring_up();
  std::optional<bool> slept;
  asio::co_spawn(io_, supervisor_->sleep("m", std::chrono::seconds(30)),
                 [&](std::exception_ptr, const Status& status) { slept = status.has_value(); });
  EXPECT_TRUE(run_until(io_, [&] { return status().state == "draining"; }));
  const auto late = call();
  EXPECT_TRUE(run_until(io_, [&] { return status().waiting == 1; }));
  (**caller->result).release(LeaseOutcome::kCompleted);
  EXPECT_EQ(status().state, "stopping");
  EXPECT_FALSE(slept.has_value());
  driver_.events().on_exited(driver_.starts[0].instance_id, {0, 0});
  EXPECT_TRUE(run_until(io_, [&] { return slept.has_value(); }));
  EXPECT_TRUE(slept.value_or(false));
  ASSERT_TRUE(started(2)) << "the late caller waited for the exit and woke the next";
}

TEST_F(SupervisorTest, AnUnloadWaitsForTheLastLease) {
  auto caller = call();
  ASSERT_TRUE(started(1));
  const Socket worker = bring_up();
  ASSERT_TRUE(run_until(io_, [&] { return caller->result.has_value(); }));
  EXPECT_TRUE(supervisor_->unload("m").has_value());
  EXPECT_EQ(status().state, "ready") << "a request runs";
  caller.reset();
  EXPECT_TRUE(run_until(io_, [&] { return status().state == "stopping"; }));
  driver_.events().on_exited(driver_.starts[0].instance_id, {0, 0});
  EXPECT_EQ(supervisor_->unload("nobody").error().code, Code::kNotFound);
}

TEST_F(SupervisorTest, RemoveDrainsAndForgets) {
  auto caller = call();
  ASSERT_TRUE(started(1));
  const Socket worker = bring_up();
  ASSERT_TRUE(run_until(io_, [&] { return caller->result.has_value(); }));
  EXPECT_TRUE(supervisor_->remove("m").has_value());
  EXPECT_FALSE(supervisor_->has("m"));
  EXPECT_EQ(acquire().error().reason, RefusalReason::kUnknownDeployment);
  caller.reset();
  ASSERT_EQ(driver_.stops.size(), 1U);
  driver_.events().on_exited(driver_.starts[0].instance_id, {0, 0});
  DeploymentSpec again;
  again.name = "m";
  EXPECT_TRUE(supervisor_->put(again).has_value());
  EXPECT_EQ(supervisor_->remove("nobody").error().code, Code::kNotFound);
  DeploymentSpec odd;
  odd.name = "x";
  odd.driver = "teleport";
  EXPECT_EQ(supervisor_->put(odd).error().code, Code::kInvalidArgument);
}

TEST_F(SupervisorTest, ShutdownRefusesWaitsForRunningRequestsAndEnds) {
  auto caller = call();
  ASSERT_TRUE(started(1));
  const Socket worker = bring_up();
  ASSERT_TRUE(run_until(io_, [&] { return caller->result.has_value(); }));
  bool over = false;
  asio::co_spawn(io_, supervisor_->shutdown(std::chrono::seconds(30)), [&](std::exception_ptr) { over = true; });
  EXPECT_TRUE(run_until(io_, [&] { return status().state == "draining"; }));
  EXPECT_EQ(acquire().error().reason, RefusalReason::kDraining);
  EXPECT_FALSE(over);
  caller.reset();
  driver_.events().on_exited(driver_.starts[0].instance_id, {0, 0});
  EXPECT_TRUE(run_until(io_, [&] { return over; }));
}

TEST_F(SupervisorTest, ALeaseMayOutliveTheSupervisor) {
  auto caller = call();
  ASSERT_TRUE(started(1));
  const Socket worker = bring_up();
  ASSERT_TRUE(run_until(io_, [&] { return caller->result.has_value(); }));
  supervisor_.reset();
  caller.reset();
}

TEST(LeaseToken, HashAndComparison) {
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_TRUE(equal_in_constant_time("token", "token"));
  EXPECT_FALSE(equal_in_constant_time("token", "tokem"));
  EXPECT_FALSE(equal_in_constant_time("token", "toke"));
}

}  // namespace
}  // namespace dormouse::fleet
