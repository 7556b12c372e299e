// Goal: the Slurm driver against a real Slurm. Method: munged, slurmctld and slurmd of this machine's packages, on
// loopback, in a directory and on ports of their own; a shell script stands for the worker. Skipped, saying so, where
// Slurm is not installed or we are not root (slurmd starts jobs as their users).
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <sstream>

#include "base/ids.h"
#include "base/subprocess.h"
#include "fleet/command_run.h"
#include "fleet/drivers/driver_recorder.h"
#include "fleet/drivers/make_driver.h"
#include "fleet/fleet_fixture.h"

namespace dormouse::fleet {
namespace {

constexpr std::chrono::seconds kPatience{60};
constexpr const char* kPath = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";

int free_port() {
  const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(fd.get(), generic, size) != 0 || ::getsockname(fd.get(), generic, &size) != 0) return 0;
  return ntohs(address.sin_port);
}

std::string read_file(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

// The cluster's daemons and everything they start; gone, processes and files, with this object.
class Cluster {
 public:
  Cluster() {
    std::string name = "/tmp/slurm_XXXXXX";
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    directory = name;
    ::chmod(name.c_str(), 0755);  // jobs look into it
    for (const char* folder : {"/state", "/spool", "/workers", "/scripts"}) {
      std::filesystem::create_directory(directory + folder);
    }
    std::array<char, 256> host{};
    ::gethostname(host.data(), host.size() - 1);
    write_files(std::string(host.data()).substr(0, std::string(host.data()).find('.')));
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);  // job steps leave slurmd: they must not leave us
  }
  ~Cluster() {
    daemons_.clear();
    for (int round = 0; round < 500 && kill_children(); ++round) {
    }
    std::filesystem::remove_all(directory);
  }
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  bool start(const std::string& name, std::vector<std::string> argv) {
    SubprocessOptions options;
    options.argv = std::move(argv);
    options.environment = environment();
    Result<Subprocess> daemon = Subprocess::spawn(options);
    EXPECT_TRUE(daemon.has_value()) << daemon.error().message;
    if (!daemon.has_value()) return false;
    daemons_.insert_or_assign(name, std::move(*daemon));
    return true;
  }
  bool start_munged() {
    return start("munged", {"/usr/sbin/munged", "--foreground", "--force", "--key-file=" + directory + "/munge.key",
                            "--socket=" + directory + "/munge.sock", "--pid-file=" + directory + "/munged.pid",
                            "--log-file=" + directory + "/munged.log", "--seed-file=" + directory + "/munge.seed"});
  }
  bool start_controller() { return start("slurmctld", {"/usr/sbin/slurmctld", "-D"}); }
  bool start_node() { return start("slurmd", {"/usr/sbin/slurmd", "-D"}); }
  // As an administrator does: it saves its state. (Killed, Slurm itself may lose the jobs of its last seconds.)
  bool stop_controller(asio::io_context& io) {
    Subprocess& controller = daemons_.at("slurmctld");
    controller.signal_group(SIGTERM);
    const bool ended = run_until(
        io, [&controller] { return controller.try_wait().has_value(); }, kPatience);
    daemons_.erase("slurmctld");
    return ended;
  }
  [[nodiscard]] std::vector<std::string> environment() const {
    return {kPath, "SLURM_CONF=" + directory + "/slurm.conf"};
  }

  std::string directory;

 private:
  // Kills and reaps who has come to us; false: nobody is left.
  static bool kill_children() {
    std::istringstream children(read_file("/proc/self/task/" + std::to_string(::getpid()) + "/children"));
    for (pid_t child = 0; children >> child;) ::kill(child, SIGKILL);
    siginfo_t info{};
    return ::waitid(P_ALL, 0, &info, WEXITED) == 0;
  }
  void write_files(const std::string& host) const {
    std::ofstream(directory + "/munge.key") << random_hex(128);
    ::chmod((directory + "/munge.key").c_str(), 0400);
    std::ofstream(directory + "/gres.conf") << "NodeName=" << host << " Name=gpu File=/dev/null\n"
                                            << "NodeName=" << host << " Name=gpu File=/dev/zero\n";
    std::ofstream(directory + "/slurm.conf")
        << "ClusterName=dormouse\nSlurmctldHost=" << host << "(127.0.0.1)\nSlurmctldPort=" << free_port()
        << "\nSlurmdPort=" << free_port()
        << "\nSlurmUser=root\nSlurmdUser=root\nAuthType=auth/munge\nAuthInfo=socket=" << directory
        << "/munge.sock\nStateSaveLocation=" << directory << "/state\nSlurmdSpoolDir=" << directory
        << "/spool\nSlurmctldPidFile=" << directory << "/slurmctld.pid\nSlurmdPidFile=" << directory
        << "/slurmd.pid\nSlurmctldLogFile=" << directory << "/slurmctld.log\nSlurmdLogFile=" << directory
        << "/slurmd.log\nSlurmdParameters=config_overrides\nProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\n"
           "JobAcctGatherType=jobacct_gather/none\nMpiDefault=none\nSwitchType=switch/none\nReturnToService=2\n"
           "SelectType=select/cons_tres\nSelectTypeParameters=CR_Core\nKillWait=2\nMinJobAge=5\nMessageTimeout=3\n"
           "SchedulerParameters=sched_interval=1,batch_sched_delay=0,bf_interval=1\nGresTypes=gpu\nNodeName="
        << host << " NodeAddr=127.0.0.1 Sockets=1 CoresPerSocket=2 ThreadsPerCore=1 RealMemory=500 Gres=gpu:2\n"
        << "PartitionName=main Nodes=" << host << " Default=YES MaxTime=INFINITE State=UP\n";
    const std::string worker = directory + "/worker.sh";
    std::ofstream(worker) << "#!/bin/sh\necho \"$DORMOUSE_LEASE $CUDA_VISIBLE_DEVICES $*\" > " << directory
                          << "/workers/$SLURM_JOB_ID\nexec sleep 1000\n";
    ::chmod(worker.c_str(), 0755);
  }
  std::map<std::string, Subprocess> daemons_;
};

class SlurmTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    set_log_level(LogLevel::kError);
    const std::vector<std::string> path = {kPath};
    for (const char* program : {"munged", "slurmctld", "slurmd", "sbatch"}) {
      if (!find_program(program, path).has_value()) missing_ = std::string(program) + " is not installed";
    }
    if (::geteuid() != 0) missing_ = "not root";
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

  std::string command(std::vector<std::string> argv) {
    CommandOptions options;
    options.argv = std::move(argv);
    options.environment = cluster_->environment();
    const auto answer = run_task(io_, runner_.run(options));
    return answer.has_value() && answer->has_value() ? (*answer)->output : std::string();
  }
  bool eventually(const std::vector<std::string>& argv, const std::string& wanted) {
    const SystemClock clock;
    const MonoTime end = clock.now() + kPatience;
    while (clock.now() < end) {
      if (command(argv).find(wanted) != std::string::npos) return true;
      run_until(
          io_, [] { return false; }, std::chrono::milliseconds(100));
    }
    return false;
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
    auto made = fleet::make_driver(std::move(remote));
    ASSERT_TRUE(made.has_value()) << made.error().message;
    driver_ = std::move(*made);
    driver_->attach(events_);
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
  CommandRunner runner_{io_};
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
