// Goal: with real processes nothing is left behind, nothing starts twice, and every way to die is noticed in time.
// Method: the real process driver and fake_worker (tests/fake_worker), which dies, hangs and disobeys on demand.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <sstream>

#include "base/subprocess.h"
#include "base/unique_fd.h"
#include "fleet/fleet_fixture.h"
#include "fleet/lease_file.h"
#include "fleet/output_log.h"
#include "fleet/drivers/process_driver.h"

namespace dormouse::fleet {
namespace {

bool is_alive(std::int64_t pid) { return pid > 0 && ::kill(static_cast<pid_t>(pid), 0) == 0; }

std::string read_file(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream out;
  out << file.rdbuf();
  return out.str();
}

class ProcessTest : public FleetFixture {
 protected:
  void SetUp() override {
    FleetFixture::SetUp();
    make_driver(std::chrono::seconds(10));
  }
  void TearDown() override {
    supervisor_.reset();
    driver_.reset();
    FleetFixture::TearDown();
  }

  [[nodiscard]] std::string run_directory() const { return directory_ + "/run"; }
  void make_driver(std::chrono::milliseconds grace) {
    supervisor_.reset();
    driver_.reset();
    ProcessDriverOptions options;
    options.io = &io_;
    options.worker_path = FAKE_WORKER;
    options.run_directory = run_directory();
    options.log_directory = directory_ + "/logs";
    options.control_address = control_.to_string();
    options.grace = grace;
    options.log_bytes = 1U << 20;
    options.vmstat_path = directory_ + "/vmstat";
    auto created = ProcessDriver::create(options);
    ASSERT_TRUE(created.has_value()) << created.error().message;
    driver_ = std::move(*created);
    make_supervisor(clock_, "process", *driver_);
  }
  // What the fake worker does is written in its model file.
  std::string model(const std::string& behaviour) const {
    const std::string path = directory_ + "/model";
    std::ofstream(path) << "fake:" << behaviour;
    return path;
  }
  void deploy(const std::string& behaviour, const std::function<void(DeploymentSpec&)>& change = {}) {
    DeploymentSpec spec;
    spec.name = "m";
    spec.model_path = model(behaviour);
    if (change) change(spec);
    ASSERT_TRUE(supervisor_->put(spec).has_value());
  }
  bool sleep() { return run_task(io_, supervisor_->sleep("m", std::chrono::seconds(20))).value().has_value(); }
  std::int64_t pid() { return status().instances.at(0).pid; }
  bool reaches(const std::string& state, std::chrono::milliseconds limit = std::chrono::seconds(20)) {
    return run_until(io_, [&] { return status().state == state; }, limit);
  }
  // Nothing of ours is left: no process, no socket, no lease file.
  void expect_clean() {
    EXPECT_TRUE(driver_->list().empty());
    for (const auto& entry : std::filesystem::directory_iterator(run_directory())) {
      ADD_FAILURE() << "left behind: " << entry.path();
    }
    errno = 0;
    EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "a zombie or a child is left";
  }

