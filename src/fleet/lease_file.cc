#include "fleet/lease_file.h"

#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

#include "base/log.h"
#include "base/unique_fd.h"

namespace dormouse::fleet {
namespace {

constexpr int kSweepWaitMs = 2'000;

std::string boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string out;
  file >> out;
  return out;
}

// Field 22 of /proc/PID/stat, in clock ticks since boot. The name in field 2 may hold anything, so count from its ')'.
std::optional<std::uint64_t> start_time(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  const std::size_t end_of_name = line.rfind(')');
  if (end_of_name == std::string::npos) return std::nullopt;
  std::istringstream rest(line.substr(end_of_name + 1));
  std::string field;
  for (int i = 3; i < 22; ++i) rest >> field;
  std::uint64_t out = 0;
  if (!(rest >> out)) return std::nullopt;
  return out;
}

struct LeaseFile {
  pid_t pid = 0;
  std::uint64_t start = 0;
  std::string boot;
  std::string instance_id;
};

std::optional<LeaseFile> read_lease_file(const std::filesystem::path& path) {
  std::ifstream file(path);
  LeaseFile out;
  if (!(file >> out.pid >> out.start >> out.boot >> out.instance_id)) return std::nullopt;
  return out.pid > 1 ? std::optional(out) : std::nullopt;
}

bool end_left_over(const LeaseFile& lease) {
  if (lease.boot != boot_id() || start_time(lease.pid) != lease.start) return false;
  // From here on the descriptor names the process, whatever happens to the number.
  const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, lease.pid, 0U)));
  if (!pidfd.is_open() || start_time(lease.pid) != lease.start) return false;
  ::kill(-lease.pid, SIGKILL);  // it leads its own group
  ::syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0U);
  pollfd watched{pidfd.get(), POLLIN, 0};
  const bool ended = ::poll(&watched, 1, kSweepWaitMs) == 1;
  log_warn("event=worker_swept instance={} pid={} ended={}", lease.instance_id, lease.pid, ended);
  return true;
}

}  // namespace

Status write_lease_file(const std::string& path, pid_t pid, const std::string& instance_id) {
  const std::optional<std::uint64_t> start = start_time(pid);
  if (!start.has_value()) return make_error(Code::kNotFound, "lease file: no process " + std::to_string(pid));
  const std::string partial = path + ".partial";
  {
    std::ofstream file(partial, std::ios::trunc);
    file << pid << ' ' << *start << ' ' << boot_id() << ' ' << instance_id << '\n';
    if (!file.flush()) return make_error(Code::kUnavailable, "lease file: cannot write " + partial);
  }
  if (::rename(partial.c_str(), path.c_str()) != 0) return errno_error(path, errno);
  return {};
}

Result<int> sweep_left_over_workers(const std::string& directory) {
  std::error_code ec;
  std::filesystem::directory_iterator files(directory, ec);
  if (ec) return make_error(Code::kNotFound, "run directory " + directory + ": " + ec.message());
  int ended = 0;
  for (const std::filesystem::directory_entry& entry : files) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("w-")) continue;
    if (name.ends_with(".lease")) {
      const std::optional<LeaseFile> lease = read_lease_file(entry.path());
      if (lease.has_value() && end_left_over(*lease)) ++ended;
    }
    std::filesystem::remove(entry.path(), ec);
  }
  return ended;
}

}  // namespace dormouse::fleet
