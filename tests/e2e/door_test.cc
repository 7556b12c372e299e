// Goal: what a caller at the front door gets: answers in each dialect, errors by the table, nothing for a strange host,
// and a bill that shows each request once. Method: the real gateway with a fake worker, over TCP.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <csignal>

#include "e2e/running_house.h"

namespace dormouse::e2e {
namespace {

namespace json = boost::json;
using std::chrono::milliseconds;

HouseSetup one(std::string behaviour) {
  HouseSetup setup;
  setup.fakes = {{"demo", std::move(behaviour)}};
  return setup;
}

TEST(Door, AsleepAtStartAndLookingDoesNotWake) {
  RunningHouse house(one("load_ms=1"));
  ASSERT_TRUE(house.is_up()) << house.log();
  for (const char* path : {"/health", "/livez", "/readyz", "/v1/models", "/v1/models/demo", "/metrics"}) {
    EXPECT_EQ(house.get(path).status, 200) << path;
  }
  EXPECT_EQ(house.get("/health").body, R"({"status":"ok","sleeping":true})");
  const gateway::DeploymentView demo = house.deployment("demo");
  EXPECT_EQ(demo.state, "asleep");
  EXPECT_TRUE(demo.instances.empty());
  const std::int64_t resident = house.resident_bytes();
  RecordProperty("resident_bytes", std::to_string(resident));
  if (can_judge_memory()) {
    EXPECT_LE(resident, 15'000'000);
  }
  EXPECT_GT(resident, 0);
}

TEST(Door, GenerateWakesAndAnswersWithTheFixedFields) {
  RunningHouse house(one("load_ms=100,tokens=8"));
  ASSERT_TRUE(house.is_up()) << house.log();
  const Answer answer = house.post("/generate", R"({"prompt":"good morning","max_tokens":5})");
  ASSERT_EQ(answer.status, 200) << answer.body;
  const json::object body = json::parse(answer.body).as_object();
  EXPECT_EQ(body.at("text"), "w0 w1 w2 w3 w4");
  EXPECT_EQ(body.at("completion_tokens"), 5);
  EXPECT_EQ(body.at("prompt_tokens"), 2);
  EXPECT_EQ(body.at("finish_reason"), "length");
  EXPECT_EQ(body.at("model"), "demo");
  EXPECT_GE(body.at("wake_time").to_number<double>(), 0.1);
  EXPECT_GT(body.at("generation_time").to_number<double>(), 0);
  EXPECT_GT(body.at("tokens_per_second").to_number<double>(), 0);
  EXPECT_EQ(house.deployment("demo").state, "ready");
  EXPECT_TRUE(answer.headers.find("x-request-id").has_value());
}

TEST(Door, EveryDialectStreamsAndAnswersWhole) {
  RunningHouse house(one("tokens=3"));
  ASSERT_TRUE(house.is_up()) << house.log();
  const char* chat = R"({"model":"demo","messages":[{"role":"user","content":"x"}]STREAM})";
  const char* completion = R"({"model":"demo","prompt":"x"STREAM})";
  struct Row {
    const char* path;
    std::string body;
  };
  for (const Row& row :
       {Row{"/v1/chat/completions", chat}, Row{"/v1/completions", completion}, Row{"/generate", completion}}) {
    std::string whole = row.body;
    std::string stream = row.body;
    whole.replace(whole.find("STREAM"), 6, "");
    stream.replace(stream.find("STREAM"), 6, ",\"stream\":true");
    const Answer full = house.post(row.path, whole);
    ASSERT_EQ(full.status, 200) << row.path << full.body;
    EXPECT_NE(full.body.find("w0 w1 w2"), std::string::npos) << full.body;
    const Answer streamed = house.post(row.path, stream);
    ASSERT_EQ(streamed.status, 200) << row.path;
    EXPECT_EQ(streamed.headers.find("content-type"), "text/event-stream");
    EXPECT_EQ(streamed.headers.find("x-accel-buffering"), "no");
    const std::vector<std::string> events = sse_events(streamed.body);
    ASSERT_GE(events.size(), 4U) << streamed.body;
    EXPECT_EQ(events.back(), "[DONE]");
    EXPECT_TRUE(streamed.whole);
    // Usage was not asked for, though the gateway always meters.
    EXPECT_EQ(streamed.body.find("\"usage\":{"), std::string::npos) << streamed.body;
  }
  for (const ledger::RequestRow& r : house.rows()) EXPECT_EQ(r.settlement.output_tokens, 3);
  EXPECT_EQ(house.rows().size(), 6U);
}

TEST(Door, AStreamingCallerThatWaitsHearsComments) {
  RunningHouse house(one("load_ms=1500,tokens=2"));
  ASSERT_TRUE(house.is_up()) << house.log();
  const Answer answer = house.post("/generate", R"({"prompt":"x","stream":true})");
  ASSERT_EQ(answer.status, 200);
  EXPECT_TRUE(answer.body.starts_with(":\n\n")) << answer.body;
  EXPECT_EQ(sse_events(answer.body).back(), "[DONE]");
}

TEST(Door, BadInputGetsTheTablesAnswerAndOtherStreamsGoOn) {
  RunningHouse house(one("tokens=100,tokens_per_s=100"));
  ASSERT_TRUE(house.is_up()) << house.log();
  struct Row {
    const char* method;
    const char* path;
    std::string body;
    int status;
    const char* code;
  };
  const std::string deep = R"({"model":"demo","messages":)" + std::string(200, '[') + std::string(200, ']') + "}";
  const std::vector<Row> table{
      {"POST", "/generate", "", 400, "invalid_json"},
      {"POST", "/generate", "{\"prompt\":", 400, "invalid_json"},
      {"POST", "/generate", R"({"prompt":"x"} {})", 400, "invalid_json"},
      {"POST", "/v1/chat/completions", deep, 400, "json_too_deep"},
      {"POST", "/generate", "{\"prompt\":\"\xff\xfe\"}", 400, "invalid_utf8"},
      {"POST", "/generate", "{}", 400, "invalid_value"},
      {"POST", "/generate", R"({"prompt":7})", 400, "invalid_value"},
      {"POST", "/generate", R"({"prompt":"x","max_tokens":-5})", 400, "invalid_value"},
      {"POST", "/generate", R"({"prompt":"x","max_tokens":1e300})", 400, "invalid_value"},
      {"POST", "/generate", R"({"prompt":"x","temperature":-1})", 400, "invalid_value"},
      {"POST", "/v1/chat/completions", R"({"model":"demo"})", 400, "invalid_value"},
      {"POST", "/v1/chat/completions", R"({"model":"demo","messages":[]})", 400, "invalid_value"},
      {"POST", "/v1/chat/completions", R"({"model":"demo","messages":"hi"})", 400, "invalid_value"},
      {"POST", "/v1/completions", R"({"model":"demo","prompt":{}})", 400, "invalid_value"},
      {"POST", "/v1/chat/completions", R"({"model":"nope","messages":[{"role":"user","content":"x"}]})", 404,
       "model_not_found"},
      {"POST", "/generate", R"({"model":"nope","prompt":"x"})", 404, "model_not_found"},
      {"GET", "/v1/models/nope", "", 404, "model_not_found"},
      {"GET", "/nothing", "", 404, "not_found"},
      {"GET", "/generate", "", 405, "method_not_allowed"},
      {"DELETE", "/v1/models", "", 405, "method_not_allowed"},
      {"GET", "/internal/worker", "", 404, "not_found"},
      {"POST", "/admin/v1/deployments/nope/wake", "", 404, "model_not_found"},
      {"GET", "/admin/v1/usage?by=year", "", 400, "invalid_value"},
      {"POST", "/generate", std::string(9U << 20, 'x'), 413, "body_too_large"},
  };
  std::vector<Wish> wishes;
  Wish stream;
  stream.method = "POST";
  stream.target = "/generate";
  stream.body = R"({"prompt":"x","stream":true})";
  wishes.push_back(stream);
  for (const Row& row : table) {
    Wish wish;
    wish.method = row.method;
    wish.target = row.path;
    wish.body = row.body;
    wishes.push_back(std::move(wish));
  }
  const std::vector<Answer> answers = house.ask_all(std::move(wishes));
  for (std::size_t i = 0; i < table.size(); ++i) {
    const Answer& answer = answers[i + 1];
    EXPECT_EQ(answer.status, table[i].status) << table[i].path << " " << table[i].body.substr(0, 80);
    if (answer.status == 0) continue;
    EXPECT_NE(answer.body.find("\"code\":\"" + std::string(table[i].code) + "\""), std::string::npos)
        << table[i].path << " " << table[i].body.substr(0, 80) << " -> " << answer.body;
    EXPECT_TRUE(answer.headers.find("x-request-id").has_value()) << table[i].path;
  }
  const std::vector<std::string> events = sse_events(answers[0].body);
  ASSERT_EQ(events.size(), 102U) << answers[0].body;  // 100 pieces, the numbers, [DONE]
  EXPECT_EQ(events.back(), "[DONE]");
}

TEST(Door, AStrangeHostOrOriginIsRefused) {
  RunningHouse house(one("tokens=1"));
  ASSERT_TRUE(house.is_up()) << house.log();
  Wish wish;
  wish.method = "POST";
  wish.target = "/generate";
  wish.body = R"({"prompt":"x"})";
  wish.headers = {{"host", "evil.example"}};
  EXPECT_EQ(house.ask(wish).status, 421);
  wish.headers = {{"host", "localhost:1"}, {"origin", "http://evil.example"}};
  EXPECT_EQ(house.ask(wish).status, 421);
  wish.headers = {{"host", "localhost:1"}, {"origin", "http://localhost:3000"}};
  EXPECT_EQ(house.ask(wish).status, 200);
  EXPECT_EQ(house.rows().size(), 1U);
}

TEST(Door, UsageShowsEachRequestOnce) {
  RunningHouse house(one("tokens=4"));
  ASSERT_TRUE(house.is_up()) << house.log();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(house.post("/generate", R"({"prompt":"one two"})").status, 200);
  const gateway::DeploymentView demo = house.deployment("demo");
  EXPECT_EQ(demo.last_minute.requests, 3);
  EXPECT_GT(demo.last_minute.tokens_per_s.value_or(0), 0);
  const auto [csv_code, csv] = house.run_cli({"usage", "--by", "deployment", "--format", "csv"});
  EXPECT_EQ(csv_code, 0) << csv;
  EXPECT_NE(csv.find("demo,3,0,0,1,0,0,3,6,0,12,"), std::string::npos) << csv;
  const auto [code, table] = house.run_cli({"usage"});
  EXPECT_EQ(code, 0) << table;
  EXPECT_NE(table.find("TOKENS OUT"), std::string::npos) << table;
  const auto [ps_code, ps] = house.run_cli({"ps"});
  EXPECT_EQ(ps_code, 0) << ps;
  EXPECT_NE(ps.find("awake"), std::string::npos) << ps;
  EXPECT_NE(ps.find("REQ/MIN"), std::string::npos) << ps;
  const auto [zh_code, zh] = house.run_cli({"ps", "--lang", "zh"});
  EXPECT_EQ(zh_code, 0) << zh;
  EXPECT_NE(zh.find("运行中"), std::string::npos) << zh;
  const auto [run_code, run] = house.run_cli({"run", "demo", "hello"});
  EXPECT_EQ(run_code, 0) << run;
  EXPECT_EQ(run, "w0 w1 w2 w3\n");
}

TEST(Door, ASecondServerSaysWhatToDo) {
  RunningHouse house(one("tokens=1"));
  ASSERT_TRUE(house.is_up()) << house.log();
  const auto [code, text] = house.run_cli({"serve", "--worker", E2E_FAKE_WORKER});
  EXPECT_EQ(code, 1);
  EXPECT_NE(text.find("in use by a running dormouse"), std::string::npos) << text;
  EXPECT_NE(text.find("dormouse ps"), std::string::npos) << text;
}

TEST(Door, ATakenPortSaysWhatToDo) {
  RunningHouse house(one("tokens=1"));
  ASSERT_TRUE(house.is_up()) << house.log();
  const auto status = gateway::parse_status(house.get("/admin/v1/status").body);
  ASSERT_TRUE(status.has_value());
  HouseSetup second = one("tokens=1");
  second.extra = {"--listen", status->listen.front()};
  RunningHouse other(second);
  EXPECT_FALSE(other.is_up());
  EXPECT_NE(other.log().find("--listen 127.0.0.1:8081"), std::string::npos) << other.log();
}

}  // namespace
}  // namespace dormouse::e2e
