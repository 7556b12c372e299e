// Goal: somebody else's engine behind the same door: deployed by its runtime's name, woken, counted, put to sleep.
// Method: the real programs; a program called llama-server, found on PATH as the real one would be, is a small OpenAI
// server that is not ours (tests/fake_upstream).
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/ids.h"
#include "e2e/grow_house.h"
#include "e2e/running_house.h"

namespace dormouse::e2e {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

// A program of that name that hands its --port on, with further switches of the fake's.
void make_llama_server(const std::string& directory, const std::string& more) {
  fs::create_directories(directory);
  std::ofstream(directory + "/some.gguf") << "weights that only the other engine reads";
  const std::string program = directory + "/llama-server";
  std::ofstream(program) << "#!/bin/sh\nwhile [ $# -gt 0 ]; do [ \"$1\" = --port ] && port=$2; shift; done\nexec "
                         << E2E_FAKE_UPSTREAM << " --port $port " << more << "\n";
  fs::permissions(program, fs::perms::owner_all);
}

class Adopted : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists(E2E_REAL_WORKER)) GTEST_SKIP() << "skipped: dormouse-worker is not built";
    directory_ = (fs::temp_directory_path() / ("dormouse-adopt-" + random_hex(4))).string();
  }
  void TearDown() override { fs::remove_all(directory_); }

  HouseSetup with_llama_server(const std::string& more) {
    make_llama_server(directory_, more);
    HouseSetup setup;
    setup.worker = E2E_REAL_WORKER;
    setup.environment = {"PATH=" + directory_ + ":/usr/bin:/bin"};
    return setup;
  }
  int deploy_theirs(RunningHouse& house) const {
    return house
        .run_cli(
            {"deploy", directory_ + "/some.gguf", "--on", "local", "--name", "theirs", "--runtime", "llama-server"})
        .first;
  }
  std::string directory_;
};

