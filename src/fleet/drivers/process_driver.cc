#include "fleet/drivers/process_driver.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "base/log.h"
#include "base/subprocess.h"
#include "base/unique_fd.h"
#include "fleet/lease_file.h"
#include "fleet/output_log.h"
#include "fleet/worker_command.h"

namespace dormouse::fleet {
namespace {

constexpr std::size_t kOutputChunk = 16 * 1024;
constexpr std::size_t kMaxSocketPath = 107;  // sun_path, less its terminating zero

// One worker from spawn to its confirmed end.
struct Child {
  Child(asio::io_context& io, Subprocess spawned, OutputLog output_log)
      : process(std::move(spawned)), exit_watch(io), output(io), log(std::move(output_log)), grace(io) {}

  std::string instance_id;
  std::string socket_path;
  std::string lease_path;
  Subprocess process;
  asio::posix::stream_descriptor exit_watch;  // a duplicate of the pidfd
  asio::posix::stream_descriptor output;      // our end of the pipe on its stdout and stderr
  OutputLog log;
  asio::steady_timer grace;
  std::array<char, kOutputChunk> chunk{};
  bool stopping = false;
  std::int64_t oom_kills = 0;  // of this machine, before it started
};

// Processes of this machine that were killed for want of memory, of every cgroup. 0: not known.
std::int64_t count_oom_kills(const std::string& vmstat_path) {
  std::ifstream vmstat(vmstat_path);
  std::string key;
  std::int64_t value = 0;
  while (vmstat >> key >> value) {
    if (key == "oom_kill") return value;
  }
  return 0;
}

}  // namespace

struct ProcessDriver::Impl {
  explicit Impl(ProcessDriverOptions o) : options(std::move(o)) {}

  Result<std::shared_ptr<Child>> spawn(const StartSpec& spec);
  void watch_exit(const std::shared_ptr<Child>& child);
  void read_output(const std::shared_ptr<Child>& child);
  void exited(const std::shared_ptr<Child>& child);
  enum class Reading { kSome, kNothing, kEnd };
  Reading read_chunk(Child& child);
  void drain_output(Child& child);

  const ProcessDriverOptions options;
  DriverEvents* events = nullptr;
  // Shared with the handlers that wait on them, which hold weak pointers: a child gone is a handler that does nothing.
  std::map<std::string, std::shared_ptr<Child>> children;
  std::uint64_t next_number = 1;
  int swept = 0;
  std::shared_ptr<int> alive = std::make_shared<int>(0);  // of posted closures
};

std::vector<std::string> allowed_environment(const char* const* environment) {
  constexpr std::array<std::string_view, 5> kNames = {"PATH=", "HOME=", "LANG=", "TZ=", "TMPDIR="};
  constexpr std::array<std::string_view, 4> kPrefixes = {"LC_", "OMP_", "DORMOUSE_", "CUDA_"};
  std::vector<std::string> out;
  for (const char* const* entry = environment; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    bool allowed = false;
    if (text.starts_with(lease_entry(""))) continue;
    for (const std::string_view name : kNames) allowed = allowed || text.starts_with(name);
    for (const std::string_view prefix : kPrefixes) allowed = allowed || text.starts_with(prefix);
    if (allowed) out.emplace_back(text);
  }
  return out;
}

Result<std::unique_ptr<ProcessDriver>> ProcessDriver::create(ProcessDriverOptions options) {
  if (options.run_directory.size() + std::string_view("/w-18446744073709551615.sock").size() > kMaxSocketPath) {
    return make_error(Code::kInvalidArgument,
                      "run directory " + options.run_directory + ": too long for a Unix socket's name (107 bytes)");
  }
  if (::access(options.worker_path.c_str(), X_OK) != 0) return errno_error("worker " + options.worker_path, errno);
  std::error_code ec;
  std::filesystem::create_directories(options.run_directory, ec);
  std::filesystem::create_directories(options.log_directory, ec);
  TRY(const int swept, sweep_left_over_workers(options.run_directory));
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);  // a worker's own children come to us when it dies, not to init
  auto impl = std::make_unique<Impl>(std::move(options));
  impl->swept = swept;
  return std::unique_ptr<ProcessDriver>(new ProcessDriver(std::move(impl)));
}

