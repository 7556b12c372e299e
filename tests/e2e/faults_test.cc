// Goal: whatever dies, each request ends in exactly one settled row, the caller is told, and nothing stays behind.
// Method: SIGKILL to workers and gateway, callers that leave, workers that fail on purpose.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "base/ids.h"
#include "base/unique_fd.h"
#include "e2e/running_house.h"

namespace dormouse::e2e {
namespace {

using std::chrono::milliseconds;

HouseSetup one(std::string behaviour) {
  HouseSetup setup;
  setup.fakes = {{"demo", std::move(behaviour)}};
  return setup;
}

constexpr const char* kStream = R"({"prompt":"x","stream":true})";

Wish streaming() {
  Wish wish;
  wish.method = "POST";
  wish.target = "/generate";
  wish.body = kStream;
  return wish;
}

pid_t worker_pid(RunningHouse& house) {
  const gateway::DeploymentView demo = house.deployment("demo");
  return demo.instances.empty() ? 0 : static_cast<pid_t>(demo.instances.front().pid);
}

TEST(Faults, AWorkerKilledMidStreamIsAnErrorEventAndOneRow) {
  RunningHouse house(one("tokens=1000,tokens_per_s=200"));
  ASSERT_TRUE(house.is_up()) << house.log();
  ASSERT_EQ(house.post("/admin/v1/deployments/demo/wake", "").status, 200) << house.log();
  const pid_t worker = worker_pid(house);
  ASSERT_GT(worker, 0);
  Wish wish = streaming();
  wish.on_piece = [worker](const std::string& piece) {
    if (piece.find("w3") != std::string::npos) ::kill(worker, SIGKILL);
    return true;
  };
  const Answer answer = house.ask(std::move(wish));
  EXPECT_EQ(answer.status, 200);
  const std::vector<std::string> events = sse_events(answer.body);
  ASSERT_FALSE(events.empty());
  EXPECT_NE(events.back().find("worker_crashed"), std::string::npos) << answer.body;
  EXPECT_EQ(answer.body.find("[DONE]"), std::string::npos);
  const std::vector<ledger::RequestRow> rows = house.rows();
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_TRUE(rows[0].settled);
  EXPECT_EQ(rows[0].settlement.outcome, ledger::Outcome::kFailed);
  EXPECT_EQ(rows[0].settlement.error_code, "worker_crashed");
  EXPECT_EQ(rows[0].settlement.output_tokens, 0);  // our fault is not billed (requirement R-28)
  const Answer next = house.post("/generate", R"({"prompt":"x","max_tokens":2})");
  EXPECT_EQ(next.status, 200) << next.body << house.log();
}

TEST(Faults, AWorkerLostBeforeTheFirstTokenCostsOneRetryThenA502) {
  RunningHouse house(one("golden_mismatch=1"));
  ASSERT_TRUE(house.is_up()) << house.log();
  const Answer answer = house.post("/generate", R"({"prompt":"x"})");
  EXPECT_EQ(answer.status, 502) << answer.body << house.log();
  EXPECT_NE(answer.body.find("worker_crashed"), std::string::npos) << answer.body;
  EXPECT_EQ(house.metric("dormouse_retries_total"), 1);
  EXPECT_EQ(house.deployment("demo").wakes, 2);  // the first worker was killed, the retry had one of its own
  const std::vector<ledger::RequestRow> rows = house.rows();
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_TRUE(rows[0].settled);
  EXPECT_EQ(rows[0].settlement.http_status, 502);
  EXPECT_EQ(rows[0].settlement.outcome, ledger::Outcome::kFailed);
  EXPECT_EQ(rows[0].settlement.output_tokens, 0);
}

TEST(Faults, AWrongGoldenAnswerCostsTheWorkerAndNotTheCaller) {
  RunningHouse house(one("golden_mismatch=1,faulty_starts=1,tokens=3"));
  ASSERT_TRUE(house.is_up()) << house.log();
  std::vector<Wish> both(2, streaming());
  both[1].body = R"({"prompt":"x"})";
  for (const Answer& answer : house.ask_all(std::move(both))) {
    EXPECT_EQ(answer.status, 200) << answer.body << house.log();
    EXPECT_TRUE(answer.whole);
    EXPECT_EQ(answer.body.find("error"), std::string::npos) << answer.body;
  }
  EXPECT_EQ(house.metric("dormouse_retries_total"), 2);
  EXPECT_EQ(house.deployment("demo").wakes, 2);
  const std::vector<ledger::RequestRow> rows = house.rows();
  ASSERT_EQ(rows.size(), 2U);
  for (const ledger::RequestRow& row : rows) {
    EXPECT_EQ(row.settlement.outcome, ledger::Outcome::kOk);
    EXPECT_EQ(row.settlement.output_tokens, 3);  // once, though it was asked twice
  }
}

TEST(Faults, AModelThatDoesNotLoadIsA503WithAdvice) {
  RunningHouse house(one("fail_load=1"));
  ASSERT_TRUE(house.is_up()) << house.log();
  const Answer answer = house.post("/generate", R"({"prompt":"x"})");
  EXPECT_EQ(answer.status, 503) << answer.body;
  EXPECT_NE(answer.body.find("model_load_failed"), std::string::npos) << answer.body;
  EXPECT_TRUE(answer.headers.find("retry-after").has_value());
  ASSERT_EQ(house.rows().size(), 1U);
  EXPECT_TRUE(house.rows()[0].settled);
}

// Fills what is left of a file system.
void fill(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  const std::string block(64 * 1024, 'x');
  while (::write(fd.get(), block.data(), block.size()) > 0) {
  }
  while (::write(fd.get(), block.data(), 512) > 0) {
  }
}

TEST(Faults, AFullDiskRefusesNewRequestsLetsRunningOnesFinishAndRecoversByItself) {
  const std::string directory = (std::filesystem::temp_directory_path() / ("dormouse-full-" + random_hex(4))).string();
  std::filesystem::create_directories(directory);
  if (::mount("tmpfs", directory.c_str(), "tmpfs", 0, "size=64m") != 0) {
    std::filesystem::remove_all(directory);
    GTEST_SKIP() << "mounting a small file system is not allowed here";
  }
  {
    HouseSetup setup = one("tokens=600,tokens_per_s=200");
    setup.data_dir = directory;
    RunningHouse house(setup);
    ASSERT_TRUE(house.is_up()) << house.log();
    Wish wish = streaming();
    bool is_full = false;
    Answer refused;
    wish.on_piece = [&](const std::string& piece) {
      if (is_full || piece.find("w9") == std::string::npos) return true;
      is_full = true;
      fill(directory + "/filler");
      refused = house.post("/generate", R"({"prompt":"x","max_tokens":2})");
      return true;
    };
    const Answer running = house.ask(std::move(wish));
    EXPECT_EQ(refused.status, 503) << refused.body;
    EXPECT_NE(refused.body.find("ledger_unavailable"), std::string::npos) << refused.body;
    EXPECT_NE(running.body.find("[DONE]"), std::string::npos) << house.log();
    std::filesystem::remove(directory + "/filler");
    EXPECT_TRUE(house.eventually(milliseconds(10'000), [&house] {
      return house.post("/generate", R"({"prompt":"x","max_tokens":2})").status == 200;
    })) << house.log();
    std::size_t whole = 0;
    for (const ledger::RequestRow& row : house.rows()) {
      EXPECT_TRUE(row.settled) << row.request_id;
      whole += row.settlement.output_tokens == 600 ? 1 : 0;
    }
    EXPECT_EQ(whole, 1U);
  }
  ::umount2(directory.c_str(), MNT_DETACH);
  std::filesystem::remove_all(directory);
}

TEST(Faults, ACallerThatLeavesIsBilledForWhatWasWritten) {
  RunningHouse house(one("tokens=1000,tokens_per_s=200"));
  ASSERT_TRUE(house.is_up()) << house.log();
  Wish wish = streaming();
  wish.on_piece = [](const std::string& piece) { return piece.find("w5") == std::string::npos; };
  house.ask(std::move(wish));
  ASSERT_TRUE(house.eventually(milliseconds(5'000), [&house] {
    const auto rows = house.rows();
    return rows.size() == 1 && rows[0].settled;
  })) << house.log();
  const ledger::RequestRow row = house.rows().front();
  EXPECT_EQ(row.settlement.outcome, ledger::Outcome::kClientGone);
  EXPECT_GE(row.settlement.output_tokens, 6);
  EXPECT_LT(row.settlement.output_tokens, 200);  // and it stopped soon
  EXPECT_EQ(row.settlement.input_tokens, 1);
  EXPECT_TRUE(house.eventually(milliseconds(5'000), [&house] { return house.deployment("demo").running == 0; }));
}

TEST(Faults, ACallerThatLeavesWhileItWakesDoesNotAbortTheLoad) {
  RunningHouse house(one("load_ms=700,tokens=2"));
  ASSERT_TRUE(house.is_up()) << house.log();
  Wish wish = streaming();
  wish.on_piece = [](const std::string&) { return false; };  // leaves at the first comment
  house.ask(std::move(wish));
  EXPECT_TRUE(house.eventually(milliseconds(10'000), [&house] { return house.deployment("demo").state == "ready"; }))
      << house.log();
  const auto rows = house.rows();
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].settlement.outcome, ledger::Outcome::kClientGone);
  EXPECT_EQ(rows[0].settlement.output_tokens, 0);
}

TEST(Faults, AKilledGatewayLeavesNoWorker) {
  RunningHouse house(one("tokens=1000,tokens_per_s=50"));
  ASSERT_TRUE(house.is_up()) << house.log();
  ASSERT_EQ(house.post("/admin/v1/deployments/demo/wake", "").status, 200);
  const pid_t worker = worker_pid(house);
  ASSERT_GT(worker, 0);
  Wish wish = streaming();
  wish.on_piece = [&house](const std::string& piece) {
    if (piece.find("w2") != std::string::npos) house.signal(SIGKILL);
    return true;
  };
  const Answer answer = house.ask(std::move(wish));
  EXPECT_FALSE(answer.whole);
  EXPECT_TRUE(process_gone(worker, milliseconds(2'000)));
  ASSERT_TRUE(house.wait_exit(milliseconds(2'000)).has_value());

  // The next server settles what the dead one left open: once, and in the caller's favour.
  HouseSetup again = one("tokens=2");
  again.data_dir = house.directory();
  RunningHouse next(again);
  ASSERT_TRUE(next.is_up()) << next.log();
  const auto rows = next.rows();
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_TRUE(rows[0].settled);
  EXPECT_EQ(rows[0].settlement.outcome, ledger::Outcome::kInterrupted);
  EXPECT_EQ(next.post("/generate", R"({"prompt":"x"})").status, 200) << next.log();
}

TEST(Faults, SigtermLetsARunningAnswerFinishAndLeavesNothing) {
  RunningHouse house(one("tokens=60,tokens_per_s=60"));
  ASSERT_TRUE(house.is_up()) << house.log();
  ASSERT_EQ(house.post("/admin/v1/deployments/demo/wake", "").status, 200);
  const pid_t worker = worker_pid(house);
  Wish wish = streaming();
  bool told = false;
  wish.on_piece = [&house, &told](const std::string&) {
    if (!std::exchange(told, true)) house.signal(SIGTERM);
    return true;
  };
  const Answer answer = house.ask(std::move(wish));
  EXPECT_TRUE(answer.whole);
  EXPECT_EQ(sse_events(answer.body).back(), "[DONE]");
  const std::optional<ExitStatus> exit = house.wait_exit(milliseconds(10'000));
  ASSERT_TRUE(exit.has_value()) << house.log();
  EXPECT_EQ(exit->exit_code, 0);
  EXPECT_TRUE(process_gone(worker, milliseconds(100)));
  EXPECT_FALSE(std::filesystem::exists(house.admin_socket()));
}

TEST(Faults, ASecondSigtermIsQuickAndToldToTheCaller) {
  RunningHouse house(one("tokens=100000,tokens_per_s=20"));
  ASSERT_TRUE(house.is_up()) << house.log();
  Wish wish = streaming();
  int pieces = 0;
  wish.on_piece = [&house, &pieces](const std::string&) {
    ++pieces;
    if (pieces == 2 || pieces == 8) house.signal(SIGTERM);
    return true;
  };
  const Answer answer = house.ask(std::move(wish));
  ASSERT_FALSE(sse_events(answer.body).empty());
  EXPECT_NE(sse_events(answer.body).back().find("draining"), std::string::npos) << sse_events(answer.body).back();
  const std::optional<ExitStatus> exit = house.wait_exit(milliseconds(4'000));
  ASSERT_TRUE(exit.has_value()) << house.log();
  EXPECT_EQ(exit->exit_code, 0);
}

}  // namespace
}  // namespace dormouse::e2e
