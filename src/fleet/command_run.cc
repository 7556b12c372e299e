#include "fleet/command_run.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cerrno>
#include <csignal>
#include <optional>
#include <utility>

#include "base/unique_fd.h"
#include "fleet/lease_file.h"

namespace dormouse::fleet {
namespace {

constexpr std::size_t kChunk = 16 * 1024;
constexpr std::size_t kErrorsKept = 2048;
constexpr std::size_t kLastWords = 200;
// From the exit to the pipes' end. Longer only if a grandchild left the group and holds them: it is not waited for.
constexpr std::chrono::seconds kLastRead{1};

// One pipe of the command and what came through it.
struct Stream {
  explicit Stream(asio::io_context& io) : end(io) {}
  asio::posix::stream_descriptor end;
  std::array<char, kChunk> chunk{};
  std::string text;
};

struct Run {
  Run(asio::io_context& io, Subprocess spawned)
      : process(std::move(spawned)), exit_watch(io), out(io), err(io), deadline(io), streams_closed(io) {}

  // Keeps what came, within bounds; too much on stdout ends the command.
  void take_output(std::size_t bytes) {
    if (out.text.size() + bytes > output_limit) return end_with(Code::kTooLarge);
    out.text.append(out.chunk.data(), bytes);
  }
  void take_errors(std::size_t bytes) {
    err.text.append(err.chunk.data(), bytes);
    if (err.text.size() > kErrorsKept) err.text.erase(0, err.text.size() - kErrorsKept);
  }
  void closed_one() {
    if (--open_streams == 0) streams_closed.cancel();
  }
  void end_with(Code why) {
    if (!ended.has_value()) ended = why;
    process.signal_group(SIGKILL);
  }

  Subprocess process;
  asio::posix::stream_descriptor exit_watch;  // a duplicate of the pidfd
  Stream out;
  Stream err;
  asio::steady_timer deadline;
  asio::steady_timer streams_closed;  // cancelled when both are
  int open_streams = 2;
  std::size_t output_limit = 0;
  std::optional<Code> ended;  // by us, and why
};

enum class Which { kOut, kErr };

void take(Run& run, Which which, std::size_t bytes) {
  if (which == Which::kOut) return run.take_output(bytes);
  run.take_errors(bytes);
}

// By chunk and without end: a command that talks too much must not fill its pipe and hang before we end it.
void read_on(const std::shared_ptr<Run>& run, Which which) {
  Stream& stream = which == Which::kOut ? run->out : run->err;
  const std::weak_ptr<Run> weak = run;
  stream.end.async_read_some(asio::buffer(stream.chunk),
                             [weak, which](const boost::system::error_code& ec, std::size_t bytes) {
                               const std::shared_ptr<Run> still = weak.lock();
                               if (still == nullptr) return;
                               if (ec) return still->closed_one();
                               take(*still, which, bytes);
                               if (still->ended.has_value()) return still->closed_one();
                               read_on(still, which);
                             });
}

struct Pipe {
  UniqueFd read_end;
  UniqueFd write_end;
};

Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return errno_error("pipe2", errno);
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

Result<std::shared_ptr<Run>> spawn(asio::io_context& io, const CommandOptions& options) {
  TRY(Pipe out, make_pipe());
  TRY(Pipe err, make_pipe());
  SubprocessOptions child;
  child.argv = options.argv;
  TRY(child.argv[0], find_program(options.argv[0], options.environment));
  child.environment = options.environment;
  child.output_fd = out.write_end.get();
  child.error_fd = err.write_end.get();
  TRY(Subprocess process, Subprocess::spawn(child));
  UniqueFd pidfd(::fcntl(process.pidfd(), F_DUPFD_CLOEXEC, 0));
  if (!pidfd.is_open()) return errno_error("pidfd", errno);
  auto run = std::make_shared<Run>(io, std::move(process));
  run->output_limit = options.output_limit;
  run->exit_watch.assign(pidfd.release());
  run->out.end.assign(out.read_end.release());
  run->err.end.assign(err.read_end.release());
  run->out.end.non_blocking(true);
  run->err.end.non_blocking(true);
  return run;
}

void watch_deadline(const std::shared_ptr<Run>& run, std::chrono::milliseconds timeout) {
  const std::weak_ptr<Run> weak = run;
  run->deadline.expires_after(timeout);
  run->deadline.async_wait([weak](const boost::system::error_code& ec) {
    const std::shared_ptr<Run> still = weak.lock();
    if (!ec && still != nullptr) still->end_with(Code::kDeadlineExceeded);
  });
}

Error ended_error(const CommandOptions& options, Code why) {
  const std::string& name = options.argv[0];
  if (why == Code::kDeadlineExceeded) {
    return make_error(why, fmt::format("{}: no end within {} ms", name, options.timeout.count()));
  }
  if (why == Code::kTooLarge) {
    return make_error(why, fmt::format("{}: printed more than {} bytes", name, options.output_limit));
  }
  return make_error(why, fmt::format("{}: cancelled", name));
}

}  // namespace

struct CommandRunner::State {
  explicit State(asio::io_context& i) : io(i) {}
  asio::io_context& io;
  std::vector<std::weak_ptr<Run>> runs;
  bool closed = false;
};

Result<std::string> find_program(const std::string& name, const std::vector<std::string>& environment) {
  if (name.empty()) return make_error(Code::kInvalidArgument, "a command without a program");
  if (name.find('/') != std::string::npos) {
    if (::access(name.c_str(), X_OK) != 0) return errno_error(name, errno);
    return name;
  }
  std::string_view path = "/usr/local/bin:/usr/bin:/bin";
  for (const std::string& entry : environment) {
    if (entry.starts_with("PATH=")) path = std::string_view(entry).substr(5);
  }
  while (!path.empty()) {
    const std::size_t colon = std::min(path.find(':'), path.size());
    const std::string candidate = std::string(path.substr(0, colon)) + "/" + name;
    if (colon > 0 && ::access(candidate.c_str(), X_OK) == 0) return candidate;
    path.remove_prefix(std::min(colon + 1, path.size()));
  }
  return make_error(Code::kNotFound, fmt::format("{}: no such program in PATH", name));
}

std::string last_words(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.remove_suffix(1);
  if (text.size() > kLastWords) text.remove_prefix(text.size() - kLastWords);
  std::string out(text);
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == '"' || c == 0x7f) c = ' ';
  }
  return out;
}

