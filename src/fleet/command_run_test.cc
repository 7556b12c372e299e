// Goal: whatever a command does, it ends, its output is bounded and nothing of it is left. Method: /bin/sh as the
// command.
#include "fleet/command_run.h"

#include <gtest/gtest.h>

#include <fstream>

#include "fleet/fleet_fixture.h"

namespace dormouse::fleet {
namespace {

class CommandRunTest : public ::testing::Test {
 protected:
  std::optional<Result<CommandOutput>> run(const std::string& script, std::chrono::milliseconds timeout,
                                           std::size_t limit = 1U << 20) {
    CommandOptions options;
    options.argv = {"/bin/sh", "-c", script};
    options.environment = {"PATH=/usr/bin:/bin", "A=1"};
    options.timeout = timeout;
    options.output_limit = limit;
    return run_task(io_, runner_.run(options));
  }
  asio::io_context io_{1};
  CommandRunner runner_{io_};
};

constexpr std::chrono::seconds kLong{30};

TEST_F(CommandRunTest, KeepsOutputErrorsAndTheExitCodeApart) {
  const auto answer = run("echo out $A; echo err >&2; exit 3", kLong);
  ASSERT_TRUE(answer.has_value() && answer->has_value());
  EXPECT_EQ((*answer)->output, "out 1\n");
  EXPECT_EQ((*answer)->errors, "err\n");
  EXPECT_EQ((*answer)->exit.exit_code, 3);
}

TEST_F(CommandRunTest, TakesEverythingUpToTheLimitAndNothingBeyond) {
  const auto fits = run("head -c 1000000 /dev/zero", kLong);
  ASSERT_TRUE(fits.has_value() && fits->has_value());
  EXPECT_EQ((*fits)->output.size(), 1'000'000U);
  const auto much = run("head -c 10000000 /dev/zero; sleep 100", kLong);
  ASSERT_TRUE(much.has_value() && !much->has_value());
  EXPECT_EQ(much->error().code, Code::kTooLarge);
  const auto errors = run("head -c 10000000 /dev/zero >&2; exit 1", kLong);
  ASSERT_TRUE(errors.has_value() && errors->has_value()) << "stderr may be long: its end is kept";
  EXPECT_LE((*errors)->errors.size(), 2048U);
}

TEST_F(CommandRunTest, AHungCommandAndItsChildrenAreKilled) {
  const auto answer = run("sleep 1000 & echo $!; exec sleep 1000", std::chrono::milliseconds(200));
  ASSERT_TRUE(answer.has_value() && !answer->has_value());
  EXPECT_EQ(answer->error().code, Code::kDeadlineExceeded);
}

TEST_F(CommandRunTest, AGrandchildThatKeepsThePipeDoesNotKeepUs) {
  const auto answer = run("sleep 1000 & echo $!", kLong);
  ASSERT_TRUE(answer.has_value() && answer->has_value());
  const std::string pid = (*answer)->output.substr(0, (*answer)->output.find('\n'));
  const auto ended = [&pid] {  // reaped, or a zombie of whoever reaps here
    std::ifstream stat("/proc/" + pid + "/stat");
    std::string line;
    return !std::getline(stat, line) || line.find(") Z ") != std::string::npos;
  };
  EXPECT_TRUE(run_until(io_, ended)) << "its group goes with it";
}

TEST_F(CommandRunTest, AMissingProgramIsTyped) {
  CommandOptions options;
  options.argv = {"no-such-program"};
  const auto by_name = run_task(io_, runner_.run(options));
  ASSERT_TRUE(by_name.has_value() && !by_name->has_value());
  EXPECT_EQ(by_name->error().code, Code::kNotFound);
  options.argv = {};
  EXPECT_FALSE(run_task(io_, runner_.run(options))->has_value());
}

TEST_F(CommandRunTest, CloseEndsWhatRuns) {
  std::optional<Result<CommandOutput>> answer;
  CommandOptions options;
  options.argv = {"/bin/sleep", "1000"};
  asio::co_spawn(io_, keep(runner_.run(options), &answer), asio::detached);
  io_.poll();
  runner_.close();
  ASSERT_TRUE(run_until(io_, [&answer] { return answer.has_value(); }));
  ASSERT_FALSE(answer->has_value());
  EXPECT_EQ(answer->error().code, Code::kCancelled);
}

TEST(LastWords, AreOneCleanLine) {
  EXPECT_EQ(last_words("a\nb\"c\x01\n\n"), "a b c ");
  EXPECT_EQ(last_words(std::string(1000, 'x')).size(), 200U);
}

}  // namespace
}  // namespace dormouse::fleet
