// Goal: a deployment's limits over real sockets: as many pass as the limit says however many ask at once, every answer
// says how things stand, a restart is no second helping, `set` changes a limit at once. Method: the real gateway with
// fake workers; the clock is the real one, so what a bucket gains meanwhile is part of the expectation.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>

#include "base/clock.h"
#include "base/ids.h"
#include "e2e/running_house.h"

namespace dormouse::e2e {
namespace {

using std::chrono::milliseconds;

constexpr const char* kBody = R"({"prompt":"x","max_tokens":8})";

// A house with one deployment of the API's, which `set` may change and a restart keeps.
class Limits : public ::testing::Test {
 protected:
  void open(const std::string& behaviour, const std::string& config = "", const std::string& type = "local") {
    HouseSetup setup;
    setup.config = config;
    setup.data_dir = (std::filesystem::temp_directory_path() / ("dormouse-limits-" + random_hex(4))).string();
    std::filesystem::create_directories(setup.data_dir);
    const std::string model = setup.data_dir + "/demo.gguf";
    std::ofstream(model) << "fake:" << behaviour;
    house.emplace(std::move(setup));
    ASSERT_TRUE(house->is_up()) << house->log();
    const auto [code, output] = house->run_cli({"deploy", model, "--name", "demo", "--on", type, "--wake"});
    ASSERT_EQ(code, 0) << output;
  }
  Answer ask(const std::string& body) { return house->post("/generate", body); }
  void set(const std::string& pair) {
    const auto [code, output] = house->run_cli({"set", "demo", pair});
    ASSERT_EQ(code, 0) << output;
  }
  std::vector<Answer> at_once(int count) {
    std::vector<Wish> wishes(static_cast<std::size_t>(count));
    for (Wish& wish : wishes) {
      wish.method = "POST";
      wish.target = "/generate";
      wish.body = kBody;
    }
    return house->ask_all(std::move(wishes));
  }

