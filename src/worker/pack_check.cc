#include "worker/pack_check.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <string>
#include <utility>

#include "base/log.h"
#include "base/unique_fd.h"

namespace dormouse::worker {
namespace {

std::string marker_of(const pack::PackedFile& file) {
  return file.path() + ".verified";
}

}  // namespace

PackCheck::PackCheck(const pack::PackedFile& file, std::function<void(const Error&)> on_damage)
    : file_(file), on_damage_(std::move(on_damage)) {
  if (file.path().empty() || ::access(marker_of(file).c_str(), F_OK) == 0) return;
  thread_ = std::thread([this] { run(); });
}

PackCheck::~PackCheck() {
  cancelled_.store(true, std::memory_order_relaxed);
  if (thread_.joinable()) thread_.join();
}

void PackCheck::run() {
  const sched_param priority{};
  ::pthread_setschedparam(::pthread_self(), SCHED_IDLE, &priority);  // refused: it runs like everybody else
  const Status verified = file_.verify([this] { return cancelled_.load(std::memory_order_relaxed); });
  if (cancelled_.load(std::memory_order_relaxed)) return;
  if (verified.has_value()) {
    // The marker's content is its existence; if it cannot be made, the next start checks again.
    const UniqueFd marker(::open(marker_of(file_).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    log_info("event=packed_weights_verified file={}", file_.path());
    return;
  }
  ::unlink(file_.path().c_str());
  on_damage_(verified.error());
}

}  // namespace dormouse::worker
