// Goal: an instance's life as seen from the door: one start for many callers, sleep when idle, hundreds of cycles
// without a leak. Method: the real gateway with fake workers, which load in the time they are told.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>

#include "e2e/running_house.h"

namespace dormouse::e2e {
namespace {

using std::chrono::milliseconds;

HouseSetup one(std::string behaviour, std::string idle_timeout = "10m") {
  HouseSetup setup;
  setup.fakes = {{"demo", std::move(behaviour)}};
  setup.idle_timeout = std::move(idle_timeout);
  return setup;
}

TEST(Life, ManyCallersOneStart) {
  RunningHouse house(one("load_ms=400,tokens=3"));
  ASSERT_TRUE(house.is_up()) << house.log();
  constexpr std::size_t kCallers = 40;
  std::vector<Wish> wishes(kCallers);
  for (std::size_t i = 0; i < kCallers; ++i) {
    wishes[i].method = "POST";
    wishes[i].target = "/generate";
    wishes[i].body = i % 2 == 0 ? R"({"prompt":"x"})" : R"({"prompt":"x","stream":true})";
  }
  const std::vector<Answer> answers = house.ask_all(std::move(wishes));
  for (const Answer& answer : answers) {
    EXPECT_EQ(answer.status, 200) << answer.body;
    EXPECT_TRUE(answer.whole);
  }
  EXPECT_EQ(house.deployment("demo").wakes, 1);
  const auto rows = house.rows();
  EXPECT_EQ(rows.size(), kCallers);
  for (const ledger::RequestRow& row : rows) {
    EXPECT_TRUE(row.settled);
    EXPECT_EQ(row.settlement.outcome, ledger::Outcome::kOk);
    EXPECT_EQ(row.settlement.output_tokens, 3);
    EXPECT_GT(row.settlement.wake_wait_us, 0);
  }
}

TEST(Life, SleepsWhenIdleAndLookingDoesNotKeepItAwake) {
  RunningHouse house(one("tokens=2", "1s"));
  ASSERT_TRUE(house.is_up()) << house.log();
  ASSERT_EQ(house.post("/generate", R"({"prompt":"x"})").status, 200) << house.log();
  const gateway::DeploymentView awake = house.deployment("demo");
  ASSERT_EQ(awake.state, "ready");
  ASSERT_EQ(awake.instances.size(), 1U);
  const auto worker = static_cast<pid_t>(awake.instances.front().pid);
  EXPECT_TRUE(house.eventually(milliseconds(8'000), [&house] {
    house.get("/v1/models");
    house.get("/metrics");
    return house.deployment("demo").state == "asleep";
  })) << house.log();
  EXPECT_TRUE(process_gone(worker, milliseconds(1'000)));
  EXPECT_EQ(house.post("/generate", R"({"prompt":"x"})").status, 200) << house.log();
}

TEST(Life, TwoHundredWakesAndSleeps) {
  RunningHouse house(one("load_ms=0,tokens=2"));
  ASSERT_TRUE(house.is_up()) << house.log();
  constexpr int kCycles = 200;
  std::int64_t early = 0;
  for (int i = 0; i < kCycles; ++i) {
    const Answer answer = house.post("/generate", R"({"prompt":"x"})");
    ASSERT_EQ(answer.status, 200) << "cycle " << i << answer.body << house.log();
    const Answer slept = house.post("/admin/v1/deployments/demo/sleep", "");
    ASSERT_EQ(slept.status, 200) << "cycle " << i << slept.body;
    ASSERT_EQ(house.deployment("demo").state, "asleep") << "cycle " << i;
    if (i == 20) early = house.resident_bytes();
  }
  EXPECT_EQ(house.deployment("demo").wakes, kCycles);
  EXPECT_EQ(house.rows().size(), static_cast<std::size_t>(kCycles));
  if (can_judge_memory()) {
    EXPECT_LE(house.resident_bytes(), 15'000'000);
    EXPECT_LE(house.resident_bytes() - early, 2'000'000);
  }
  std::int64_t open_files = 0;
  EXPECT_TRUE(house.eventually(milliseconds(2'000), [&house, &open_files] {
    open_files = house.metric("dormouse_connections");
    return open_files <= 2;
  })) << open_files;
}

TEST(Life, TheVerbsWakeAndSleep) {
  RunningHouse house(one("load_ms=10"));
  ASSERT_TRUE(house.is_up()) << house.log();
  const auto [wake_code, woke] = house.run_cli({"wake", "demo"});
  EXPECT_EQ(wake_code, 0) << woke;
  EXPECT_EQ(woke, "demo: awake\n");
  const auto [sleep_code, slept] = house.run_cli({"sleep", "demo"});
  EXPECT_EQ(sleep_code, 0) << slept;
  EXPECT_EQ(slept, "demo: asleep\n");
  const auto [logs_code, logs] = house.run_cli({"logs", "demo"});
  EXPECT_EQ(logs_code, 0);
  EXPECT_NE(logs.find("fake_worker_started"), std::string::npos) << logs;
  const auto [json_code, json] = house.run_cli({"logs", "demo", "--format", "json"});
  EXPECT_EQ(json_code, 0);
  EXPECT_EQ(std::count(json.begin(), json.end(), '\n'), std::count(logs.begin(), logs.end(), '\n')) << json;
  EXPECT_NE(json.find("\"event\":\"fake_worker_started\""), std::string::npos) << json;
  const auto [unknown_code, unknown] = house.run_cli({"wake", "nobody"});
  EXPECT_EQ(unknown_code, 1) << unknown;
}

}  // namespace
}  // namespace dormouse::e2e
