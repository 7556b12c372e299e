// Goal: several instances of a deployment and several deployments on one machine: where requests go, what grows and
// shrinks, who makes room, who is kept awake by a window. Method: as supervisor_test.cc.
#include "fleet/supervisor_fixture.h"

namespace dormouse::fleet {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

constexpr std::int64_t kGigabyte = 1'000'000'000;

class ScaleTest : public SupervisorTest {
 protected:
  DeploymentSpec spec_of(const std::string& name, std::int64_t memory_bytes = 0) {
    DeploymentSpec spec;
    spec.name = name;
    spec.model_path = name + ".gguf";
    spec.memory_bytes = memory_bytes;
    return spec;
  }
  // A supervisor with this budget and these deployments instead of the fixture's.
  void share_memory(std::int64_t budget, const std::vector<DeploymentSpec>& specs) {
    supervisor_.reset();
    make_supervisor(clock_, "process", driver_, budget);
    for (const DeploymentSpec& spec : specs) {
      put_in_ledger(spec.name);
      ASSERT_TRUE(supervisor_->put(spec).has_value());
    }
  }
  bool answered(const std::unique_ptr<Caller>& caller) {
    return run_until(io_, [&] { return caller->result.has_value(); });
  }
  void exits(std::size_t start) { driver_.events().on_exited(driver_.starts.at(start).instance_id, {0, 0}); }
};

TEST_F(ScaleTest, LoadStartsASecondInstanceOnceAndRequestsAreSharedOut) {
  DeploymentSpec spec = spec_of("m");
  spec.max_instances = 3;
  ASSERT_TRUE(supervisor_->put(spec).has_value());
  std::vector<std::unique_ptr<Caller>> callers;
  for (int i = 0; i < 8; ++i) callers.push_back(call());
  ASSERT_TRUE(started(1));
  const Socket first = bring_up(4);
  ASSERT_TRUE(run_until(io_, [&] { return status().running == 4; }));
  EXPECT_EQ(status().waiting, 4) << "four have a place; the others wait here, where another instance can take them";
  for (int second = 0; second < 8; ++second) {
    clock_.advance(seconds(1));
    supervisor_->tick();
  }
  ASSERT_TRUE(started(2));
  const Socket second = bring_up(4);
  ASSERT_TRUE(run_until(io_, [&] { return status().running == 8; }));
  EXPECT_EQ(status().instances.size(), 2U);
  EXPECT_EQ(status().instances[0].running, 4);
  EXPECT_EQ(status().instances[1].running, 4);
  EXPECT_EQ(status().instances[1].because, "load");
  for (int n = 0; n < 60; ++n) {
    EXPECT_TRUE(run_task(io_, say(first, control::Stats{.steps = static_cast<std::uint64_t>(n) + 1, .running = 4})));
    EXPECT_TRUE(run_task(io_, say(second, control::Stats{.steps = static_cast<std::uint64_t>(n) + 1, .running = 4})));
    clock_.advance(seconds(1));
    supervisor_->tick();
  }
  EXPECT_EQ(driver_.starts.size(), 2U) << "the next one not before five minutes are over";
}

TEST_F(ScaleTest, TheLeastRecentlyUsedIdleDeploymentMakesRoom) {
  share_memory(10 * kGigabyte, {spec_of("a", 4 * kGigabyte), spec_of("b", 4 * kGigabyte), spec_of("c", 4 * kGigabyte)});
  std::vector<Socket> workers;
  for (const char* name : {"a", "b"}) {
    const auto caller = call(name);
    ASSERT_TRUE(started(workers.size() + 1));
    workers.push_back(bring_up());
    ASSERT_TRUE(answered(caller));
    clock_.advance(seconds(5));
  }
  const auto wants = call("c");
  ASSERT_TRUE(run_until(io_, [&] { return status_of("a").state == "stopping"; })) << "used longest ago";
  EXPECT_EQ(status_of("b").state, "ready");
  EXPECT_EQ(driver_.starts.size(), 2U) << "not before the memory is back";
  EXPECT_EQ(status_of("c").state, "starting");
  exits(0);
  ASSERT_TRUE(started(3));
  EXPECT_EQ(driver_.starts[2].deployment, "c");
  workers.push_back(bring_up());
  ASSERT_TRUE(answered(wants));
  EXPECT_TRUE(wants->result->has_value());
}

TEST_F(ScaleTest, AServingDeploymentIsNeverPutToSleepForAnother) {
  share_memory(6 * kGigabyte, {spec_of("a", 4 * kGigabyte), spec_of("b", 4 * kGigabyte)});
  auto serves = call("a");
  ASSERT_TRUE(started(1));
  const Socket worker = bring_up();
  ASSERT_TRUE(answered(serves));
  const auto wants = call("b");
  const auto waits = [this] { return status_of("b").failure.find("waits for memory") != std::string::npos; };
  ASSERT_TRUE(run_until(io_, waits));
  EXPECT_EQ(status_of("b").state, "starting");
  EXPECT_EQ(status_of("a").state, "ready");
  serves.reset();  // its request is over: now it is idle
  ASSERT_TRUE(run_until(io_, [&] { return status_of("a").state == "stopping"; }));
  exits(0);
  ASSERT_TRUE(started(2));
  EXPECT_EQ(driver_.starts[1].deployment, "b");
}

TEST_F(ScaleTest, AModelThatNeverFitsSaysSoAtOnce) {
  share_memory(3 * kGigabyte, {spec_of("a", 4 * kGigabyte)});
  const auto wants = call("a");
  ASSERT_TRUE(answered(wants));
  EXPECT_EQ(wants->result->error().reason, RefusalReason::kLoadFailed);
  EXPECT_NE(wants->result->error().detail.find("needs 4.0 GB"), std::string::npos) << wants->result->error().detail;
  EXPECT_TRUE(driver_.starts.empty());
}

TEST_F(ScaleTest, TheSleepVerbEndsAStartThatWaitsForMemory) {
  share_memory(6 * kGigabyte, {spec_of("a", 4 * kGigabyte), spec_of("b", 4 * kGigabyte)});
  const auto serves = call("a");
  ASSERT_TRUE(started(1));
  const Socket worker = bring_up();
  ASSERT_TRUE(answered(serves));
  bool woken = false;
  asio::co_spawn(io_, supervisor_->wake("b", seconds(600)), [&](std::exception_ptr, const Status&) { woken = true; });
  ASSERT_TRUE(run_until(io_, [&] { return status_of("b").state == "starting"; }));
  EXPECT_TRUE(run_task(io_, supervisor_->sleep("b", seconds(30))).value().has_value());
  EXPECT_EQ(status_of("b").state, "asleep");
  EXPECT_TRUE(run_until(io_, [&] { return woken; }));
  EXPECT_EQ(driver_.starts.size(), 1U);
}

TEST_F(ScaleTest, AWakeIsToldInItsStages) {
  const auto caller = call();
  ASSERT_TRUE(started(1));
  const StartSpec spec = driver_.starts[0];
  clock_.advance(seconds(20));
  driver_.events().on_started(spec.instance_id);
  driver_.events().on_start_progress(spec.instance_id, "PENDING: Resources");
  EXPECT_EQ(status().instances.at(0).note, "PENDING: Resources");
  clock_.advance(seconds(8));
  const Socket socket = run_task(io_, dial(io_, control_, hello_of(spec))).value();
  ASSERT_TRUE(run_until(io_, [&] { return status().instances.at(0).pid == 42; }));
  clock_.advance(seconds(3));
  control::Ready ready;
  ready.model = "m";
  EXPECT_TRUE(run_task(io_, say(socket, ready)).value_or(false));
  ASSERT_TRUE(answered(caller));
  const WakeStages wake = status().instances.at(0).wake;
  EXPECT_EQ(wake.provider, seconds(20));
  EXPECT_EQ(wake.boot, seconds(8));
  EXPECT_EQ(wake.load, seconds(3));
}

TEST_F(ScaleTest, AWindowKeepsAwakeAndItsEndLetsGo) {
  DeploymentSpec spec = spec_of("m");
  const std::int64_t minute = clock_.wall().us / 60'000'000 % 1440;  // of the day, UTC
  const auto text = [](std::int64_t m) {
    const std::int64_t of_day = m % 1440;
    std::string out = std::to_string(100 + of_day / 60).substr(1) + ":" + std::to_string(100 + of_day % 60).substr(1);
    return out;
  };
  spec.awake_windows = {policy::parse_window(text(minute + 10) + "-" + text(minute + 40) + " UTC").value()};
  ASSERT_TRUE(supervisor_->put(spec).has_value());
  EXPECT_EQ(status().state, "asleep");
  clock_.advance(minutes(10));
  supervisor_->tick();
  ASSERT_TRUE(started(1)) << "nobody asked";
  const Socket worker = bring_up();
  EXPECT_EQ(status().awake_because, "window");
  clock_.advance(minutes(29));
  supervisor_->tick();
  EXPECT_EQ(status().state, "ready") << "longer than its idle timeout";
  spec.max_waiters = 7;
  ASSERT_TRUE(supervisor_->put(spec).has_value());
  EXPECT_EQ(status().state, "ready") << "nor does a change of something else put it to sleep inside its window";
  clock_.advance(minutes(2));
  supervisor_->tick();
  EXPECT_EQ(status().state, "stopping");
}

}  // namespace
}  // namespace dormouse::fleet
