#include "gateway/data_dir.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include "base/environment.h"
#include "base/ids.h"

namespace dormouse::gateway {
namespace {

namespace fs = std::filesystem;

// sockaddr_un holds 108 bytes with its NUL; the longest name made in a run directory is "/w-" + a UUID + ".sock".
constexpr std::size_t kMaxSocketPath = 107;
constexpr std::size_t kLongestName = 3 + 36 + 5;

Status make_private_directory(const std::string& path) {
  std::error_code ec;
  fs::create_directories(fs::path(path).parent_path(), ec);
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return errno_error(path, errno);
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return errno_error(path, errno);
  // In /tmp somebody else could have made it first.
  if (!S_ISDIR(info.st_mode) || info.st_uid != ::geteuid()) {
    return make_error(Code::kPermissionDenied, fmt::format("{} is not a directory of ours", path));
  }
  if (::chmod(path.c_str(), 0700) != 0) return errno_error(path, errno);
  return {};
}

// Of the process that took the lock; empty: it has not said so yet.
std::string holder_of(const UniqueFd& lock) {
  std::array<char, 32> text{};
  const ssize_t got = ::pread(lock.get(), text.data(), text.size() - 1, 0);
  return {text.data(), got > 0 ? static_cast<std::size_t>(got) : 0};
}

bool is_running(const std::string& pid) {
  std::ifstream stat("/proc/" + pid + "/stat");
  std::string line;
  if (pid.empty() || !std::getline(stat, line)) return pid.empty();
  const std::size_t name_end = line.rfind(')');  // a name may have spaces
  return name_end == std::string::npos || name_end + 2 >= line.size() || line[name_end + 2] != 'Z';
}

// A server that was killed while it started a worker: the child holds the lock until it has become that worker.
bool take_over(const UniqueFd& lock) {
  constexpr int kTries = 100;
  constexpr int kPauseMs = 20;
  for (int i = 0; i < kTries && !is_running(holder_of(lock)); ++i) {
    ::poll(nullptr, 0, kPauseMs);
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) == 0) return true;
  }
  return false;
}

Result<UniqueFd> take_lock(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd.is_open()) return errno_error(path, errno);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return errno_error(path, errno);
    if (!take_over(fd)) {
      return make_error(Code::kAlreadyExists, fmt::format("data directory {} is in use by a running dormouse (pid {})",
                                                          fs::path(path).parent_path().string(), holder_of(fd)));
    }
  }
  const std::string pid = fmt::format("{}", ::getpid());
  if (::ftruncate(fd.get(), 0) != 0 || ::pwrite(fd.get(), pid.data(), pid.size(), 0) < 0)
    return errno_error(path, errno);
  return fd;
}

}  // namespace

std::string run_directory_for(const std::string& absolute_data_dir, const std::string& runtime_dir) {
  const std::string own = absolute_data_dir + "/run";
  if (own.size() + kLongestName <= kMaxSocketPath) return own;
  const std::string tag = fmt::format("{:08x}", crc32(absolute_data_dir.data(), absolute_data_dir.size()));
  const std::string preferred = fmt::format("{}/dormouse-{}", runtime_dir, tag);
  if (!runtime_dir.empty() && preferred.size() + kLongestName <= kMaxSocketPath) return preferred;
  return fmt::format("/tmp/dormouse-{}-{}", ::geteuid(), tag);
}

Result<DataDir> DataDir::open(const std::string& path) {
  std::error_code ec;
  DataDir out;
  out.path_ = fs::absolute(path, ec).lexically_normal().string();
  while (out.path_.size() > 1 && out.path_.ends_with('/')) out.path_.pop_back();
  if (ec || path.empty()) return make_error(Code::kInvalidArgument, fmt::format("'{}' is no directory name", path));
  TRY_STATUS(make_private_directory(out.path_));
  TRY_STATUS(make_private_directory(out.log_directory()));
  TRY_STATUS(make_private_directory(out.path_ + "/models"));
  TRY_STATUS(make_private_directory(out.golden_directory()));
  TRY_STATUS(make_private_directory(out.packed_directory()));
  TRY(out.lock_, take_lock(out.path_ + "/lock"));
  out.run_directory_ = run_directory_for(out.path_, environment_variable("XDG_RUNTIME_DIR"));
  out.run_directory_moved_ = out.run_directory_ != out.path_ + "/run";
  TRY_STATUS(make_private_directory(out.run_directory_));
  return out;
}

}  // namespace dormouse::gateway
