#include "gateway/config_watch.h"

#include <sys/inotify.h>

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <utility>

#include "base/log.h"
#include "base/unique_fd.h"

namespace dormouse::gateway {
namespace {

constexpr std::chrono::milliseconds kSettle{200};
constexpr std::uint32_t kEvents = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE;
// What Kubernetes renames when a mounted ConfigMap changes; the file itself is then a link through it.
constexpr std::string_view kConfigMapLink = "..data";
constexpr std::size_t kBufferBytes = 4'096;  // a dozen events; the rest comes with the next read

}  // namespace

// Shared with the handlers in flight; `changed` empties when the watch ends.
struct ConfigWatch::State {
  explicit State(asio::io_context& io) : descriptor(io), settle(io) {}
  asio::posix::stream_descriptor descriptor;
  asio::steady_timer settle;
  std::string file_name;
  std::function<void()> changed;
  alignas(inotify_event) std::array<char, kBufferBytes> buffer{};

  [[nodiscard]] bool concerns_us(std::size_t bytes) const {
    for (std::size_t at = 0; at + sizeof(inotify_event) <= bytes;) {
      inotify_event event{};
      std::memcpy(&event, buffer.data() + at, sizeof event);
      const char* const name = buffer.data() + at + sizeof event;
      const std::string_view text(name, ::strnlen(name, event.len));
      if (text == file_name || text == kConfigMapLink || (event.mask & IN_Q_OVERFLOW) != 0) return true;
      at += sizeof event + event.len;
    }
    return false;
  }

  static void read_next(const std::shared_ptr<State>& state) {
    state->descriptor.async_read_some(asio::buffer(state->buffer),
                                      [state](const boost::system::error_code& ec, std::size_t bytes) {
                                        if (!state->changed) return;
                                        if (ec) {
                                          log_error("event=config_watch_ended error=\"{}\"", ec.message());
                                          return;
                                        }
                                        if (state->concerns_us(bytes)) settle_down(state);
                                        read_next(state);
                                      });
  }

  static void settle_down(const std::shared_ptr<State>& state) {
    state->settle.expires_after(kSettle);  // an event before that starts it anew
    state->settle.async_wait([state](const boost::system::error_code& ec) {
      if (!ec && state->changed) state->changed();
    });
  }
};

Result<ConfigWatch> ConfigWatch::start(asio::io_context& io, const std::string& path, std::function<void()> changed) {
  const std::filesystem::path file(path);
  const std::string directory = file.has_parent_path() ? file.parent_path().string() : ".";
  UniqueFd fd(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!fd.is_open()) return errno_error("watching " + directory, errno);
  if (::inotify_add_watch(fd.get(), directory.c_str(), kEvents) < 0) return errno_error("watching " + directory, errno);
  auto state = std::make_shared<State>(io);
  state->file_name = file.filename().string();
  state->changed = std::move(changed);
  boost::system::error_code ec;
  state->descriptor.assign(fd.get(), ec);
  if (ec) return make_error(Code::kUnavailable, "watching " + directory + ": " + ec.message());
  static_cast<void>(fd.release());  // the descriptor's now
  State::read_next(state);
  return ConfigWatch(std::move(state));
}

ConfigWatch::~ConfigWatch() {
  if (state_ == nullptr) return;
  state_->changed = nullptr;
  state_->settle.cancel();
  boost::system::error_code ec;
  state_->descriptor.close(ec);
}

}  // namespace dormouse::gateway
