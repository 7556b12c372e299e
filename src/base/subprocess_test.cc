// Goal: a child never outlives its owner, an exec failure is an error here and not exit code 127 somewhere.
// Method: real processes; waits are on the pidfd.
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <csignal>

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

}  // namespace
}  // namespace dormouse
