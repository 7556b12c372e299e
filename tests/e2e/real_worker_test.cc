// Goal: the whole path with nothing faked: gateway, dormouse-worker, the demo model. Method: a few cycles of the
// newcomer's first requests; skipped with the reason where the worker is not built or the model is not there.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <csignal>
#include <filesystem>

#include "e2e/running_house.h"

namespace dormouse::e2e {
namespace {

namespace json = boost::json;
using std::chrono::milliseconds;

class RealWorker : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(E2E_REAL_WORKER)) GTEST_SKIP() << "skipped: dormouse-worker is not built";
    if (!std::filesystem::exists(E2E_DEMO_MODEL)) GTEST_SKIP() << "skipped: no demo model in models/";
  }
  static HouseSetup setup() {
    HouseSetup out;
    out.worker = E2E_REAL_WORKER;
    out.extra = {"--model", E2E_DEMO_MODEL, "--name", "demo"};
    return out;
  }
};

TEST_F(RealWorker, WakesWritesVerseAndSleeps) {
  RunningHouse house(setup());
  ASSERT_TRUE(house.is_up()) << house.log();
  std::string first;
  for (int cycle = 0; cycle < 5; ++cycle) {
    const Answer answer = house.post("/generate", R"({"prompt":"写一首关于月亮的诗","max_tokens":32,"temperature":0})");
    ASSERT_EQ(answer.status, 200) << answer.body << house.log();
    const json::object body = json::parse(answer.body).as_object();
    const std::string text(body.at("text").as_string());
    EXPECT_FALSE(text.empty());
    EXPECT_GT(body.at("wake_time").to_number<double>(), 0);
    if (cycle == 0) first = text;
    EXPECT_EQ(text, first);  // temperature 0: the same after every sleep
    ASSERT_EQ(house.post("/admin/v1/deployments/demo/sleep", "").status, 200);
  }
  EXPECT_EQ(house.deployment("demo").wakes, 5);
  if (can_judge_memory()) {
    EXPECT_LE(house.resident_bytes(), 15'000'000);
  }
}

TEST_F(RealWorker, TheBillIsWhatTheEngineCounted) {
  RunningHouse house(setup());
  ASSERT_TRUE(house.is_up()) << house.log();
  const char* request =
      R"({"model":"demo","max_tokens":24,"ignore_eos":true,"stream":true,"stream_options":{"include_usage":true},)"
      R"("messages":[{"role":"user","content":"Write a verse about the sea"}]})";
  const Answer answer = house.post("/v1/chat/completions", request);
  ASSERT_EQ(answer.status, 200) << answer.body << house.log();
  const std::vector<std::string> events = sse_events(answer.body);
  ASSERT_GE(events.size(), 3U);
  EXPECT_EQ(events.back(), "[DONE]");
  const json::value usage = json::parse(events[events.size() - 2]).at("usage");
  const auto rows = house.rows();
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].settlement.output_tokens, usage.at("completion_tokens").to_number<std::int64_t>());
  EXPECT_EQ(rows[0].settlement.input_tokens, usage.at("prompt_tokens").to_number<std::int64_t>());
  EXPECT_EQ(rows[0].settlement.output_tokens, 24);
}

TEST_F(RealWorker, APromptBeyondTheContextIsRefusedAndTheEngineLives) {
  RunningHouse house(setup());
  ASSERT_TRUE(house.is_up()) << house.log();
  std::string prompt;
  for (int i = 0; i < 200'000; ++i) prompt += "月 ";
  const Answer answer = house.post("/generate", R"({"prompt":")" + prompt + R"("})");
  EXPECT_EQ(answer.status, 400) << answer.body.substr(0, 200);
  EXPECT_NE(answer.body.find("context_length_exceeded"), std::string::npos) << answer.body.substr(0, 200);
  EXPECT_EQ(house.post("/generate", R"({"prompt":"x","max_tokens":2})").status, 200) << house.log();
  EXPECT_EQ(house.deployment("demo").wakes, 1);
}

TEST_F(RealWorker, AKilledWorkerMidStreamIsReplaced) {
  RunningHouse house(setup());
  ASSERT_TRUE(house.is_up()) << house.log();
  Answer answer;
  // A thousand tokens take it a quarter of a second: a client that gets no processor for so long comes too late to
  // kill.
  constexpr int kTries = 5;
  for (int i = 0; i < kTries; ++i) {
    ASSERT_EQ(house.post("/admin/v1/deployments/demo/wake", "").status, 200) << house.log();
    const auto worker = static_cast<pid_t>(house.deployment("demo").instances.at(0).pid);
    ASSERT_GT(worker, 0);  // 0 would be our own process group
    Wish wish;
    wish.method = "POST";
    wish.target = "/generate";
    wish.body = R"({"prompt":"写一首关于月亮的诗","stream":true,"max_tokens":1000,"ignore_eos":true})";
    wish.on_piece = [worker](const std::string&) {
      ::kill(worker, SIGKILL);
      return true;
    };
    answer = house.ask(std::move(wish));
    if (answer.body.find("[DONE]") == std::string::npos) break;
    ASSERT_TRUE(process_gone(worker, std::chrono::milliseconds(5'000)));
  }
  EXPECT_EQ(answer.body.find("[DONE]"), std::string::npos);
  EXPECT_NE(answer.body.find("worker_crashed"), std::string::npos) << answer.body;
  EXPECT_EQ(house.post("/generate", R"({"prompt":"x","max_tokens":2})").status, 200) << house.log();
}

// The weights are used where they lie in the packed file: once that is short, the next page of it is a SIGBUS.
TEST_F(RealWorker, WeightsCutWhileMappedEndThatWorkerOnlyAndAreLaidOutAgain) {
  RunningHouse house(setup());
  ASSERT_TRUE(house.is_up()) << house.log();
  Wish wish;
  wish.method = "POST";
  wish.target = "/generate";
  wish.body = R"({"prompt":"写一首关于月亮的诗","stream":true,"max_tokens":1000,"ignore_eos":true})";
  int cut = 0;
  wish.on_piece = [&house, &cut](const std::string&) {
    for (const auto& entry : std::filesystem::directory_iterator(house.directory() + "/data/packed")) {
      if (entry.path().extension() != ".dpack" || entry.file_size() == 0) continue;
      std::filesystem::resize_file(entry.path(), 0);
      ++cut;
    }
    return true;
  };
  const Answer answer = house.ask(std::move(wish));
  EXPECT_EQ(cut, 1);
  EXPECT_EQ(answer.body.find("[DONE]"), std::string::npos);
  EXPECT_NE(answer.body.find("worker_crashed"), std::string::npos) << answer.body;
  const auto [exit_code, worker_log] = house.run_cli({"logs", "demo"});
  EXPECT_EQ(exit_code, 0);
  EXPECT_NE(worker_log.find("cut short"), std::string::npos) << worker_log;
  EXPECT_EQ(house.post("/generate", R"({"prompt":"x","max_tokens":2})").status, 200) << house.log();
}

}  // namespace
}  // namespace dormouse::e2e
