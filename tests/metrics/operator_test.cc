// Goal: what an operator asks for at the terminal comes out: the access log whole, a test alert's fate. Method: the
// real programs with a fake worker; a webhook on loopback.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "e2e/running_house.h"
#include "http/server_fixture_test.h"

namespace dormouse::e2e {
namespace {

namespace json = boost::json;

std::vector<std::string> lines_of(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> out;
  for (std::string line; std::getline(stream, line);) out.push_back(line);
  return out;
}

HouseSetup one() {
  HouseSetup setup;
  setup.fakes = {{"chat", "load_ms=20,tokens=3"}};
  return setup;
}

TEST(Operator, TheAccessLogComesOutAsLinesAndAsATable) {
  RunningHouse house(one());
  ASSERT_TRUE(house.is_up()) << house.log();
  Wish named;
  named.method = "POST";
  named.target = "/generate";
  named.body = R"({"prompt":"a very secret prompt"})";
  named.headers = {{"x-request-id", "=cmd|'/C/calc'!A0"}};
  ASSERT_EQ(house.ask(named).status, 200);
  ASSERT_EQ(house.post("/v1/chat/completions", R"({"messages":[{"role":"user","content":"x"}],"stream":true})").status,
            200);
  ASSERT_EQ(house.post("/generate", R"({"model":"nobody","prompt":"x"})").status, 404);
  house.get("/admin/v1/status");  // looking is in no log

  const auto [code, text] = house.run_cli({"logs", "export"});
  EXPECT_EQ(code, 0) << text;
  const std::vector<std::string> lines = lines_of(text);
  ASSERT_EQ(lines.size(), 3U) << text;
  const json::object first = json::parse(lines[0]).as_object();
  EXPECT_EQ(first.at("deployment"), "chat");
  EXPECT_EQ(first.at("dialect"), "generate");
  EXPECT_EQ(first.at("status"), 200);
  EXPECT_EQ(first.at("tokens_out"), 3);
  EXPECT_EQ(first.at("finish"), "stop");
  EXPECT_EQ(first.at("client_id"), "=cmd|'/C/calc'!A0");
  EXPECT_TRUE(first.at("client").as_string() == "127.0.0.1");
  EXPECT_EQ(first.at("bytes_in"), static_cast<std::int64_t>(named.body.size()));
  EXPECT_GT(first.at("bytes_out").as_int64(), 20);
  EXPECT_GT(first.at("wake_ms").as_double(), 0);
  const json::object second = json::parse(lines[1]).as_object();
  EXPECT_EQ(second.at("dialect"), "openai");
  EXPECT_GT(second.at("bytes_out").as_int64(), 100) << "a stream's bytes count too";
  const json::object third = json::parse(lines[2]).as_object();
  EXPECT_EQ(third.at("status"), 404);
  EXPECT_EQ(third.at("error"), "model_not_found");
  EXPECT_EQ(text.find("secret"), std::string::npos);

  const auto [csv_code, csv] = house.run_cli({"logs", "export", "--format", "csv", "--since", "1h"});
  EXPECT_EQ(csv_code, 0) << csv;
  const std::vector<std::string> rows = lines_of(csv);
  ASSERT_EQ(rows.size(), 4U) << csv;
  EXPECT_TRUE(rows[0].starts_with("time,id,client_id,client,key,method,route,status"));
  EXPECT_NE(rows[1].find(",'=cmd|'/C/calc'!A0,"), std::string::npos) << "no formula for a spreadsheet: " << rows[1];
  EXPECT_EQ(house.run_cli({"logs", "export", "--since", "0s"}).second, "");
  EXPECT_EQ(house.run_cli({"logs", "export", "--since", "yesterday"}).first, 2);
  EXPECT_EQ(house.run_cli({"logs"}).first, 2);
  EXPECT_EQ(house.run_cli({"logs", "chat"}).first, 0) << "the workers' output is still there";
  EXPECT_EQ(house.get("/admin/v1/access-log?since_us=x").status, 400);
}

TEST(Operator, ATestAlertGoesToEveryWebhookAndItsSecretNowhere) {
  const http::TestServer hook({}, true);
  HouseSetup setup = one();
  const std::string at = "http://" + hook.address().to_string();
  setup.config = "[[alert]]\nkind = \"slack\"\nurl = \"" + at + "/echo?token=HUSH1\"\n" +
                 "[[alert]]\nkind = \"dingtalk\"\nurl = \"" + at + "/echo?token=HUSH2\"\nsecret = \"HUSH3\"\n";
  RunningHouse house(setup);
  ASSERT_TRUE(house.is_up()) << house.log();
  const auto [code, text] = house.run_cli({"alerts", "test"});
  const std::vector<std::string> lines = lines_of(text);
  ASSERT_EQ(lines.size(), 2U) << text;
  EXPECT_TRUE(lines[0].starts_with("slack        delivered  200 ")) << lines[0];
  EXPECT_TRUE(lines[1].starts_with("dingtalk     not delivered  200 without errcode")) << lines[1];
  EXPECT_EQ(code, 1) << "one was not delivered";
  for (const std::string& where : {text, house.log(), house.get("/admin/v1/status").body, house.get("/metrics").body}) {
    EXPECT_EQ(where.find("HUSH"), std::string::npos) << where;
  }
}

TEST(Operator, WithoutAWebhookATestSaysHowToMakeOne) {
  RunningHouse house(one());
  ASSERT_TRUE(house.is_up()) << house.log();
  const auto [code, text] = house.run_cli({"alerts", "test"});
  EXPECT_EQ(code, 1);
  EXPECT_NE(text.find("[[alert]]"), std::string::npos) << text;
  EXPECT_NE(house.run_cli({"--lang", "zh", "alerts", "test"}).second.find("没有配置告警"), std::string::npos);
}

TEST(Operator, AMistakenWebhookStopsTheStartWithoutRepeatingIt) {
  HouseSetup setup = one();
  setup.config = "[[alert]]\nkind = \"teams\"\nurl = \"https://h/HUSH\"\n";
  const RunningHouse house(setup);
  EXPECT_FALSE(house.is_up());
  EXPECT_NE(house.log().find("kind: want dingtalk, wecom, feishu or slack"), std::string::npos) << house.log();
  EXPECT_EQ(house.log().find("HUSH"), std::string::npos);
}

}  // namespace
}  // namespace dormouse::e2e
