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
#include <mutex>
#include <set>
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

// Everything a child needs between fork and exec, made before: there only async-signal-safe calls are allowed.
struct ChildPlan {
  char* const* argv = nullptr;
  char* const* envp = nullptr;
  int output_fd = -1;
  int error_fd = -1;
  int error_pipe = -1;
  pid_t parent = -1;
  SubprocessOptions::Guard guard = SubprocessOptions::Guard::kNone;
};

void unblock_signals() {
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

// The group's last moments when nobody waits for it any more: the program has been asked to end and is given a while.
[[noreturn]] void end_gently(pid_t program, const sigset_t& watched) {
  constexpr int kGrace_s = 10;
  ::kill(0, SIGTERM);  // blocked in the guard itself
  for (int signals = 0; signals < 1000; ++signals) {
    if (::waitpid(program, nullptr, WNOHANG) == program) break;
    const timespec grace{.tv_sec = kGrace_s, .tv_nsec = 0};
    // SIGTERM is our own; any other but the program's end is none of ours.
    if (::sigtimedwait(&watched, nullptr, &grace) < 0 && errno == EAGAIN) break;
  }
  ::kill(0, SIGKILL);
  ::_exit(1);
}

// The guard's life: until the program ends, whose end it takes over, or until our parent ends. TERM and INT meant for
// the group reach the program by themselves; the guard only passes over them.
[[noreturn]] void stand_guard(pid_t program, pid_t parent, SubprocessOptions::Guard how) {
  sigset_t watched;
  ::sigemptyset(&watched);
  for (const int number : {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT}) ::sigaddset(&watched, number);
  while (true) {
    int status = 0;
    const pid_t got = ::waitpid(program, &status, WNOHANG);
    if (got == program && WIFEXITED(status)) ::_exit(WEXITSTATUS(status));
    if (got == program) {
      const int number = WTERMSIG(status);
      ::signal(number, SIG_DFL);
      unblock_signals();
      ::raise(number);
      ::_exit(128 + number);
    }
    const bool is_orphan = ::getppid() != parent;
    if (is_orphan && how == SubprocessOptions::Guard::kGroupGently) end_gently(program, watched);
    if (is_orphan) ::kill(0, SIGKILL);  // the group, ourselves last of all
    int number = 0;
    ::sigwait(&watched, &number);
  }
}

// Forks the program off and stays behind as its guard; returns in the program only. The signals it waits for are
// blocked first, so that none is missed.
void become_guarded(const ChildPlan& plan) {
  sigset_t all;
  ::sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, nullptr);
  ::signal(SIGCHLD, SIG_DFL);
  const pid_t guard = ::getpid();
  const pid_t program = ::fork();
  if (program < 0) return;  // unguarded is better than not at all
  if (program == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // of a guard that is killed alone
    if (::getppid() != guard) ::_exit(127);
    return;
  }
  ::prctl(PR_SET_DUMPABLE, 0);         // a program that dumps core needs no second core of ours
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);  // not KILL: it wakes the guard, which then looks for its parent
  ::syscall(SYS_close_range, 0U, ~0U, 0U);
  stand_guard(program, plan.parent, plan.guard);
}

[[noreturn]] void run_child(const ChildPlan& plan) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() == plan.parent) {  // else: the parent died before the prctl, nobody would ever kill us
    if (plan.guard != SubprocessOptions::Guard::kNone) become_guarded(plan);
    unblock_signals();
    ::signal(SIGPIPE, SIG_DFL);
    const int null_fd = ::open("/dev/null", O_RDWR);
    ::dup2(null_fd, 0);
    ::dup2(plan.output_fd >= 0 ? plan.output_fd : null_fd, 1);
    ::dup2(plan.error_fd >= 0 ? plan.error_fd : 1, 2);
    // Everything above stderr is closed on exec, also what a library opened without O_CLOEXEC.
    ::syscall(SYS_close_range, 3U, ~0U, 4U /* CLOSE_RANGE_CLOEXEC */);
    ::execve(plan.argv[0], plan.argv, plan.envp);
  }
  const int failure = errno;
  [[maybe_unused]] const ssize_t written = ::write(plan.error_pipe, &failure, sizeof failure);
  ::_exit(127);
}

// Who is held by a Subprocess: reap_strangers() passes them over.
struct HeldChildren {
  std::mutex mutex;
  std::set<pid_t> pids;
};
HeldChildren& held_children() {
  static HeldChildren children;
  return children;
}
void let_go(pid_t pid) {
  HeldChildren& held = held_children();
  const std::lock_guard<std::mutex> lock(held.mutex);
  held.pids.erase(pid);
}

}  // namespace

void reap_strangers() {
  HeldChildren& held = held_children();
  const std::lock_guard<std::mutex> lock(held.mutex);
  while (true) {
    siginfo_t info{};
    if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) return;
    if (held.pids.contains(info.si_pid)) return;  // its holder is about to; strangers behind it wait until next time
    ::waitid(P_PID, static_cast<id_t>(info.si_pid), &info, WEXITED | WNOHANG);
  }
}

Result<Subprocess> Subprocess::spawn(const SubprocessOptions& options) {
  if (options.argv.empty()) return make_error(Code::kInvalidArgument, "spawn: empty argv");
  std::vector<char*> argv = c_strings(options.argv);
  std::vector<char*> envp = c_strings(options.environment);
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return errno_error("pipe2", errno);
  UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  const ChildPlan plan{.argv = argv.data(),
                       .envp = envp.data(),
                       .output_fd = options.output_fd,
                       .error_fd = options.error_fd,
                       .error_pipe = write_end.get(),
                       .parent = ::getpid(),
                       .guard = options.guard};
  pid_t pid = -1;
  {
    HeldChildren& held = held_children();
    const std::lock_guard<std::mutex> lock(held.mutex);  // until it is known: a child may end before that
    pid = ::fork();
    if (pid == 0) run_child(plan);
    if (pid > 0) held.pids.insert(pid);
  }
  if (pid < 0) return errno_error("fork", errno);

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
  let_go(pid_);
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
  let_go(pid_);
  pid_ = -1;
  ExitStatus out;
  if (WIFEXITED(status)) out.exit_code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) out.signal = WTERMSIG(status);
  return out;
}

}  // namespace dormouse
