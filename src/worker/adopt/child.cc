#include "worker/adopt/child.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cerrno>
#include <csignal>
#include <utility>

#include "base/log.h"
#include "base/unique_fd.h"

namespace dormouse::worker::adopt {
namespace {

constexpr std::size_t kOutputChunk = 16 * 1024;
constexpr std::size_t kLastWords = 2 * 1024;

std::string_view name_of(std::string_view entry) {
  return entry.substr(0, entry.find('='));
}

bool is_allowed(std::string_view entry) {
  constexpr std::array<std::string_view, 5> kNames = {"PATH", "HOME", "LANG", "TZ", "TMPDIR"};
  constexpr std::array<std::string_view, 3> kPrefixes = {"LC_", "OMP_", "CUDA_"};
  for (const std::string_view name : kNames) {
    if (name_of(entry) == name) return true;
  }
  for (const std::string_view prefix : kPrefixes) {
    if (entry.starts_with(prefix)) return true;
  }
  return false;
}

}  // namespace

std::vector<std::string> child_environment(const char* const* ours, const std::vector<std::string>& extra) {
  std::vector<std::string> out;
  for (const char* const* entry = ours; entry != nullptr && *entry != nullptr; ++entry) {
    if (is_allowed(*entry)) out.emplace_back(*entry);
  }
  for (const std::string& entry : extra) {
    std::erase_if(out, [&entry](const std::string& old) { return name_of(old) == name_of(entry); });
    out.push_back(entry);
  }
  return out;
}

Result<std::string> find_program(const std::string& name, std::string_view path) {
  if (name.find('/') != std::string::npos) return name;
  std::string_view rest = path;
  while (!rest.empty()) {
    const std::size_t colon = rest.find(':');
    const std::string candidate = std::string(rest.substr(0, colon)) + "/" + name;
    if (candidate.front() == '/' && ::access(candidate.c_str(), X_OK) == 0) return candidate;
    rest = colon == std::string_view::npos ? std::string_view() : rest.substr(colon + 1);
  }
  return make_error(Code::kNotFound, "no program '" + name + "' in PATH (" + std::string(path) + ")");
}

struct Child::Impl : std::enable_shared_from_this<Impl> {
  Impl(asio::io_context& io, Subprocess spawned, ChildOptions o, ChildEvents e)
      : process(std::move(spawned)),
        options(std::move(o)),
        events(std::move(e)),
        exit_watch(io),
        output(io),
        grace(io) {}

  enum class Reading { kSome, kNothing, kEnd };

  void watch_exit();
  void read_output();
  Reading read_chunk();
  void take_output(std::size_t bytes);
  void drain_output();
  void exited();

  Subprocess process;
  const ChildOptions options;
  ChildEvents events;
  asio::posix::stream_descriptor exit_watch;  // a duplicate of the pidfd
  asio::posix::stream_descriptor output;      // our end of the pipe on its stdout and stderr
  asio::steady_timer grace;
  std::array<char, kOutputChunk> chunk{};
  std::string tail;
  bool stopping = false;
};

void Child::Impl::watch_exit() {
  const std::weak_ptr<Impl> weak = weak_from_this();
  exit_watch.async_wait(asio::posix::stream_descriptor::wait_read, [weak](const boost::system::error_code& ec) {
    const std::shared_ptr<Impl> still = weak.lock();
    if (!ec && still != nullptr) still->exited();
  });
}

// By chunk, never by line: a program that writes a line without end must not fill the pipe and stop. Waits first and
// reads then: a read left pending could have taken bytes that exited() would overtake.
void Child::Impl::read_output() {
  const std::weak_ptr<Impl> weak = weak_from_this();
  output.async_wait(asio::posix::stream_descriptor::wait_read, [weak](const boost::system::error_code& ec) {
    const std::shared_ptr<Impl> still = weak.lock();
    if (ec || still == nullptr) return;
    if (still->read_chunk() != Reading::kEnd) still->read_output();
  });
}

Child::Impl::Reading Child::Impl::read_chunk() {
  boost::system::error_code ec;
  const std::size_t bytes = output.read_some(asio::buffer(chunk), ec);
  if (ec == asio::error::would_block) return Reading::kNothing;
  if (ec || bytes == 0) return Reading::kEnd;
  take_output(bytes);
  return Reading::kSome;
}

void Child::Impl::take_output(std::size_t bytes) {
  const std::string_view text(chunk.data(), bytes);
  tail += text;
  if (tail.size() > 2 * kLastWords) tail.erase(0, tail.size() - kLastWords);
  if (events.on_output) events.on_output(text);
}

// What is in the pipe at the end: the last words are the ones that say why.
void Child::Impl::drain_output() {
  constexpr int kMaxChunks = 64;  // a pipe holds 4 of these; a surviving writer must not keep us here
  for (int i = 0; i < kMaxChunks; ++i) {
    if (read_chunk() != Reading::kSome) return;
  }
}

void Child::Impl::exited() {
  const Result<ExitStatus> status = process.try_wait();  // also kills what is left of its group
  if (!status.has_value() && status.error().code == Code::kUnavailable) return watch_exit();
  output.cancel();
  drain_output();
  grace.cancel();
  // A copy: what it calls may destroy the child.
  if (const std::function<void(ExitStatus)> call = events.on_exit; call) call(status.value_or(ExitStatus{}));
}

Result<std::unique_ptr<Child>> Child::start(asio::io_context& io, ChildOptions options, ChildEvents events) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return errno_error("pipe2", errno);
  UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  SubprocessOptions spawn;
  spawn.argv = options.argv;
  spawn.environment = options.environment;
  spawn.output_fd = write_end.get();
  spawn.guard = options.on_our_death;
  TRY(Subprocess process, Subprocess::spawn(spawn));
  write_end.reset();
  UniqueFd pidfd(::fcntl(process.pidfd(), F_DUPFD_CLOEXEC, 0));
  if (!pidfd.is_open()) return errno_error("pidfd", errno);
  auto impl = std::make_shared<Impl>(io, std::move(process), std::move(options), std::move(events));
  impl->exit_watch.assign(pidfd.release());
  impl->output.assign(read_end.release());
  impl->output.non_blocking(true);
  impl->watch_exit();
  impl->read_output();
  return std::unique_ptr<Child>(new Child(std::move(impl)));
}

Child::Child(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
Child::~Child() {
  impl_->events = {};
}

pid_t Child::pid() const {
  return impl_->process.pid();
}

void Child::stop() {
  if (std::exchange(impl_->stopping, true)) return;
  impl_->process.signal_group(SIGTERM);
  impl_->grace.expires_after(impl_->options.grace);
  const std::weak_ptr<Impl> weak = impl_;
  impl_->grace.async_wait([weak](const boost::system::error_code& ec) {
    const std::shared_ptr<Impl> still = weak.lock();
    if (ec || still == nullptr) return;
    log_warn("event=upstream_ignored_sigterm pid={}", still->process.pid());
    still->process.signal_group(SIGKILL);
  });
}

std::string Child::last_words() const {
  std::string_view text = impl_->tail;
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
  if (text.size() > kLastWords) {
    text.remove_prefix(text.size() - kLastWords);
    if (const std::size_t line = text.find('\n'); line != std::string_view::npos) text.remove_prefix(line + 1);
  }
  return std::string(text);
}

}  // namespace dormouse::worker::adopt