TEST_F(Adopted, IsDeployedWokenCountedAndPutToSleep) {
  RunningHouse house(with_llama_server(""));
  ASSERT_TRUE(house.is_up()) << house.log();
  ASSERT_EQ(deploy_theirs(house), 0) << house.log();
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

// T-46: their server's writes end anywhere, also inside a character and inside "data:"; ours must not.
TEST_F(Adopted, AStreamCutAnywhereReachesTheCallerWhole) {
  RunningHouse house(with_llama_server(""));
  ASSERT_TRUE(house.is_up()) << house.log();
  ASSERT_EQ(deploy_theirs(house), 0) << house.log();
  std::string want;
  for (int i = 0; i < 5; ++i) want += "月光é😀";
  const std::string ask = R"({"model":"theirs","messages":[{"role":"user","content":"split"}],"stream":)";
  const auto post = [&](const std::string& path, const std::string& body) {
    const Answer answer = house.post(path, body);
    EXPECT_EQ(answer.status, 200) << answer.body << house.log();
    return answer.body;
  };
  std::string openai;
  const std::string stream = post("/v1/chat/completions", ask + "true}");
  for (const std::string& event : sse_events(stream)) {
    if (event == "[DONE]") continue;
    const json::value chunk = json::parse(event);
    for (const json::value& choice : chunk.at("choices").as_array()) {
      const json::value* const content = choice.at("delta").as_object().if_contains("content");
      if (content != nullptr && content->is_string()) openai += content->get_string();
    }
  }
  EXPECT_EQ(openai, want) << stream;
  std::string ollama;
  std::istringstream lines(post("/api/chat", ask + "true}"));
  for (std::string line; std::getline(lines, line);) {
    ollama += json::parse(line).at("message").at("content").as_string();
  }
  EXPECT_EQ(ollama, want);
}

TEST_F(Adopted, ItsVectorsPassInEveryDialect) {
  RunningHouse house(with_llama_server(""));
  ASSERT_TRUE(house.is_up()) << house.log();
  ASSERT_EQ(deploy_theirs(house), 0) << house.log();
  const Answer openai = house.post("/v1/embeddings", R"({"model":"theirs","input":["a","b"]})");
  ASSERT_EQ(openai.status, 200) << openai.body << house.log();
  const json::value told = json::parse(openai.body);
  EXPECT_EQ(told.at("model"), "theirs");
  EXPECT_EQ(told.at("data").at(1).at("embedding"), (json::array{0.5, 2}));
  const Answer packed = house.post("/v1/embeddings", R"({"model":"theirs","input":"a","encoding_format":"base64"})");
  EXPECT_EQ(json::parse(packed.body).at("data").at(0).at("embedding"), "AAAAPwAAgD8=") << packed.body;
  const Answer ollama = house.post("/api/embed", R"({"model":"theirs","input":["a","b"],"keep_alive":"5m"})");
  ASSERT_EQ(ollama.status, 200) << ollama.body;
  EXPECT_EQ(json::parse(ollama.body).at("embeddings").at(1), (json::array{0.5, 2}));
  EXPECT_EQ(json::parse(ollama.body).at("prompt_eval_count"), 7);
  const Answer older = house.post("/api/embeddings", R"({"model":"theirs","prompt":"a"})");
  EXPECT_EQ(json::parse(older.body).at("embedding").as_array().size(), 2U) << older.body;
  const auto rows = house.rows();
  ASSERT_EQ(rows.size(), 4U);
  for (const ledger::RequestRow& row : rows) {
    EXPECT_EQ(row.settlement.input_tokens, 7);
    EXPECT_EQ(row.settlement.output_tokens, 0);
  }
  EXPECT_EQ(rows[0].dialect, "ollama");
  EXPECT_EQ(rows[3].dialect, "openai");
}

TEST_F(Adopted, OneWithoutVectorsSaysSoAndStaysAwake) {
  RunningHouse house(with_llama_server("--no-embeddings"));
  ASSERT_TRUE(house.is_up()) << house.log();
  ASSERT_EQ(deploy_theirs(house), 0) << house.log();
  for (int i = 0; i < 4; ++i) {
    const Answer refused = house.post("/v1/embeddings", R"({"model":"theirs","input":"a"})");
    EXPECT_EQ(refused.status, 501) << refused.body;
    EXPECT_EQ(json::parse(refused.body).at("error").at("code"), "not_implemented");
    EXPECT_NE(refused.body.find("--embeddings"), std::string::npos) << refused.body;
  }
  EXPECT_EQ(house.post("/api/embed", R"({"model":"theirs","input":"a"})").status, 501);
  EXPECT_EQ(house.post("/generate", R"({"model":"theirs","prompt":"say"})").status, 200);
  EXPECT_EQ(house.deployment("theirs").wakes, 1) << "it is no worse for it";
}

TEST_F(Adopted, OneThatDiesAtItsStartSaysWhyInPs) {
  RunningHouse house(with_llama_server("--die"));
  ASSERT_TRUE(house.is_up()) << house.log();
  ASSERT_EQ(deploy_theirs(house), 0) << house.log();
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

// On a machine that is rented: over TLS, with the lease.
class AdoptedElsewhere : public GrowHouse {
 protected:
  void arrange() override {
    directory_ = (fs::temp_directory_path() / ("dormouse-adopt-" + random_hex(4))).string();
    make_llama_server(directory_, "");
    replace(
        "name = \"rented\"                      # whatever the provider's commands start\nimage = \"qwen3-demo\"",
        "name = \"rented\"\nruntime = \"llama-server\"\nlease_ttl = \"3s\"\nimage = \"" + directory_ + "/some.gguf\"");
    environment_ = {"PATH=" + directory_ + ":/usr/bin:/bin"};
  }
  void TearDown() override {
    GrowHouse::TearDown();
    if (!directory_.empty()) fs::remove_all(directory_);
  }
  std::string directory_;
};

TEST_F(AdoptedElsewhere, ServesOverTlsIsTakenBackAndEndsItselfWhenNobodyComesBack) {
  ASSERT_EQ(ask("rented"), 200) << house_->log();
  const gateway::DeploymentView before = house_->deployment("rented");
  ASSERT_EQ(before.instances.size(), 1U);
  EXPECT_EQ(before.instances[0].isa, "external");
  EXPECT_EQ(machines(), 1);
  ASSERT_TRUE(house_->restart(SIGKILL)) << house_->log();
  ASSERT_EQ(ask("rented"), 200) << house_->log();
  ASSERT_EQ(house_->deployment("rented").instances.size(), 1U);
  EXPECT_EQ(house_->deployment("rented").instances[0].pid, before.instances[0].pid) << "the same one";
  ASSERT_GT(before.instances[0].pid, 1);
  house_->signal(SIGKILL);
  EXPECT_TRUE(process_gone(static_cast<pid_t>(before.instances[0].pid), std::chrono::seconds(30)))
      << "its lease is 3 s";
  ASSERT_TRUE(house_->restart()) << house_->log();
}

TEST_F(AdoptedElsewhere, OneThatCannotStartSaysWhyInPs) {
  fs::remove(directory_ + "/llama-server");
  EXPECT_EQ(ask("rented"), 503);
  EXPECT_NE(house_->deployment("rented").failure.find("no program 'llama-server'"), std::string::npos)
      << house_->deployment("rented").failure << house_->log();
}

}  // namespace
}  // namespace dormouse::e2e
