// A real Slurm of this machine's packages (munged, slurmctld, slurmd) on loopback, in a directory and on ports of its
// own. Tests only. Needs root: slurmd starts jobs as their users.
#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/subprocess.h"
#include "base/unique_fd.h"
#include "fleet/command_run.h"
#include "fleet/fleet_fixture.h"

namespace dormouse::fleet {

inline constexpr std::chrono::seconds kPatience{60};
inline constexpr const char* kPath = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";

inline int free_port() {
  const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(fd.get(), generic, size) != 0 || ::getsockname(fd.get(), generic, &size) != 0) return 0;
  return ntohs(address.sin_port);
}

inline std::string read_file(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

// Why it cannot be run here; empty: it can.
inline std::string why_no_slurm() {
  const std::vector<std::string> path = {kPath};
  if (::geteuid() != 0) return "not root";
  for (const char* program : {"munged", "slurmctld", "slurmd", "sbatch"}) {
    if (!find_program(program, path).has_value()) return std::string(program) + " is not installed";
  }
  return {};
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

  // What one of the cluster's programs prints; empty when it failed.
  std::string command(asio::io_context& io, std::vector<std::string> argv) const {
    CommandRunner runner(io);
    CommandOptions options;
    options.argv = std::move(argv);
    options.environment = environment();
    const auto answer = run_task(io, runner.run(options));
    return answer.has_value() && answer->has_value() ? (*answer)->output : std::string();
  }
  // Asks until it prints what is wanted.
  bool shows(asio::io_context& io, const std::vector<std::string>& argv, const std::string& wanted) const {
    const SystemClock clock;
    const MonoTime end = clock.now() + kPatience;
    while (clock.now() < end) {
      if (command(io, argv).find(wanted) != std::string::npos) return true;
      run_until(
          io, [] { return false; }, std::chrono::milliseconds(100));
    }
    return false;
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

}  // namespace dormouse::fleet