Error exit_error(const std::string& what, const CommandOutput& answer) {
  const std::string how = answer.exit.signal != 0 ? fmt::format("signal {}", answer.exit.signal)
                                                  : fmt::format("exit code {}", answer.exit.exit_code);
  const std::string words = last_words(answer.errors.empty() ? answer.output : answer.errors);
  return make_error(Code::kUnavailable, fmt::format("{}: {}: {}", what, how, words));
}

CommandRunner::CommandRunner(asio::io_context& io) : state_(std::make_shared<State>(io)) {}

CommandRunner::~CommandRunner() {
  close();
}

void CommandRunner::close() {
  state_->closed = true;
  for (const std::weak_ptr<Run>& weak : state_->runs) {
    if (const std::shared_ptr<Run> run = weak.lock()) run->end_with(Code::kCancelled);
  }
}

Task<Result<CommandOutput>> CommandRunner::run(CommandOptions options) {
  return run_command(state_, std::move(options));
}

Task<Result<CommandOutput>> CommandRunner::run_command(std::shared_ptr<State> state, CommandOptions options) {
  if (options.argv.empty()) co_return make_error(Code::kInvalidArgument, "a command without a program");
  if (state->closed) co_return ended_error(options, Code::kCancelled);
  CO_TRY(const std::shared_ptr<Run> run, spawn(state->io, options));
  std::erase_if(state->runs, [](const std::weak_ptr<Run>& weak) { return weak.expired(); });
  state->runs.push_back(run);
  watch_deadline(run, options.timeout);
  read_on(run, Which::kOut);
  read_on(run, Which::kErr);
  Result<ExitStatus> exit = make_error(Code::kUnavailable, "running");
  while (!exit.has_value() && exit.error().code == Code::kUnavailable) {
    const auto [ec] = co_await run->exit_watch.async_wait(asio::posix::stream_descriptor::wait_read, kTuple);
    if (ec) co_return make_error(Code::kInternal, options.argv[0] + ": " + ec.message());
    exit = run->process.try_wait();  // also kills what is left of its group
  }
  run->deadline.cancel();
  reap_strangers();
  if (run->open_streams > 0) {
    run->streams_closed.expires_after(kLastRead);
    co_await run->streams_closed.async_wait(kTuple);
  }
  if (run->ended.has_value()) co_return ended_error(options, *run->ended);
  if (!exit.has_value()) co_return Error(exit.error());
  CommandOutput out;
  out.output = std::move(run->out.text);
  out.errors = std::move(run->err.text);
  out.exit = *exit;
  co_return out;
}

}  // namespace dormouse::fleet
