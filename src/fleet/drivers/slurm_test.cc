// Goal: the Slurm driver against a real Slurm. Method: munged, slurmctld and slurmd of this machine's packages, on
// loopback, in a directory and on ports of their own; a shell script stands for the worker. Skipped, saying so, where
// Slurm is not installed or we are not root (slurmd starts jobs as their users).
#include <gtest/gtest.h>

#include "base/ids.h"
#include "fleet/command_run.h"
#include "fleet/drivers/driver_recorder.h"
#include "fleet/drivers/make_driver.h"
#include "fleet/drivers/slurm_cluster.h"

namespace dormouse::fleet {
namespace {

class SlurmTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    set_log_level(LogLevel::kError);
    missing_ = why_no_slurm();
    if (!missing_.empty()) return;
    cluster_ = std::make_unique<Cluster>();
    cluster_->start_munged();
    asio::io_context io{1};
    const std::string socket = cluster_->directory + "/munge.sock";
    EXPECT_TRUE(run_until(io, [&socket] { return std::filesystem::exists(socket); }));
    cluster_->start_controller();
    cluster_->start_node();
  }
  static void TearDownTestSuite() { cluster_.reset(); }
  void SetUp() override {
    if (!missing_.empty()) GTEST_SKIP() << "Slurm's tests need munge and slurm-wlm, and root: " << missing_;
    ASSERT_TRUE(eventually({"sinfo", "--noheader", "--format=%T"}, "idle"))
        << read_file(cluster_->directory + "/slurmctld.log");
    make_driver();
  }
  void TearDown() override {
    driver_.reset();
    if (cluster_ == nullptr) return;
    command({"scancel", "--me"});
    EXPECT_TRUE(eventually({"sinfo", "--noheader", "--format=%T"}, "idle"));
  }

  std::string command(std::vector<std::string> argv) { return cluster_->command(io_, std::move(argv)); }
  bool eventually(const std::vector<std::string>& argv, const std::string& wanted) {
    return cluster_->shows(io_, argv, wanted);
  }
  void make_driver(const std::string& gres = "gpu:1") {
    RemoteDriverOptions remote;
    remote.life.io = &io_;
    remote.life.clock = &clock_;
    remote.life.poll_interval = remote.life.backoff_first = std::chrono::milliseconds(100);
    remote.life.backoff_most = std::chrono::milliseconds(400);
    remote.life.visible_after = std::chrono::milliseconds(500);
    remote.life.reconcile_interval = std::chrono::milliseconds(300);
    remote.life.report_after = 100;  // KillWait and an epilogue take their time
    SlurmProviderOptions slurm;
    slurm.name = "hpc";
    slurm.owner = "gw1";
    slurm.gres = gres;
    slurm.output = "/dev/null";
    slurm.environment = cluster_->environment();
    slurm.script_directory = cluster_->directory + "/scripts";
    slurm.place.worker_path = cluster_->directory + "/worker.sh";
    slurm.place.listen = "127.0.0.1:0";
    slurm.place.control = "127.0.0.1:9";
    remote.provider = std::move(slurm);
    driver_ = make_attached(std::move(remote), events_);
    ASSERT_NE(driver_, nullptr);
  }
  std::string start(const std::string& instance = "") {
    StartSpec spec;
    spec.instance_id = instance.empty() ? make_uuid_v7(clock_.wall()) : instance;
    spec.deployment = "m";
    spec.model_path = "/m.gguf";
    spec.lease_token = "topsecret";
    spec.epoch = 7;
    driver_->start(spec);
    return spec.instance_id;
  }
  bool reaches(const std::string& what, const std::string& id) {
    return run_until(
        io_, [&] { return events_.count(what, id) == 1; }, kPatience);
  }
  std::string job_of(const std::string& id) {
    const std::string out = command({"squeue", "--noheader", "--format=%i", "--name=dormouse-" + id});
    return out.substr(0, out.find('\n'));
  }
  std::string worker_line(const std::string& job) {
    const std::string path = cluster_->directory + "/workers/" + job;
    run_until(
        io_, [&path] { return !read_file(path).empty(); }, kPatience);
    return read_file(path);
  }

  static inline std::unique_ptr<Cluster> cluster_;
  static inline std::string missing_;
  SystemClock clock_;
  asio::io_context io_{1};
  Recorder events_;
  std::unique_ptr<Driver> driver_;
};

