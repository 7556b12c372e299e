// Goal: somebody else's engine behind the same door: deployed by its runtime's name, woken, counted, put to sleep.
// Method: the real programs; a program called llama-server, found on PATH as the real one would be, is a small OpenAI
// server that is not ours (tests/fake_upstream).
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>

#include "base/ids.h"
#include "e2e/running_house.h"

namespace dormouse::e2e {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

class Adopted : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists(E2E_REAL_WORKER)) GTEST_SKIP() << "skipped: dormouse-worker is not built";
    directory_ = (fs::temp_directory_path() / ("dormouse-adopt-" + random_hex(4))).string();
    fs::create_directories(directory_);
    std::ofstream(directory_ + "/some.gguf") << "weights that only the other engine reads";
  }
  void TearDown() override { fs::remove_all(directory_); }

  // A llama-server that hands its --port on, with further switches of the fake's.
  HouseSetup with_llama_server(const std::string& more) {
    const std::string program = directory_ + "/llama-server";
    std::ofstream(program) << "#!/bin/sh\nwhile [ $# -gt 0 ]; do [ \"$1\" = --port ] && port=$2; shift; done\nexec "
                           << E2E_FAKE_UPSTREAM << " --port $port " << more << "\n";
    fs::permissions(program, fs::perms::owner_all);
    HouseSetup setup;
    setup.worker = E2E_REAL_WORKER;
    setup.environment = {"PATH=" + directory_ + ":/usr/bin:/bin"};
    return setup;
  }
  std::string directory_;
};

TEST_F(Adopted, IsDeployedWokenCountedAndPutToSleep) {
  RunningHouse house(with_llama_server(""));
  ASSERT_TRUE(house.is_up()) << house.log();
  const auto [made, words] = house.run_cli(
      {"deploy", directory_ + "/some.gguf", "--on", "local", "--name", "theirs", "--runtime", "llama-server"});
  ASSERT_EQ(made, 0) << words;
  const Answer answer = house.post("/v1/chat/completions",
                                   R"({"model":"theirs","messages":[{"role":"user","content":"say"}],"stream":true,)"
                                   R"("stream_options":{"include_usage":true}})");
  ASSERT_EQ(answer.status, 200) << answer.body << house.log();
  const std::vector<std::string> events = sse_events(answer.body);
  ASSERT_GE(events.size(), 3U);
  EXPECT_EQ(events.back(), "[DONE]");
  const json::value usage = json::parse(events[events.size() - 2]).at("usage");
  EXPECT_EQ(usage.at("completion_tokens").to_number<std::int64_t>(), 5);
  const auto rows = house.rows();
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].settlement.output_tokens, 5);
  EXPECT_EQ(rows[0].settlement.input_tokens, 7);
  const gateway::DeploymentView awake = house.deployment("theirs");
  ASSERT_EQ(awake.instances.size(), 1U);
  EXPECT_EQ(awake.instances[0].isa, "external");
  const auto worker = static_cast<pid_t>(awake.instances[0].pid);
  ASSERT_EQ(house.run_cli({"sleep", "theirs"}).first, 0);
  EXPECT_TRUE(process_gone(worker, std::chrono::milliseconds(5'000)));
  EXPECT_EQ(house.deployment("theirs").state, "asleep");
}

TEST_F(Adopted, OneThatDiesAtItsStartSaysWhyInPs) {
  RunningHouse house(with_llama_server("--die"));
  ASSERT_TRUE(house.is_up()) << house.log();
  ASSERT_EQ(house
                .run_cli({"deploy", directory_ + "/some.gguf", "--on", "local", "--name", "theirs", "--runtime",
                          "llama-server"})
                .first,
            0);
  const Answer answer = house.post("/generate", R"({"model":"theirs","prompt":"say"})");
  EXPECT_EQ(answer.status, 503) << answer.body;
  EXPECT_FALSE(house.deployment("theirs").failure.empty());
  const auto [shown, table] = house.run_cli({"ps"});
  EXPECT_EQ(shown, 0);
  EXPECT_NE(table.find(house.deployment("theirs").failure.substr(0, 20)), std::string::npos) << table;
}

TEST_F(Adopted, ARuntimeNobodyKnowsIsRefusedWithThoseThatAre) {
  RunningHouse house(with_llama_server(""));
  ASSERT_TRUE(house.is_up()) << house.log();
  const auto [refused, words] =
      house.run_cli({"deploy", directory_ + "/some.gguf", "--on", "local", "--runtime", "exllama"});
  EXPECT_NE(refused, 0);
  EXPECT_NE(words.find("llama-server"), std::string::npos) << words;
}

}  // namespace
}  // namespace dormouse::e2e
