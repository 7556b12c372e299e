#include "catalog/pull_copy.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <vector>

#include "base/unique_fd.h"
#include "http/hmac.h"
#include "http/sha256.h"

namespace dormouse::catalog {
namespace {

constexpr std::size_t kStepBytes = 4 << 20;
constexpr mode_t kMode = 0644;

std::string path_of(std::string_view source) {
  constexpr std::string_view kScheme = "file://";
  if (!source.starts_with(kScheme)) return std::string(source);
  source.remove_prefix(kScheme.size());
  if (source.starts_with("localhost/")) source.remove_prefix(std::string_view("localhost").size());
  return http::percent_decode(source);
}

// Removed unless kept.
class Scratch {
 public:
  explicit Scratch(std::string path) : path_(std::move(path)) {}
  ~Scratch() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  void keep() { path_.clear(); }

 private:
  std::string path_;
};

Status copy_bytes(int from, int to, const std::string& what, const std::function<bool(std::int64_t)>& on_step) {
  std::vector<char> buffer(kStepBytes);
  for (std::int64_t done = 0;;) {
    const ssize_t got = ::read(from, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno_error(what, errno);
    if (got == 0) return {};
    for (ssize_t at = 0; at < got;) {
      const ssize_t put = ::write(to, buffer.data() + at, static_cast<std::size_t>(got - at));
      if (put < 0 && errno == EINTR) continue;
      if (put <= 0) return errno_error(what, put < 0 ? errno : ENOSPC);
      at += put;
    }
    done += got;
    if (!on_step(done)) return make_error(Code::kCancelled, "stopped");
  }
}

}  // namespace

Result<std::string> sha256_of(int fd, const std::function<bool(std::int64_t)>& on_step) {
  http::Sha256 hash;
  std::vector<char> buffer(kStepBytes);
  std::int64_t at = 0;
  for (;;) {
    const ssize_t n = ::pread(fd, buffer.data(), buffer.size(), static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error("reading what was fetched", errno);
    if (n == 0) return hash.finish();
    hash.update(buffer.data(), static_cast<std::size_t>(n));
    at += n;
    if (!on_step(at)) return make_error(Code::kCancelled, "stopped");
  }
}

Status check_looks(int fd, std::string_view name) {
  if (!name.ends_with(".gguf")) return {};
  std::array<char, 4> magic{};
  const bool is_gguf = ::pread(fd, magic.data(), magic.size(), 0) == static_cast<ssize_t>(magic.size()) &&
                       std::string_view(magic.data(), magic.size()) == "GGUF";
  if (is_gguf) return {};
  return make_error(Code::kInvalidArgument, fmt::format("{}: what came is no GGUF file; it was thrown away", name));
}

std::optional<std::int64_t> free_bytes(const std::string& directory) {
  constexpr double kMost = 9e18;
  for (std::filesystem::path place = directory; !place.empty(); place = place.parent_path()) {
    struct statvfs room {};
    if (::statvfs(place.c_str(), &room) == 0) {
      const double bytes = static_cast<double>(room.f_bavail) * static_cast<double>(room.f_frsize);
      return static_cast<std::int64_t>(std::min(bytes, kMost));
    }
    if (errno != ENOENT || place == place.parent_path()) break;
  }
  return std::nullopt;
}

Status check_free_space(const std::string& directory, std::int64_t bytes) {
  const std::optional<std::int64_t> free = free_bytes(directory);
  if (!free.has_value()) return errno_error(directory, errno);
  if (*free >= bytes) return {};
  return make_error(Code::kTooLarge, fmt::format("{}: {:.2f} GB are needed, {:.2f} GB are free", directory,
                                                 static_cast<double>(bytes) / 1e9, static_cast<double>(*free) / 1e9));
}

Result<Pulled> copy_local(const LocalCopy& copy, const std::function<void(const PullProgress&)>& on_progress,
                          const std::stop_token& stop) {
  const std::string from = path_of(copy.from);
  const UniqueFd source(::open(from.c_str(), O_RDONLY | O_CLOEXEC));
  if (!source.is_open()) return errno_error(from, errno);
  struct stat found {};
  if (::fstat(source.get(), &found) != 0) return errno_error(from, errno);
  if (!S_ISREG(found.st_mode) || found.st_size == 0) {
    return make_error(Code::kInvalidArgument, fmt::format("{}: no file, or an empty one", from));
  }
  const std::string part = copy.to + ".copy";
  const UniqueFd target(::open(part.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, kMode));
  if (!target.is_open()) return errno_error(part, errno);
  Scratch scratch(part);
  PullProgress progress{.source = from, .total = found.st_size};
  const auto step_of = [&](PullProgress::Stage stage) {
    return [&, stage](std::int64_t done) {
      progress.stage = stage;
      progress.done = done;
      if (on_progress) on_progress(progress);
      return !stop.stop_requested();
    };
  };
  if (::ioctl(target.get(), FICLONE, source.get()) != 0) {
    TRY_STATUS(check_free_space(std::filesystem::path(copy.to).parent_path().string(), found.st_size));
    TRY_STATUS(copy_bytes(source.get(), target.get(), from, step_of(PullProgress::Stage::kCopying)));
  }
  TRY(const std::string sha256, sha256_of(target.get(), step_of(PullProgress::Stage::kChecking)));
  if (!copy.sha256.empty() && copy.sha256 != sha256) {
    return make_error(Code::kDataLoss, fmt::format("{}: its sha256 is {}, {} is promised; nothing was copied", from,
                                                   sha256, copy.sha256));
  }
  TRY_STATUS(check_looks(target.get(), copy.to));
  if (::fsync(target.get()) != 0) return errno_error(part, errno);
  if (::rename(part.c_str(), copy.to.c_str()) != 0) return errno_error(copy.to, errno);
  scratch.keep();
  return Pulled{copy.to, from, sha256, found.st_size, Pulled::How::kCopied};
}

}  // namespace dormouse::catalog