  std::optional<RunningHouse> house;
};

std::string header(const Answer& answer, const char* name) {
  return std::string(answer.headers.find(name).value_or("-"));
}

// How a hundred answers a minute come to be: 100 at once, and one more each 600 ms.
TEST_F(Limits, TenThousandAttemptsAgainstAHundredAMinuteLetAHundredThrough) {
  ASSERT_NO_FATAL_FAILURE(open("tokens=1"));
  set("requests-per-minute=100");
  const SystemClock clock;
  const MonoTime started = clock.now();
  int passed = 0;
  int refused = 0;
  for (int round = 0; round < 20; ++round) {
    for (const Answer& answer : at_once(500)) {
      passed += answer.status == 200 ? 1 : 0;
      if (answer.status != 429) continue;
      ++refused;
      ASSERT_EQ(header(answer, "x-ratelimit-limit-requests"), "100");
      ASSERT_EQ(header(answer, "retry-after"), "1");
      ASSERT_NE(answer.body.find("rate_limit_requests"), std::string::npos);
    }
  }
  const auto gained = (clock.now() - started) / milliseconds(600);
  EXPECT_GE(passed, 100);
  EXPECT_LE(passed, 100 + gained);
  EXPECT_EQ(passed + refused, 10'000) << "nothing else came";
  EXPECT_EQ(house->rows().size(), static_cast<std::size_t>(passed)) << "a refusal has no row";
}

TEST_F(Limits, AThousandAtOnceGetTheHundredPlacesThereAre) {
  ASSERT_NO_FATAL_FAILURE(open("tokens=8,tokens_per_s=1"));
  set("concurrency=100");
  int passed = 0;
  for (const Answer& answer : at_once(1'000)) {
    passed += answer.status == 200 ? 1 : 0;
    if (answer.status == 200) continue;
    ASSERT_EQ(answer.status, 429) << answer.body;
    ASSERT_NE(answer.body.find("rate_limit_concurrency"), std::string::npos);
    ASSERT_EQ(header(answer, "retry-after"), "1");
  }
  EXPECT_EQ(passed, 100);
}

TEST_F(Limits, TokensAreReservedAndGivenBackAndTheAnswerIsBounded) {
  ASSERT_NO_FATAL_FAILURE(open("tokens=16"));
  // Of a prompt of one letter up to 545 are reserved (the template's allowance): five are left for the answer.
  set("tokens-per-minute=550");
  const Answer answer = ask(R"({"prompt":"x"})");
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_NE(answer.body.find("\"completion_tokens\":5,"), std::string::npos) << answer.body;
  EXPECT_EQ(header(answer, "x-ratelimit-limit-tokens"), "550");
  // One token of the prompt and five of the answer; the bucket may have gained some of them again by now.
  const std::string left = header(answer, "x-ratelimit-remaining-tokens");
  EXPECT_TRUE(left >= "544" && left <= "550" && left.size() == 3) << left;
  const Answer never = ask(R"({"prompt":"x","max_tokens":6})");
  EXPECT_EQ(never.status, 400);
  EXPECT_EQ(header(never, "x-should-retry"), "false");
  EXPECT_NE(never.body.find("max_tokens of 5 at most"), std::string::npos) << never.body;
  set("tokens-per-minute=2000");
  const Answer stream = ask(R"({"prompt":"x","max_tokens":6,"stream":true})");
  EXPECT_EQ(header(stream, "content-type"), "text/event-stream");
  EXPECT_EQ(header(stream, "x-ratelimit-limit-tokens"), "2000");
  set("tokens-per-minute=0");
  EXPECT_EQ(header(ask(kBody), "x-ratelimit-limit-tokens"), "-");
}

// A hundred CNY a second: a whole instance until the deadline is 60,000 CNY, and an answer of 200 ms some 20.
TEST_F(Limits, ABudgetThatCannotCoverTheNextRequestSaysThatWaitingIsNoUse) {
  ASSERT_NO_FATAL_FAILURE(open("tokens=20,tokens_per_s=100",
                               "[[instance]]\nname = \"gold\"\nhour = \"360000\"\ncurrency = \"CNY\"\n", "gold"));
  set("budget=60000.5CNY/day");
  ASSERT_EQ(ask(R"({"prompt":"x","max_tokens":20})").status, 200);
  const Answer refused = ask(R"({"prompt":"x","max_tokens":20})");
  EXPECT_EQ(refused.status, 429) << refused.body;
  EXPECT_NE(refused.body.find("\"code\":\"insufficient_quota\""), std::string::npos) << refused.body;
  EXPECT_EQ(header(refused, "x-should-retry"), "false");
  EXPECT_EQ(header(refused, "retry-after"), "-");
  set("budget=200000CNY/day");
  // Four at once: the fourth's share is held by the other three, which will leave enough.
  std::vector<int> statuses;
  for (const Answer& answer : at_once(4)) {
    statuses.push_back(answer.status);
    if (answer.status == 200) continue;
    EXPECT_NE(answer.body.find("rate_limit_concurrency"), std::string::npos) << answer.body;
    EXPECT_EQ(header(answer, "retry-after"), "1");
  }
  EXPECT_EQ(std::count(statuses.begin(), statuses.end(), 200), 3);
}

TEST_F(Limits, AKeyHasLimitsOfItsOwnBesideItsDeployments) {
  ASSERT_NO_FATAL_FAILURE(open("tokens=1"));
  const auto key = [this](const char* name, const char* rpm) {
    auto [code, out] = house->run_cli({"keys", "create", "--name", name, "--rpm", rpm});
    EXPECT_EQ(code, 0) << out;
    return out.substr(0, out.find('\n'));
  };
  const auto ask_as = [this](const std::string& who, const char* body) {
    Wish wish;
    wish.method = "POST";
    wish.target = "/generate";
    wish.body = body;
    wish.headers = {{"authorization", "Bearer " + who}};
    return house->ask(std::move(wish));
  };
  const std::string small = key("small", "3");
  const std::string large = key("large", "50");
  for (const char* left : {"2", "1", "0"}) {
    const Answer answer = ask_as(small, kBody);
    ASSERT_EQ(answer.status, 200) << answer.body;
    EXPECT_EQ(header(answer, "x-ratelimit-limit-requests"), "3");
    EXPECT_EQ(header(answer, "x-ratelimit-remaining-requests"), left);
  }
  const Answer refused = ask_as(small, "{ not even JSON");
  EXPECT_EQ(refused.status, 429) << "before the body is looked at";
  EXPECT_NE(refused.body.find("Too many requests for this API key: the limit is 3 a minute"), std::string::npos);
  EXPECT_EQ(ask_as(large, kBody).status, 200) << "another key's bucket is another";
  set("requests-per-minute=2");
  EXPECT_EQ(header(ask_as(large, kBody), "x-ratelimit-limit-requests"), "2") << "the tighter of the two";
  EXPECT_EQ(ask_as(large, kBody).status, 200);
  EXPECT_NE(ask_as(large, kBody).body.find("for this model: the limit is 2 a minute"), std::string::npos);
}

TEST_F(Limits, ARestartIsNoSecondHelping) {
  namespace fs = std::filesystem;
  ASSERT_NO_FATAL_FAILURE(open("tokens=1"));
  const std::string state = house->directory() + "/data/limits.state";
  set("requests-per-minute=3");
  for (const int how : {SIGTERM, SIGKILL}) {
    for (int i = 0; i < 5; ++i) ask(kBody);
    std::error_code ec;
    const fs::file_time_type before = fs::last_write_time(state, ec);
    // What is killed has left the state of its last tick.
    ASSERT_TRUE(how == SIGTERM ||
                house->eventually(milliseconds(20'000), [&] { return fs::last_write_time(state, ec) != before; }));
    ASSERT_TRUE(house->restart(how)) << house->log();
    const Answer after = ask(kBody);
    EXPECT_LE(header(after, "x-ratelimit-remaining-requests"), "1") << how;
    EXPECT_EQ(header(after, "x-ratelimit-remaining-requests").size(), 1U) << how;
  }
}

}  // namespace
}  // namespace dormouse::e2e
