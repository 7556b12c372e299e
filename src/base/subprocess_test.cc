// Goal: a child never outlives its owner, an exec failure is an error here and not exit code 127 somewhere.
// Method: real processes; waits are on the pidfd.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <csignal>
#include <string>

#include "base/subprocess.h"

namespace dormouse {
namespace {

bool wait_exit(const Subprocess& child) {
  pollfd p{child.pidfd(), POLLIN, 0};
  return ::poll(&p, 1, 10'000) == 1;
}

TEST(Subprocess, ReportsTheExitCode) {
  auto child = Subprocess::spawn({.argv = {"/bin/sh", "-c", "exit 7"}, .environment = {}, .output_fd = -1});
  ASSERT_TRUE(child.has_value());
  ASSERT_TRUE(wait_exit(*child));
  const auto status = child->try_wait();
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(status->exit_code, 7);
  EXPECT_EQ(status->signal, 0);
}

TEST(Subprocess, MissingProgramIsAnErrorOfSpawn) {
  const auto child = Subprocess::spawn({.argv = {"/no/such/program"}, .environment = {}, .output_fd = -1});
  ASSERT_FALSE(child.has_value());
  EXPECT_EQ(child.error().code, Code::kNotFound);
}

TEST(Subprocess, InheritsOnlyTheGivenEnvironment) {
  ::setenv("DORMOUSE_SECRET", "x", 1);
  auto child = Subprocess::spawn({.argv = {"/bin/sh", "-c", "test -z \"$DORMOUSE_SECRET\" && test \"$A\" = b"},
                                  .environment = {"A=b"},
                                  .output_fd = -1});
  ASSERT_TRUE(child.has_value());
  ASSERT_TRUE(wait_exit(*child));
  EXPECT_EQ(child->try_wait()->exit_code, 0);
}

TEST(Subprocess, SignalReachesTheWholeGroup) {
  auto child = Subprocess::spawn({.argv = {"/bin/sh", "-c", "sleep 100 & wait"}, .environment = {}, .output_fd = -1});
  ASSERT_TRUE(child.has_value());
  EXPECT_EQ(child->try_wait().error().code, Code::kUnavailable);
  child->signal_group(SIGTERM);
  ASSERT_TRUE(wait_exit(*child));
  EXPECT_EQ(child->try_wait()->signal, SIGTERM);
}

TEST(Subprocess, DestructorKillsAndReaps) {
  pid_t pid = 0;
  {
    auto child = Subprocess::spawn({.argv = {"/bin/sleep", "100"}, .environment = {}, .output_fd = -1});
    ASSERT_TRUE(child.has_value());
    pid = child->pid();
  }
  EXPECT_NE(::kill(pid, 0), 0);  // reaped: not even a zombie
}

SubprocessOptions guarded(std::string script, int output_fd = -1) {
  return {.argv = {"/bin/sh", "-c", std::move(script)},
          .environment = {},
          .output_fd = output_fd,
          .guard = SubprocessOptions::Guard::kGroup};
}

TEST(Subprocess, AGuardPassesOnHowTheProgramEnded) {
  auto exits = Subprocess::spawn(guarded("exit 7"));
  ASSERT_TRUE(exits.has_value());
  ASSERT_TRUE(wait_exit(*exits));
  EXPECT_EQ(exits->try_wait()->exit_code, 7);
  auto dies = Subprocess::spawn(guarded("kill -11 $$"));
  ASSERT_TRUE(dies.has_value());
  ASSERT_TRUE(wait_exit(*dies));
  EXPECT_EQ(dies->try_wait()->signal, SIGSEGV);
  SubprocessOptions missing = guarded("");
  missing.argv = {"/no/such/program"};
  EXPECT_EQ(Subprocess::spawn(missing).error().code, Code::kNotFound);
}

TEST(Subprocess, SignalsReachAGuardedGroupWhichMayIgnoreThem) {
  auto obedient = Subprocess::spawn(guarded("sleep 100 & wait"));
  ASSERT_TRUE(obedient.has_value());
  obedient->signal_group(SIGTERM);
  ASSERT_TRUE(wait_exit(*obedient));
  EXPECT_EQ(obedient->try_wait()->signal, SIGTERM);
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  auto stubborn = Subprocess::spawn(guarded("trap '' TERM; echo; while :; do sleep 100; done", ends[1]));
  ASSERT_TRUE(stubborn.has_value());
  char byte = 0;
  ASSERT_EQ(::read(ends[0], &byte, 1), 1) << "the trap is set";
  stubborn->signal_group(SIGTERM);
  EXPECT_EQ(stubborn->try_wait().error().code, Code::kUnavailable);
  stubborn->signal_group(SIGKILL);
  ASSERT_TRUE(wait_exit(*stubborn));
  EXPECT_EQ(stubborn->try_wait()->signal, SIGKILL);
  ::close(ends[0]);
  ::close(ends[1]);
}

// The owner is killed without a chance to clean up: PDEATHSIG alone would leave the grandchild.
TEST(Subprocess, AGuardedGroupDiesWithItsOwnerGrandchildrenToo) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  const pid_t owner = ::fork();
  ASSERT_GE(owner, 0);
  if (owner == 0) {
    const auto child = Subprocess::spawn(guarded("sleep 1000 & echo $!; wait", ends[1]));
    while (child.has_value()) ::pause();
    ::_exit(1);
  }
  std::array<char, 32> text{};
  const ssize_t got = ::read(ends[0], text.data(), text.size());
  pid_t grandchild = 0;
  ASSERT_GT(got, 0);
  std::from_chars(text.data(), text.data() + got, grandchild);
  ASSERT_GT(grandchild, 0);
  const int watch = static_cast<int>(::syscall(SYS_pidfd_open, grandchild, 0U));
  ASSERT_GE(watch, 0);
  ASSERT_EQ(::kill(owner, SIGKILL), 0);
  pollfd p{watch, POLLIN, 0};
  EXPECT_EQ(::poll(&p, 1, 10'000), 1) << "the grandchild lives on";
  EXPECT_EQ(::waitpid(owner, nullptr, 0), owner);
  for (const int fd : {watch, ends[0], ends[1]}) ::close(fd);
}

TEST(Subprocess, AGentlyGuardedGroupIsAskedFirst) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  const pid_t owner = ::fork();
  ASSERT_GE(owner, 0);
  if (owner == 0) {
    SubprocessOptions options = guarded("trap 'echo bye; exit 0' TERM; echo hi; sleep 1000 & wait", ends[1]);
    options.guard = SubprocessOptions::Guard::kGroupGently;
    const auto child = Subprocess::spawn(options);
    while (child.has_value()) ::pause();
    ::_exit(1);
  }
  ::close(ends[1]);
  std::array<char, 32> text{};
  ASSERT_EQ(::read(ends[0], text.data(), text.size()), 3);
  ASSERT_EQ(::kill(owner, SIGKILL), 0);
  EXPECT_EQ(::read(ends[0], text.data(), text.size()), 4) << "bye";
  EXPECT_EQ(::read(ends[0], text.data(), text.size()), 0) << "all of the group is gone";
  EXPECT_EQ(::waitpid(owner, nullptr, 0), owner);
  ::close(ends[0]);
}

// A daemon that a child leaves behind comes to its subreaper, in a group and a session of its own.
TEST(Subprocess, StrangersAreReapedAndHeldChildrenAreNot) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  Result<Subprocess> held = Subprocess::spawn({.argv = {"/bin/sh", "-c", "exit 7"}, .environment = {}});
  Result<Subprocess> leaver =
      Subprocess::spawn({.argv = {"/bin/sh", "-c", "/usr/bin/setsid /bin/sleep 0.1 & exit 0"}, .environment = {}});
  ASSERT_TRUE(held.has_value() && leaver.has_value());
  ASSERT_TRUE(wait_exit(*held) && wait_exit(*leaver));
  ASSERT_TRUE(leaver->try_wait().has_value());
  reap_strangers();
  const Result<ExitStatus> status = held->try_wait();
  ASSERT_TRUE(status.has_value()) << "its holder still learns how it ended";
  EXPECT_EQ(status->exit_code, 7);
  const auto has_children = [] {
    siginfo_t info{};
    return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
  };
  for (int i = 0; i < 1'000 && has_children(); ++i) {
    reap_strangers();
    ::poll(nullptr, 0, 10);
  }
  EXPECT_FALSE(has_children()) << "the one that was left has been taken";
}

}  // namespace
}  // namespace dormouse
