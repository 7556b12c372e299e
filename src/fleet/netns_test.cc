// Goal: gateway and worker on two machines. The network between them is cut for less than the lease's time to live (the
// same worker goes on) and for longer (it ends itself, and only then another is started). Method: two network
// namespaces, this process in the one and the real worker in the other, joined by a veth pair whose link is switched
// off. What has to be waited for is an event: a link seen lost, a process seen gone. Skipped, saying so, without root.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <unistd.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <csignal>
#include <fstream>
#include <sstream>

#include "base/subprocess.h"
#include "fleet/fleet_fixture.h"
#include "http/client.h"
#include "http/tls.h"

namespace dormouse::fleet {
namespace {

constexpr const char* kIp = "/sbin/ip";
constexpr const char* kGatewayHost = "10.231.77.1";
constexpr std::chrono::seconds kTimeToLive{4};

int run_command(std::vector<std::string> argv) {
  SubprocessOptions options;
  options.argv = std::move(argv);
  options.environment = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
  Result<Subprocess> process = Subprocess::spawn(options);
  if (!process.has_value()) return -1;
  pollfd ended{process->pidfd(), POLLIN, 0};
  ::poll(&ended, 1, 20'000);
  const Result<ExitStatus> status = process->try_wait();
  return status.has_value() ? status->exit_code : -1;
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream out;
  out << file.rdbuf();
  return out.str();
}

// Starts workers in the other namespace. While `out_of_reach`, its stops are lost like everything else that is sent
// there; that a process has ended it still sees.
class NamespaceDriver final : public Driver {
 public:
  NamespaceDriver(asio::io_context& io, std::string network, std::string directory)
      : io_(io), network_(std::move(network)), directory_(std::move(directory)) {}

  void attach(DriverEvents& events) override { events_ = &events; }
  void start(StartSpec spec) override {
    SubprocessOptions options;
    options.argv = {kIp,
                    "netns",
                    "exec",
                    network_,
                    WORKER,
                    "serve",
                    "--model",
                    spec.model_path,
                    "--listen",
                    "0.0.0.0:0",
                    "--control",
                    control.to_string(),
                    "--control-fingerprint",
                    control_fingerprint,
                    "--epoch",
                    std::to_string(spec.epoch),
                    "--lease-ttl",
                    std::to_string(spec.lease_time_to_live.count()),
                    "--served-model-name",
                    spec.deployment,
                    "--packed-dir",
                    directory_ + "/packed",
                    "--golden-dir",
                    directory_ + "/golden"};
    options.environment = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DORMOUSE_LEASE=" + spec.lease_token};
    const std::string log = directory_ + "/worker-" + std::to_string(spec.epoch) + ".log";
    const UniqueFd output(::open(log.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    options.output_fd = output.get();
    tokens.push_back(spec.lease_token);
    Result<Subprocess> process = Subprocess::spawn(options);
    ASSERT_TRUE(process.has_value()) << process.error().message;
    process_.emplace(*std::move(process));
    watch_ = std::make_unique<asio::posix::stream_descriptor>(io_, ::fcntl(process_->pidfd(), F_DUPFD_CLOEXEC, 0));
    watch_->async_wait(asio::posix::stream_descriptor::wait_read,
                       [this, id = spec.instance_id](const boost::system::error_code& ec) {
                         if (!ec) exited(id);
                       });
    asio::post(io_, [this, id = spec.instance_id] { events_->on_started(id); });
  }
  void stop(const std::string&, StopMode mode) override {
    ++stops;
    if (!out_of_reach && process_.has_value()) process_->signal_group(mode == StopMode::kKill ? SIGKILL : SIGTERM);
  }
  [[nodiscard]] std::vector<std::string> list() const override { return {}; }
  [[nodiscard]] pid_t pid() const { return process_->pid(); }

  http::Address control;
  std::string control_fingerprint;
  bool out_of_reach = false;
  int stops = 0;
  std::vector<std::string> tokens;
  std::vector<ExitStatus> exits;

 private:
  void exited(const std::string& id) {
    const Result<ExitStatus> status = process_->try_wait();
    ASSERT_TRUE(status.has_value());
    exits.push_back(*status);
    process_.reset();
    events_->on_exited(id, {status->exit_code, status->signal});
  }

  asio::io_context& io_;
  const std::string network_;
  const std::string directory_;
  DriverEvents* events_ = nullptr;
  std::optional<Subprocess> process_;
  std::unique_ptr<asio::posix::stream_descriptor> watch_;
};

class NamespaceTest : public FleetFixture {
 protected:
  void SetUp() override {
    if (!make_networks()) GTEST_SKIP() << "needs root, iproute2 and network namespaces: " << missing_;
    FleetFixture::SetUp();
    identity_ = http::make_tls_identity({"localhost"}).value();
    http::Handler handler = [this](http::Exchange& e) { return supervisor_->serve_control(e, WorkerDoor::kRemote); };
    http::ErrorBody error_body = [](int, std::string_view) { return std::string("{}"); };
    http::ServerLimits limits;
    limits.websocket_silence = kTimeToLive / 2;
    door_ = std::make_unique<http::Server>(io_, limits, std::move(handler), std::move(error_body));
    driver_ = std::make_unique<NamespaceDriver>(io_, network_, directory_);
    driver_->control =
        door_->listen(http::Address::parse(std::string(kGatewayHost) + ":0").value(), "workers", &identity_).value();
    driver_->control_fingerprint = identity_.fingerprint;
    make_supervisor(clock_, "process", *driver_);
    DeploymentSpec spec;
    spec.name = "m";
    spec.model_path = DEMO_MODEL;
    spec.lease_time_to_live = kTimeToLive;
    ASSERT_TRUE(supervisor_->put(spec).has_value());
  }
  void TearDown() override {
    if (door_ != nullptr) {
      driver_->out_of_reach = false;
      run_task(io_, shut_down());
      supervisor_.reset();
      bool drained = false;
      asio::co_spawn(io_, door_->drain(std::chrono::milliseconds(100)), [&](std::exception_ptr) { drained = true; });
      run_until(io_, [&] { return drained; });
      door_.reset();
      driver_.reset();
      FleetFixture::TearDown();
    }
    if (!network_.empty()) run_command({kIp, "netns", "del", network_});
  }
  Task<bool> shut_down() {
    co_await supervisor_->shutdown(std::chrono::seconds(5));
    co_return true;
  }

  bool step(std::vector<std::string> arguments) {
    std::vector<std::string> argv{kIp};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    if (run_command(argv) == 0) return true;
    for (const std::string& argument : arguments) missing_ += " " + argument;
    return false;
  }
  bool make_networks() {
    // This process leaves its namespace for good: whatever is made in the new one goes with it.
    if (::unshare(CLONE_NEWNET) != 0) {
      missing_ = "unshare";
      return false;
    }
    network_ = "dormouse-test-" + std::to_string(::getpid());
    return step({"netns", "add", network_}) && step({"link", "set", "lo", "up"}) &&
           step({"link", "add", "here", "type", "veth", "peer", "name", "there", "netns", network_}) &&
           step({"address", "add", std::string(kGatewayHost) + "/24", "dev", "here"}) &&
           step({"link", "set", "here", "up"}) &&
           step({"-n", network_, "address", "add", "10.231.77.2/24", "dev", "there"}) &&
           step({"-n", network_, "link", "set", "lo", "up"}) && step({"-n", network_, "link", "set", "there", "up"});
  }
  void cut() { ASSERT_TRUE(step({"link", "set", "here", "down"})); }
  void mend() { ASSERT_TRUE(step({"link", "set", "here", "up"})); }

  static Task<int> send(http::Client& client, http::Address address, http::ClientRequest request, std::string* body) {
    auto response = co_await client.send(address, std::move(request));
    if (!response.has_value()) co_return -1;
    Result<std::string> whole = co_await (*response)->read_all();
    if (!whole.has_value()) co_return -2;
    *body = *std::move(whole);
    co_return (*response)->status();
  }
  static http::ClientRequest completion(const std::string& token, int max_tokens) {
    http::ClientRequest request;
    request.method = "POST";
    request.target = "/v1/completions";
    if (!token.empty()) request.headers.set("authorization", "Bearer " + token);
    request.headers.set("content-type", "application/json");
    request.body =
        R"({"prompt":"The moon","stream":true,"ignore_eos":true,"max_tokens":)" + std::to_string(max_tokens) + "}";
    return request;
  }
  int complete(const Lease& lease, const std::string& token, std::string* body) {
    return run_task(io_, send(client_, lease.address(), completion(token, 8), body)).value();
  }
  InstanceStatus instance() {
    const DeploymentStatus now = status();
    return now.instances.empty() ? InstanceStatus{} : now.instances[0];
  }
  std::string worker_log(int epoch) { return read_file(directory_ + "/worker-" + std::to_string(epoch) + ".log"); }

  std::string network_;
  std::string missing_;
  SystemClock clock_;
  http::TlsIdentity identity_;
  http::Client client_{io_};
  std::unique_ptr<http::Server> door_;
  std::unique_ptr<NamespaceDriver> driver_;
};

TEST_F(NamespaceTest, OnlyWhoHasTheLeaseIsServedAndNobodyCanReadIt) {
  AcquireResult lease = acquire();
  ASSERT_TRUE(lease.has_value()) << to_string(lease.error().reason) << worker_log(1);
  EXPECT_EQ(lease->address().host, "10.231.77.2");
  std::string body;
  EXPECT_EQ(complete(*lease, lease->token(), &body), 200);
  EXPECT_NE(body.find("[DONE]"), std::string::npos);
  EXPECT_EQ(complete(*lease, "", &body), 401);
  EXPECT_EQ(complete(*lease, std::string(lease->token().size(), '0'), &body), 401);
  http::Address plain = lease->address();
  plain.tls.reset();
  EXPECT_LT(run_task(io_, send(client_, plain, completion(lease->token(), 8), &body)).value(), 0) << "TLS only";
  const std::string proc = "/proc/" + std::to_string(driver_->pid());
  EXPECT_NE(read_file(proc + "/cmdline").find("--control-fingerprint"), std::string::npos);
  EXPECT_EQ(read_file(proc + "/cmdline").find(lease->token()), std::string::npos);
  EXPECT_EQ(read_file(proc + "/environ").find(lease->token()), std::string::npos) << "wiped once it was read";
}

TEST_F(NamespaceTest, CutForLessThanTheLeaseTheSameWorkerGoesOn) {
  AcquireResult lease = acquire();
  ASSERT_TRUE(lease.has_value()) << to_string(lease.error().reason) << worker_log(1);
  std::string running_body;
  std::optional<int> running;
  asio::co_spawn(io_, keep(send(client_, lease->address(), completion(lease->token(), 1'500), &running_body), &running),
                 asio::detached);
  run_until(
      io_, [] { return false; }, std::chrono::milliseconds(20));
  const std::string id = instance().instance_id;
  cut();
  ASSERT_TRUE(run_until(io_, [&] { return !instance().reachable; })) << "the cut is seen";
  mend();
  ASSERT_TRUE(run_until(io_, [&] { return instance().reachable; })) << worker_log(1);
  EXPECT_EQ(instance().instance_id, id);
  EXPECT_EQ(instance().epoch, 1U);
  ASSERT_TRUE(run_until(io_, [&] { return running.has_value(); })) << "a request that ran goes on";
  EXPECT_EQ(*running, 200);
  EXPECT_NE(running_body.find("[DONE]"), std::string::npos);
  AcquireResult after = acquire();
  ASSERT_TRUE(after.has_value());
  EXPECT_EQ(after->epoch(), 1U);
  std::string body;
  EXPECT_EQ(complete(*after, after->token(), &body), 200);
  EXPECT_TRUE(driver_->exits.empty());
  EXPECT_EQ(driver_->stops, 0);
}

TEST_F(NamespaceTest, CutForLongerItEndsItselfAndOnlyThenAnotherIsStarted) {
  {
    AcquireResult lease = acquire();
    ASSERT_TRUE(lease.has_value()) << to_string(lease.error().reason) << worker_log(1);
    lease->release(LeaseOutcome::kCompleted);
  }
  driver_->out_of_reach = true;
  cut();
  ASSERT_TRUE(run_until(io_, [&] { return !instance().reachable; }));
  std::optional<AcquireResult> waiting;
  AcquireRequest request;
  request.deployment = "m";
  asio::co_spawn(io_, keep(supervisor_->acquire(request), &waiting), asio::detached);
  ASSERT_TRUE(run_until(io_, [&] { return !driver_->exits.empty(); })) << worker_log(1);
  EXPECT_EQ(driver_->exits[0].exit_code, 0) << "by itself";
  EXPECT_EQ(driver_->tokens.size(), 1U) << "nothing was started before it was gone";
  mend();
  driver_->out_of_reach = false;
  ASSERT_TRUE(run_until(io_, [&] { return waiting.has_value(); }));
  ASSERT_TRUE(waiting->has_value()) << to_string(waiting->error().reason);
  EXPECT_EQ((*waiting)->epoch(), 2U);
  EXPECT_NE(driver_->tokens.at(0), driver_->tokens.at(1));
  std::string body;
  EXPECT_EQ(complete(**waiting, (*waiting)->token(), &body), 200);
  EXPECT_EQ(complete(**waiting, driver_->tokens[0], &body), 401) << "the old lease is worth nothing";
  const std::vector<ledger::Span> found = spans();
  ASSERT_EQ(found.size(), 2U);
  for (const ledger::Span& span : found) {
    EXPECT_EQ(span.reason, span.epoch == 1 ? "lease_expired" : "");
    EXPECT_EQ(span.confirmed_us.has_value(), span.epoch == 1);
  }
}

}  // namespace
}  // namespace dormouse::fleet
