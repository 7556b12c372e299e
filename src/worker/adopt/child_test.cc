// Goal: a child's output, end and whole process group are ours to know and to end. Method: /bin/sh as the child; waits
// are on its events.
#include "worker/adopt/child.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <optional>

#include "http/server_fixture_test.h"

namespace dormouse::worker::adopt {
namespace {

class ChildTest : public ::testing::Test {
 protected:
  void start(const std::string& script, std::chrono::milliseconds grace = std::chrono::seconds(10)) {
    ChildOptions options{.argv = {"/bin/sh", "-c", script}, .environment = {"PATH=/usr/bin:/bin"}, .grace = grace};
    ChildEvents events;
    events.on_output = [this](std::string_view text) { output_ += text; };
    events.on_exit = [this](ExitStatus status) { exit_ = status; };
    auto child = Child::start(io_, std::move(options), std::move(events));
    ASSERT_TRUE(child.has_value()) << child.error().message;
    child_ = *std::move(child);
  }
  bool run_until(const std::function<bool()>& condition) {
    return http::TestServer::eventually([&] {
      io_.restart();
      io_.run_for(std::chrono::milliseconds(10));
      return condition();
    });
  }
  bool run_until_exit() {
    return run_until([this] { return exit_.has_value(); });
  }

  asio::io_context io_;
  std::string output_;
  std::optional<ExitStatus> exit_;
  std::unique_ptr<Child> child_;
};

TEST_F(ChildTest, TellsOutputAndExit) {
  start("echo one; echo two >&2; exit 5");
  ASSERT_TRUE(run_until_exit());
  EXPECT_EQ(exit_->exit_code, 5);
  EXPECT_EQ(output_, "one\ntwo\n");
  EXPECT_EQ(child_->last_words(), "one\ntwo");
}

TEST_F(ChildTest, KeepsTheLastWordsOfAFloodWithoutLines) {
  start("head -c 1000000 /dev/zero | tr '\\0' x; echo; echo the end");
  ASSERT_TRUE(run_until_exit());
  EXPECT_GE(output_.size(), 1'000'000U);
  EXPECT_LE(child_->last_words().size(), 2048U);
  EXPECT_TRUE(child_->last_words().ends_with("the end"));
}

TEST_F(ChildTest, StopEndsTheWholeGroupAndGraceIsNotForEver) {
  start("trap '' TERM; sleep 1000 & echo $!; while :; do sleep 1000; done", std::chrono::milliseconds(50));
  ASSERT_TRUE(run_until([this] { return output_.ends_with("\n"); }));
  pid_t grandchild = 0;
  std::from_chars(output_.data(), output_.data() + output_.size(), grandchild);
  ASSERT_GT(grandchild, 0);
  child_->stop();
  ASSERT_TRUE(run_until_exit());
  EXPECT_EQ(exit_->signal, SIGKILL);
  // Gone, or a corpse that nobody in this container collects.
  EXPECT_TRUE(run_until([grandchild] {
    return ::kill(grandchild, 0) != 0 || !::access(("/proc/" + std::to_string(grandchild) + "/exe").c_str(), F_OK) == 0;
  }));
}

TEST_F(ChildTest, DestroyingItIsTheEndOfItWithoutACallback) {
  start("sleep 1000");
  const pid_t pid = child_->pid();
  child_.reset();
  EXPECT_NE(::kill(pid, 0), 0);
  io_.restart();
  io_.run_for(std::chrono::milliseconds(10));
  EXPECT_FALSE(exit_.has_value());
}

TEST(ChildProgram, IsFoundInPathOrSaidToBeMissing) {
  EXPECT_EQ(*find_program("/any/where", ""), "/any/where");
  EXPECT_EQ(*find_program("./here", ""), "./here");
  EXPECT_TRUE(find_program("sh", "/nonexistent:/usr/bin:/bin")->ends_with("/sh"));
  const auto missing = find_program("llama-server-9", "/usr/bin::bin");
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code, Code::kNotFound);
  EXPECT_NE(missing.error().message.find("llama-server-9"), std::string::npos);
}

TEST(ChildProgram, SeesOnlyWhatItMay) {
  const char* const ours[] = {"PATH=/bin", "HOME=/h",          "LC_ALL=C",     "CUDA_VISIBLE_DEVICES=1",
                              "SECRET=x",  "DORMOUSE_TOKEN=t", "PATHOLOGY=no", nullptr};
  EXPECT_EQ(
      child_environment(ours, {"PATH=/opt", "HF_HOME=/models"}),
      (std::vector<std::string>{"HOME=/h", "LC_ALL=C", "CUDA_VISIBLE_DEVICES=1", "PATH=/opt", "HF_HOME=/models"}));
}

}  // namespace
}  // namespace dormouse::worker::adopt
