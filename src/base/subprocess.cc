#include "base/subprocess.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <utility>

namespace dormouse {
namespace {

std::vector<char*> c_strings(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  out.reserve(strings.size() + 1);
  for (const std::string& s : strings) out.push_back(const_cast<char*>(s.c_str()));
  out.push_back(nullptr);
  return out;
}

// Runs in the child between fork and exec: async-signal-safe calls only.
[[noreturn]] void run_child(char* const* argv, char* const* envp, int output_fd, int error_fd, int error_pipe,
                            pid_t parent) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() == parent) {  // else: the parent died before the prctl, nobody would ever kill us
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::signal(SIGPIPE, SIG_DFL);
    const int null_fd = ::open("/dev/null", O_RDWR);
    ::dup2(null_fd, 0);
    ::dup2(output_fd >= 0 ? output_fd : null_fd, 1);
    ::dup2(error_fd >= 0 ? error_fd : 1, 2);
    // Everything above stderr is closed on exec, also what a library opened without O_CLOEXEC.
    ::syscall(SYS_close_range, 3U, ~0U, 4U /* CLOSE_RANGE_CLOEXEC */);
    ::execve(argv[0], argv, envp);
  }
  const int failure = errno;
  [[maybe_unused]] const ssize_t written = ::write(error_pipe, &failure, sizeof failure);
  ::_exit(127);
}

}  // namespace

Result<Subprocess> Subprocess::spawn(const SubprocessOptions& options) {
  if (options.argv.empty()) return make_error(Code::kInvalidArgument, "spawn: empty argv");
  std::vector<char*> argv = c_strings(options.argv);
  std::vector<char*> envp = c_strings(options.environment);
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return errno_error("pipe2", errno);
  UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return errno_error("fork", errno);
  if (pid == 0) run_child(argv.data(), envp.data(), options.output_fd, options.error_fd, write_end.get(), parent);

  Subprocess child;
  child.pid_ = pid;
  ::setpgid(pid, pid);  // also here, so that signal_group works before the child ran
  write_end.reset();
  int failure = 0;
  ssize_t got = 0;
  do {
    got = ::read(read_end.get(), &failure, sizeof failure);
  } while (got < 0 && errno == EINTR);
  if (got == static_cast<ssize_t>(sizeof failure)) return errno_error(options.argv[0], failure);  // ~child reaps
  child.pidfd_ = UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0U)));
  if (!child.pidfd_.is_open()) return errno_error("pidfd_open", errno);
  return child;
}

Subprocess& Subprocess::operator=(Subprocess&& other) noexcept {
  if (this == &other) return *this;
  kill_and_reap();
  pid_ = std::exchange(other.pid_, -1);
  pidfd_ = std::move(other.pidfd_);
  return *this;
}

Subprocess::Subprocess(Subprocess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), pidfd_(std::move(other.pidfd_)) {}

Subprocess::~Subprocess() {
  kill_and_reap();
}

void Subprocess::kill_and_reap() noexcept {
  if (pid_ <= 0) return;
  ::kill(-pid_, SIGKILL);
  ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
}

void Subprocess::signal_group(int signal_number) const {
  if (pid_ > 0) ::kill(-pid_, signal_number);
}

Result<ExitStatus> Subprocess::try_wait() {
  if (pid_ <= 0) return make_error(Code::kNotFound, "child already reaped");
  int status = 0;
  const pid_t got = ::waitpid(pid_, &status, WNOHANG);
  if (got == 0) return make_error(Code::kUnavailable, "child is running");
  if (got < 0) return errno_error("waitpid", errno);
  ::kill(-pid_, SIGKILL);  // grandchildren behind a wrapper go with it
  pid_ = -1;
  ExitStatus out;
  if (WIFEXITED(status)) out.exit_code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) out.signal = WTERMSIG(status);
  return out;
}

}  // namespace dormouse