ProcessDriver::ProcessDriver(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

ProcessDriver::~ProcessDriver() {
  for (const auto& [id, child] : impl_->children) {
    ::unlink(child->lease_path.c_str());
    ::unlink(child->socket_path.c_str());
  }
}

void ProcessDriver::attach(DriverEvents& events) {
  impl_->events = &events;
}

int ProcessDriver::swept() const {
  return impl_->swept;
}

std::vector<std::string> ProcessDriver::list() const {
  std::vector<std::string> out;
  for (const auto& [id, child] : impl_->children) out.push_back(id);
  return out;
}

Result<std::shared_ptr<Child>> ProcessDriver::Impl::spawn(const StartSpec& spec) {
  const std::string base = options.run_directory + "/w-" + std::to_string(next_number++);
  const std::string socket_path = base + ".sock";
  ::unlink(socket_path.c_str());
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return errno_error("pipe2", errno);
  UniqueFd read_end(ends[0]);
  const UniqueFd write_end(ends[1]);
  SubprocessOptions child_options;
  WorkerPlace place;
  place.worker_path = options.worker_path;
  place.listen = "unix:" + socket_path;
  place.control = options.control_address;
  place.packed_directory = options.packed_directory;
  place.golden_directory = options.golden_directory;
  WorkerCommand command = worker_command(spec, place);
  child_options.argv = std::move(command.argv);
  child_options.environment = options.environment;
  for (std::string& entry : command.environment) child_options.environment.push_back(std::move(entry));
  child_options.output_fd = write_end.get();
  const std::int64_t oom_kills = count_oom_kills(options.vmstat_path);
  TRY(Subprocess process, Subprocess::spawn(child_options));
  UniqueFd pidfd(::fcntl(process.pidfd(), F_DUPFD_CLOEXEC, 0));
  if (!pidfd.is_open()) return errno_error("pidfd", errno);
  auto child = std::make_shared<Child>(*options.io, std::move(process),
                                       OutputLog(options.log_directory, spec.deployment, options.log_bytes));
  child->instance_id = spec.instance_id;
  child->socket_path = socket_path;
  child->lease_path = base + ".lease";
  child->oom_kills = oom_kills;
  TRY_STATUS(write_lease_file(child->lease_path, child->process.pid(), spec.instance_id));
  child->exit_watch.assign(pidfd.release());
  child->output.assign(read_end.release());
  child->output.non_blocking(true);
  return child;
}

void ProcessDriver::start(StartSpec spec) {
  Impl& impl = *impl_;
  if (impl.children.contains(spec.instance_id)) return;  // the idempotency key: it runs already
  reap_strangers();
  Result<std::shared_ptr<Child>> child = impl.spawn(spec);
  const std::weak_ptr<int> alive = impl.alive;
  std::function<void()> tell;  // never from inside start()
  if (child.has_value()) {
    log_info("event=worker_spawned deployment={} instance={} pid={}", spec.deployment, spec.instance_id,
             (*child)->process.pid());
    impl.children.emplace(spec.instance_id, *child);
    tell = [&impl, id = spec.instance_id] { impl.events->on_started(id); };
  } else {
    log_error("event=worker_spawn_failed deployment={} error=\"{}\"", spec.deployment, child.error().message);
    tell = [&impl, id = spec.instance_id, error = child.error()] { impl.events->on_start_failed(id, error); };
  }
  asio::post(*impl.options.io, [alive, tell = std::move(tell)] {
    if (!alive.expired()) tell();
  });
  if (!child.has_value()) return;
  impl.watch_exit(*child);
  impl.read_output(*child);
}

void ProcessDriver::Impl::watch_exit(const std::shared_ptr<Child>& child) {
  const std::weak_ptr<Child> weak = child;
  child->exit_watch.async_wait(asio::posix::stream_descriptor::wait_read,
                               [this, weak](const boost::system::error_code& ec) {
                                 const std::shared_ptr<Child> still = weak.lock();
                                 if (!ec && still != nullptr) exited(still);
                               });
}

// By chunk, never by line: a worker that writes a line without end must not fill the pipe and stop. Waited for and then
// read, not read in the background: a chunk that a pending read has already taken would be lost at the worker's end.
void ProcessDriver::Impl::read_output(const std::shared_ptr<Child>& child) {
  const std::weak_ptr<Child> weak = child;
  child->output.async_wait(asio::posix::stream_descriptor::wait_read,
                           [this, weak](const boost::system::error_code& ec) {
                             const std::shared_ptr<Child> still = weak.lock();
                             if (ec || still == nullptr) return;
                             if (read_chunk(*still) != Reading::kEnd) read_output(still);
                           });
}

ProcessDriver::Impl::Reading ProcessDriver::Impl::read_chunk(Child& child) {
  boost::system::error_code ec;
  const std::size_t bytes = child.output.read_some(asio::buffer(child.chunk), ec);
  if (ec == asio::error::would_block) return Reading::kNothing;
  if (ec || bytes == 0) return Reading::kEnd;
  child.log.append({child.chunk.data(), bytes});
  return Reading::kSome;
}

// What is in the pipe at the end: the last words are the ones that matter.
void ProcessDriver::Impl::drain_output(Child& child) {
  constexpr int kMaxChunks = 64;  // a pipe holds 4 of these; a surviving writer must not keep us here
  for (int i = 0; i < kMaxChunks; ++i) {
    if (read_chunk(child) != Reading::kSome) return;
  }
}

void ProcessDriver::Impl::exited(const std::shared_ptr<Child>& child) {
  const pid_t pid = child->process.pid();
  const Result<ExitStatus> status = child->process.try_wait();  // also kills what is left of its group
  if (!status.has_value() && status.error().code == Code::kUnavailable) return watch_exit(child);
  child->output.cancel();
  drain_output(*child);
  ::unlink(child->lease_path.c_str());
  ::unlink(child->socket_path.c_str());
  reap_strangers();
  const std::string id = child->instance_id;
  children.erase(id);
  InstanceExit how;
  if (status.has_value()) how = {status->exit_code, status->signal};
  // Whom we killed ourselves the policy knows: there this says nothing.
  how.out_of_memory = how.signal == SIGKILL && count_oom_kills(options.vmstat_path) > child->oom_kills;
  log_info("event=worker_exited instance={} pid={} exit={} signal={}", id, pid, how.exit_code, how.signal);
  events->on_exited(id, how);
}

void ProcessDriver::stop(const std::string& instance_id, StopMode mode) {
  const auto found = impl_->children.find(instance_id);
  if (found == impl_->children.end()) return;
  const std::shared_ptr<Child> child = found->second;
  if (mode == StopMode::kKill) return child->process.signal_group(SIGKILL);
  if (std::exchange(child->stopping, true)) return;
  child->process.signal_group(SIGTERM);
  child->grace.expires_after(impl_->options.grace);
  const std::weak_ptr<Child> weak = child;
  child->grace.async_wait([weak](const boost::system::error_code& ec) {
    const std::shared_ptr<Child> still = weak.lock();
    if (ec || still == nullptr) return;
    log_warn("event=worker_ignored_sigterm instance={} pid={}", still->instance_id, still->process.pid());
    still->process.signal_group(SIGKILL);
  });
}

}  // namespace dormouse::fleet