  SystemClock clock_;
  std::unique_ptr<ProcessDriver> driver_;
};

TEST_F(ProcessTest, TwoHundredTimesAwakeAndAsleepLeaveNothingBehind) {
  deploy("tokens=4");
  Nanoseconds slowest{0};
  for (int i = 0; i < 200; ++i) {
    AcquireResult lease = acquire();
    ASSERT_TRUE(lease.has_value()) << "cycle " << i << ": " << to_string(lease.error().reason);
    EXPECT_TRUE(lease->woke());
    EXPECT_EQ(lease->epoch(), static_cast<std::uint64_t>(i) + 1);
    slowest = std::max(slowest, lease->waited());
    lease->release(LeaseOutcome::kCompleted);
    ASSERT_TRUE(sleep()) << "cycle " << i;
  }
  expect_clean();
  const std::vector<ledger::Span> found = spans();
  ASSERT_EQ(found.size(), 200U);
  for (const ledger::Span& span : found) {
    EXPECT_TRUE(span.ready_us.has_value() && span.down_us.has_value() && span.confirmed_us.has_value());
    EXPECT_EQ(span.reason, "sleep_verb");
  }
  std::printf("slowest wake of 200: %.1f ms\n", static_cast<double>(slowest.count()) / 1e6);
}

TEST_F(ProcessTest, TheLeaseIsNotInTheArgumentsThatEverybodyMayRead) {
  deploy("");
  AcquireResult lease = acquire();
  ASSERT_TRUE(lease.has_value());
  std::string arguments = read_file("/proc/" + std::to_string(pid()) + "/cmdline");
  std::replace(arguments.begin(), arguments.end(), '\0', ' ');
  EXPECT_NE(arguments.find("--epoch 1"), std::string::npos) << arguments;
  EXPECT_EQ(arguments.find("--lease"), std::string::npos) << arguments;
  const std::string environment = read_file("/proc/" + std::to_string(pid()) + "/environ");
  const std::size_t at = environment.find("DORMOUSE_LEASE=");
  ASSERT_NE(at, std::string::npos) << "the fake worker leaves it there";
  const std::string token = environment.substr(at + 15, 64);
  EXPECT_EQ(arguments.find(token), std::string::npos);
  EXPECT_TRUE(lease->token().empty()) << "a Unix socket needs none";
}

TEST_F(ProcessTest, ManyWaitersOneProcess) {
  deploy("load_ms=200");
  std::vector<std::optional<AcquireResult>> results(30);
  for (auto& result : results) {
    AcquireRequest request;
    request.deployment = "m";
    asio::co_spawn(io_, keep(supervisor_->acquire(request), &result), asio::detached);
  }
  ASSERT_TRUE(run_until(io_, [&] { return results.back().has_value(); }));
  EXPECT_EQ(driver_->list().size(), 1U);
  for (const auto& result : results) {
    EXPECT_TRUE(result.has_value() && result->has_value() && (*result)->epoch() == 1);
  }
}

TEST_F(ProcessTest, SigkillUnderALeaseIsSeenWithin100MsAndTheRetryIsServed) {
  deploy("");
  Nanoseconds slowest{0};
  for (int i = 0; i < 20; ++i) {
    AcquireResult lease = acquire();
    ASSERT_TRUE(lease.has_value());
    const std::int64_t worker = pid();
    ASSERT_GT(worker, 0);
    const MonoTime killed_at = clock_.now();
    ::kill(static_cast<pid_t>(worker), SIGKILL);
    EXPECT_EQ(run_task(io_, lease->why_lost(std::chrono::seconds(5))).value(), LossReason::kCrashed);
    slowest = std::max(slowest, clock_.now() - killed_at);
    lease->release(LeaseOutcome::kWorkerFailed);
    AcquireResult retry = acquire();  // waits through the backoff of at most 1 s
    ASSERT_TRUE(retry.has_value()) << to_string(retry.error().reason);
    retry->release(LeaseOutcome::kCompleted);
  }
  // The bound is for an idle machine; tests share theirs with a compiler. The number is what counts.
  EXPECT_LT(slowest, std::chrono::seconds(1));
  std::printf("slowest detection of 20 kills: %.1f ms\n", static_cast<double>(slowest.count()) / 1e6);
}

// The kernel's counter, in a file of ours: whom it really kills is not for a test to arrange.
TEST_F(ProcessTest, AKillForMemoryIsNoOrdinaryCrash) {
  for (const bool for_memory : {false, true}) {
    std::ofstream(directory_ + "/vmstat") << "nr_free_pages 12\noom_kill 3\n";
    deploy("tokens=4");
    AcquireResult lease = acquire();
    ASSERT_TRUE(lease.has_value());
    if (for_memory) std::ofstream(directory_ + "/vmstat") << "nr_free_pages 12\noom_kill 4\n";
    ASSERT_EQ(::kill(static_cast<pid_t>(pid()), SIGKILL), 0);
    const std::optional<LossReason> why = run_task(io_, lease->why_lost(std::chrono::seconds(5))).value();
    EXPECT_EQ(why, for_memory ? LossReason::kOutOfMemory : LossReason::kCrashed);
    lease->release(LeaseOutcome::kWorkerFailed);
    EXPECT_EQ(spans().front().reason, for_memory ? "out_of_memory" : "crashed");
    ASSERT_TRUE(run_task(io_, supervisor_->wake("m", std::chrono::seconds(20))).value().has_value());
    ASSERT_TRUE(sleep());
  }
  expect_clean();
}

TEST_F(ProcessTest, AStoppedProcessWithWorkIsHungKilledAndReplaced) {
  deploy("", [](DeploymentSpec& spec) { spec.hang_after = std::chrono::seconds(1); });
  AcquireResult lease = acquire();
  ASSERT_TRUE(lease.has_value());
  const std::int64_t first = pid();
  ASSERT_GT(first, 0);
  ::kill(static_cast<pid_t>(first), SIGSTOP);
  EXPECT_EQ(run_task(io_, lease->why_lost(std::chrono::seconds(10))).value(), LossReason::kHung);
  lease->release(LeaseOutcome::kWorkerFailed);
  AcquireResult next = acquire();
  ASSERT_TRUE(next.has_value());
  EXPECT_FALSE(is_alive(first));
  EXPECT_NE(pid(), first);
}

TEST_F(ProcessTest, AWorkerThatIgnoresEverythingIsKilledAfterTheGrace) {
  make_driver(std::chrono::milliseconds(300));
  deploy("ignore_sigterm=1,ignore_drain=1");
  AcquireResult lease = acquire();
  ASSERT_TRUE(lease.has_value());
  lease->release(LeaseOutcome::kCompleted);
  EXPECT_TRUE(sleep());
  EXPECT_EQ(status().state, "asleep");
  expect_clean();
}

TEST_F(ProcessTest, IdleTimeSendsItToSleepByItself) {
  deploy("", [](DeploymentSpec& spec) { spec.idle_timeout = std::chrono::milliseconds(300); });
  AcquireResult lease = acquire();
  ASSERT_TRUE(lease.has_value());
  EXPECT_FALSE(reaches("asleep", std::chrono::milliseconds(600))) << "not under a lease";
  lease->release(LeaseOutcome::kCompleted);
  EXPECT_TRUE(reaches("asleep"));
  EXPECT_EQ(spans().at(0).reason, "idle_timeout");
  expect_clean();
}

TEST_F(ProcessTest, EveryWayToFailALoadIsATypedRefusal) {
  for (const char* behaviour : {"fail_load=1", "crash_load_ms=10", "garbage=1", "wrong_lease=1", "hang_load=1"}) {
    deploy(behaviour, [](DeploymentSpec& spec) { spec.load_deadline = std::chrono::milliseconds(700); });
    const AcquireResult refused = acquire();
    ASSERT_FALSE(refused.has_value()) << behaviour;
    EXPECT_TRUE(refused.error().reason == RefusalReason::kLoadFailed) << behaviour;
    EXPECT_GE(refused.error().retry_after, std::chrono::seconds(1)) << behaviour;
    EXPECT_FALSE(status().failure.empty()) << behaviour;
    supervisor_->model_changed("m");
  }
  expect_clean();
}

TEST_F(ProcessTest, AMissingModelOrWorkerDoesNotHang) {
  DeploymentSpec spec;
  spec.name = "m";
  spec.model_path = directory_ + "/absent";
  spec.worker_arguments = {"--listen", "nonsense"};
  ASSERT_TRUE(supervisor_->put(spec).has_value());
  EXPECT_EQ(acquire().error().reason, RefusalReason::kLoadFailed);
  EXPECT_NE(read_file(directory_ + "/logs/m.log"), "") << "its last words are in the log";
  ProcessDriverOptions options;
  options.worker_path = directory_ + "/no-such-worker";
  options.run_directory = run_directory();
  options.log_directory = directory_;
  EXPECT_EQ(ProcessDriver::create(options).error().code, Code::kNotFound);
  options.run_directory = directory_ + "/" + std::string(100, 'x');
  EXPECT_EQ(ProcessDriver::create(options).error().code, Code::kInvalidArgument);
}

TEST_F(ProcessTest, WhenTheGatewayIsKilledItsWorkerIsGoneWithinTwoSeconds) {
  for (int round = 0; round < 20; ++round) {
    const std::string directory = directory_ + "/g";
    std::filesystem::remove_all(directory);
    std::filesystem::create_directory(directory);
    const std::string output = directory + "/output";
    const UniqueFd fd(::open(output.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    SubprocessOptions options;
    // It does not leave by itself when the channel breaks: only the kernel ends it.
    options.argv = {GATEWAY_CHILD, directory, FAKE_WORKER, model("survive_eof=1,ignore_sigterm=1")};
    options.output_fd = fd.get();
    auto gateway = Subprocess::spawn(options);
    ASSERT_TRUE(gateway.has_value());
    ASSERT_TRUE(run_until(io_, [&] { return read_file(output).ends_with('\n'); }));
    const std::int64_t worker = std::stoll(read_file(output));
    ASSERT_TRUE(is_alive(worker));
    const UniqueFd watched(static_cast<int>(::syscall(SYS_pidfd_open, static_cast<pid_t>(worker), 0U)));
    ::kill(gateway->pid(), SIGKILL);  // the gateway alone, not its group
    pollfd poll_fd{watched.get(), POLLIN, 0};
    EXPECT_EQ(::poll(&poll_fd, 1, 2'000), 1) << "round " << round;
  }
}

TEST_F(ProcessTest, WhatAnEarlierGatewayLeftIsSweptButNeverAStranger) {
  SubprocessOptions options;
  options.argv = {"/bin/sleep", "1000"};
  auto left_over = Subprocess::spawn(options);
  auto stranger = Subprocess::spawn(options);
  ASSERT_TRUE(left_over.has_value() && stranger.has_value());
  ASSERT_TRUE(write_lease_file(run_directory() + "/w-1.lease", left_over->pid(), "i1").has_value());
  ASSERT_TRUE(write_lease_file(run_directory() + "/w-2.lease", stranger->pid(), "i2").has_value());
  // The stranger has the pid of an old worker, but was started at another time.
  std::string text = read_file(run_directory() + "/w-2.lease");
  text.insert(text.find(' ') + 1, "1");
  std::ofstream(run_directory() + "/w-2.lease") << text;
  std::ofstream(run_directory() + "/w-3.lease") << "nonsense";
  std::ofstream(run_directory() + "/admin.lease") << "not a worker's";
  const Result<int> swept = sweep_left_over_workers(run_directory());
  EXPECT_EQ(swept.value(), 1);
  pollfd ended{left_over->pidfd(), POLLIN, 0};
  EXPECT_EQ(::poll(&ended, 1, 2'000), 1);
  pollfd lives{stranger->pidfd(), POLLIN, 0};
  EXPECT_EQ(::poll(&lives, 1, 100), 0);
  EXPECT_FALSE(std::filesystem::exists(run_directory() + "/w-3.lease"));
  EXPECT_TRUE(std::filesystem::exists(run_directory() + "/admin.lease"));
}

TEST_F(ProcessTest, AnEndlessLineOfOutputNeitherStopsTheWorkerNorFillsTheDisk) {
  const std::string script = directory_ + "/chatty";
  std::ofstream(script) << "#!/bin/sh\nhead -c 5000000 /dev/zero | tr '\\0' x\nexit 0\n";
  ::chmod(script.c_str(), 0700);
  supervisor_.reset();
  driver_.reset();
  ProcessDriverOptions options;
  options.io = &io_;
  options.worker_path = script;
  options.run_directory = run_directory();
  options.log_directory = directory_ + "/logs";
  options.control_address = control_.to_string();
  options.environment = {"PATH=/usr/bin:/bin"};
  options.log_bytes = 1U << 20;
  driver_ = std::move(*ProcessDriver::create(options));
  make_supervisor(clock_, "process", *driver_);
  deploy("");
  EXPECT_EQ(acquire().error().reason, RefusalReason::kLoadFailed);
  const auto size = std::filesystem::file_size(directory_ + "/logs/m.log");
  EXPECT_GT(size, 0U);
  EXPECT_LE(size, 1U << 20);
  EXPECT_LE(std::filesystem::file_size(directory_ + "/logs/m.log.1"), 1U << 20);
}

TEST(Environment, OnlyWhatAWorkerNeedsIsPassedOn) {
  const char* const environment[] = {"PATH=/bin", "SECRET_KEY=x", "DORMOUSE_ISA=avx2", "LC_ALL=C", "AWS_TOKEN=y",
                                     "DORMOUSE_LEASE=z", nullptr};
  const std::vector<std::string> want = {"PATH=/bin", "DORMOUSE_ISA=avx2", "LC_ALL=C"};
  EXPECT_EQ(allowed_environment(environment), want);
}

TEST(OutputLog, ANameCannotLeaveTheDirectory) {
  const OutputLog log("/tmp", "../../etc/passwd", 100);
  EXPECT_EQ(log.path(), "/tmp/.._.._etc_passwd.log");
  ::unlink(log.path().c_str());
}

}  // namespace
}  // namespace dormouse::fleet