TEST_F(SlurmTest, AJobRunsTheWorkerWithItsLeaseAndItsEndIsConfirmed) {
  const std::string id = start();
  ASSERT_TRUE(reaches("started", id));
  const std::string job = job_of(id);
  EXPECT_EQ(worker_line(job),
            "topsecret 0 serve --model /m.gguf --listen 127.0.0.1:0 --control 127.0.0.1:9 --epoch 7 "
            "--served-model-name m --lease-ttl 120\n");
  EXPECT_EQ(command({"scontrol", "show", "job", job}).find("topsecret"), std::string::npos);
  EXPECT_TRUE(std::filesystem::is_empty(cluster_->directory + "/scripts")) << "the script holds the lease";
  driver_->stop(id, StopMode::kGraceful);
  ASSERT_TRUE(reaches("exited", id));
  EXPECT_EQ(job_of(id), "");
}

TEST_F(SlurmTest, TwoAtOnceAndAThirdWaitsAndSaysWhy) {
  const std::string a = start();
  const std::string b = start();
  ASSERT_TRUE(reaches("started", a));
  ASSERT_TRUE(reaches("started", b));
  const std::string c = start();
  ASSERT_TRUE(run_until(
      io_,
      [this] {
        const std::string& last = events_.progress.back();
        return last == "PENDING: Resources" || last == "PENDING: Priority";
      },
      kPatience))
      << events_.progress.back();
  driver_->stop(b, StopMode::kGraceful);
  ASSERT_TRUE(reaches("exited", b));
  ASSERT_TRUE(reaches("started", c)) << "takes the place of the one that went";
  const std::string d = start();
  ASSERT_TRUE(run_until(
      io_, [this] { return events_.progress.back().starts_with("PENDING"); }, kPatience));
  for (const std::string& id : {a, c, d}) driver_->stop(id, StopMode::kGraceful);
  ASSERT_TRUE(reaches("start_failed", d));
  ASSERT_TRUE(reaches("exited", a));
  ASSERT_TRUE(reaches("exited", c));
  EXPECT_EQ(command({"squeue", "--noheader"}), "");
}

TEST_F(SlurmTest, AJobCancelledBehindOurBackHasExited) {
  const std::string id = start();
  ASSERT_TRUE(reaches("started", id));
  command({"scancel", job_of(id)});
  EXPECT_TRUE(reaches("exited", id));
  EXPECT_TRUE(driver_->list().empty());
}

TEST_F(SlurmTest, AControllerThatRestartsLosesNothing) {
  const std::string id = start();
  ASSERT_TRUE(reaches("started", id));
  const std::string job = job_of(id);
  ASSERT_TRUE(cluster_->stop_controller(io_));
  const std::string later = start();  // its start is retried until the controller is back
  run_until(
      io_, [] { return false; }, std::chrono::seconds(4));
  EXPECT_EQ(events_.count("exited", id), 0) << "not reachable is not gone";
  EXPECT_EQ(events_.count("start_failed", later), 0);
  ASSERT_TRUE(cluster_->start_controller());
  ASSERT_TRUE(reaches("started", later));
  EXPECT_EQ(events_.count("exited", id), 0);
  EXPECT_EQ(job_of(id), job);
  for (const std::string& each : {id, later}) driver_->stop(each, StopMode::kGraceful);
  EXPECT_TRUE(reaches("exited", id));
  EXPECT_TRUE(reaches("exited", later));
}

TEST_F(SlurmTest, TheNameIsTheKeyAndAJobNobodyKnowsIsEnded) {
  const std::string id = start();
  ASSERT_TRUE(reaches("started", id));
  const std::string job = job_of(id);
  make_driver();  // the gateway starts anew
  events_.events.clear();
  start(id);
  ASSERT_TRUE(reaches("started", id));
  EXPECT_EQ(job_of(id), job) << "found, not submitted again";
  make_driver();
  events_.events.clear();
  const SystemClock clock;
  const MonoTime end = clock.now() + kPatience;
  while (!job_of(id).empty() && clock.now() < end) {
  }
  EXPECT_EQ(job_of(id), "");
}

TEST_F(SlurmTest, AJobThatCanNeverRunIsRefusedWithSlurmsWords) {
  make_driver("gpu:99");
  const std::string id = start();
  ASSERT_TRUE(reaches("start_failed", id));
  EXPECT_NE(events_.last_error.message.find("sbatch"), std::string::npos) << events_.last_error.message;
}

}  // namespace
}  // namespace dormouse::fleet
