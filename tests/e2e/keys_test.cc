// Goal: keys as a person uses them: made by the CLI with a server and without one, good for what they say, over
// restarts, and out with the revocation's answer. Method: the real gateway with fake workers.
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "base/clock.h"
#include "e2e/running_house.h"
#include "gateway/keys/key_format.h"
#include "gateway/keys/key_wish.h"

namespace dormouse::e2e {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

constexpr milliseconds kSoon{10'000};

class Keys : public ::testing::Test {
 protected:
  void open(HouseSetup setup = {}) {
    if (setup.fakes.empty()) setup.fakes = {{"chat", "tokens=2"}, {"other", "tokens=2"}};
    house_.emplace(std::move(setup));
    ASSERT_TRUE(house_->is_up()) << house_->log();
  }
  // Its output without the line's end: a key, alone.
  std::string create(std::vector<std::string> flags) {
    flags.insert(flags.begin(), {"keys", "create"});
    auto [code, out] = house_->run_cli(std::move(flags));
    EXPECT_EQ(code, 0) << out;
    EXPECT_TRUE(out.ends_with("\n"));
    out.pop_back();
    EXPECT_TRUE(gateway::kid_of(out).has_value()) << out;
    return out;
  }
  static std::string kid(const std::string& key) { return std::string(gateway::kid_of(key).value_or("")); }
  int cli(std::vector<std::string> arguments) {
    const auto [code, out] = house_->run_cli(std::move(arguments));
    EXPECT_EQ(code, 0) << out;
    return code;
  }
  std::vector<gateway::KeyView> listed() {
    const auto [code, out] = house_->run_cli({"keys", "list", "--format", "json"});
    EXPECT_EQ(code, 0) << out;
    const Result<gateway::KeyPage> page = gateway::parse_key_page(out);
    EXPECT_TRUE(page.has_value()) << out;
    return page.has_value() ? page->keys : std::vector<gateway::KeyView>();
  }
  Answer ask(const std::string& method, const std::string& target, const std::string& key,
             const std::string& body = "") {
    Wish wish;
    wish.method = method;
    wish.target = target;
    wish.body = body;
    if (!key.empty()) wish.headers = {{"authorization", "Bearer " + key}};
    return house_->ask(std::move(wish));
  }
  int generate(const std::string& key, const std::string& model = "chat") {
    return ask("POST", "/generate", key, R"({"model":")" + model + R"(","prompt":"x"})").status;
  }
  void stop() {
    house_->signal(SIGTERM);
    house_->signal(SIGTERM);
    ASSERT_TRUE(house_->wait_exit(milliseconds(20'000)).has_value());
  }

  std::optional<RunningHouse> house_;
};

TEST_F(Keys, TheFirstOneShutsTheDoorAndOpensWhatItSays) {
  open();
  EXPECT_EQ(generate(""), 200) << "no key exists";
  const std::string app = create({"--name", "app", "--models", "chat", "--rpm", "600", "--budget", "50CNY/month"});
  EXPECT_EQ(generate(""), 401);
  EXPECT_EQ(generate(app), 200);
  EXPECT_EQ(generate(app, "other"), 403);
  EXPECT_EQ(ask("GET", "/admin/v1/status", app).status, 403);
  EXPECT_EQ(ask("GET", "/nothing", "").status, 401);
  EXPECT_EQ(ask("GET", "/livez", "").status, 200);
  const std::string ops = create({"--name", "ops", "--scope", "admin", "--expires", "never"});
  EXPECT_EQ(ask("GET", "/admin/v1/status", ops).status, 200);
  EXPECT_EQ(generate(ops), 403);
  const auto [ps_code, ps] = house_->run_cli({"ps"});
  EXPECT_EQ(ps_code, 0) << "the CLI comes over the socket";
  const std::vector<gateway::KeyView> keys = listed();
  ASSERT_EQ(keys.size(), 2U);
  EXPECT_EQ(keys[0].name, "app");
  EXPECT_EQ(keys[0].models, std::vector<std::string>{"chat"});
  EXPECT_EQ(keys[0].limits.requests_per_minute, 600);
  EXPECT_EQ(keys[0].limits.budget_micros, 50'000'000);
  EXPECT_TRUE(keys[0].expires_us.has_value()) << "90 days by default";
  EXPECT_GT(keys[0].used_us, 0);
  EXPECT_FALSE(keys[1].expires_us.has_value());
  const auto [code, table] = house_->run_cli({"keys", "list"});
  EXPECT_NE(table.find("lsk_" + kid(app) + "…" + app.substr(60)), std::string::npos) << table;
  EXPECT_NE(table.find("600 rpm, 50CNY/month"), std::string::npos) << table;
  EXPECT_EQ(table.find(app), std::string::npos);
  const auto [zh_code, zh] = house_->run_cli({"--lang", "zh", "keys", "list"});
  EXPECT_NE(zh.find("有效"), std::string::npos) << zh;
  cli({"keys", "set", kid(app), "--models", "*", "--rpm", "0"});
  EXPECT_EQ(generate(app, "other"), 200);
}

TEST_F(Keys, WhatIsWronglyTypedIsRefused) {
  open();
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"keys"},
           {"keys", "create"},
           {"keys", "create", "--name", "a", "--scope", "all"},
           {"keys", "create", "--name", "a", "--budget", "50"},
           {"keys", "create", "--name", "a", "--expires", "soon"},
           {"keys", "create", "--name", "a", "--rpm", "-1"},
           {"keys", "rotate", "Kid0000001", "--overlap", "30d"},
           {"keys", "revoke", "nobody"},
           {"keys", "revoke", gateway::make_key(gateway::Scope::kRead, "Kid0000001")}}) {
    const auto [code, out] = house_->run_cli(arguments);
    EXPECT_EQ(code, 2) << out;
  }
  EXPECT_EQ(house_->run_cli({"keys", "revoke", "Kid0000001"}).first, 1);
  EXPECT_TRUE(listed().empty());
  EXPECT_EQ(generate(""), 200);
}

TEST_F(Keys, ARevocationIsFeltByTheNextRequestAndByARunningAnswer) {
  HouseSetup setup;
  setup.fakes = {{"chat", "tokens=600,tokens_per_s=20"}};
  open(std::move(setup));
  const std::string app = create({"--name", "app"});
  const std::string neighbour = create({"--name", "neighbour"});
  const auto stream = [](const std::string& key) {
    Wish wish;
    wish.method = "POST";
    wish.target = "/v1/chat/completions";
    wish.body = R"({"model":"chat","stream":true,"messages":[{"role":"user","content":"x"}]})";
    wish.headers = {{"authorization", "Bearer " + key}};
    return wish;
  };
  const SystemClock clock;
  MonoTime revoked;
  int next = 0;
  int after_cut = 0;  // what the neighbour hears once the other is cut
  bool cut = false;
  Wish theirs = stream(app);
  theirs.on_piece = [&](const std::string& piece) {
    if (piece.find("invalid_api_key") != std::string::npos) cut = true;
    if (revoked.ns != 0 || piece.find("w3") == std::string::npos) return true;
    EXPECT_EQ(house_->run_cli({"keys", "revoke", kid(app)}).first, 0);
    revoked = clock.now();
    next = generate(app);
    EXPECT_LT(clock.now() - revoked, std::chrono::seconds(1));
    return true;
  };
  Wish others = stream(neighbour);
  others.on_piece = [&](const std::string&) { return !cut || ++after_cut < 3; };
  std::vector<Wish> both;
  both.push_back(std::move(theirs));
  both.push_back(std::move(others));
  const std::vector<Answer> answers = house_->ask_all(std::move(both));
  ASSERT_NE(revoked.ns, 0);
  EXPECT_EQ(next, 401);
  EXPECT_LT(clock.now() - revoked, std::chrono::seconds(5));
  EXPECT_EQ(answers[0].status, 200);
  EXPECT_NE(answers[0].body.find("invalid_api_key"), std::string::npos) << answers[0].body;
  EXPECT_EQ(answers[0].body.find("[DONE]"), std::string::npos);
  EXPECT_EQ(after_cut, 3) << "another key's answer goes on";
  EXPECT_EQ(ask("GET", "/v1/models", app).status, 401);
  EXPECT_EQ(ask("GET", "/v1/models", neighbour).status, 200);
}

TEST_F(Keys, ARotationOverlaps) {
  open();
  const std::string old = create({"--name", "app"});
  auto [code, renewed] = house_->run_cli({"keys", "rotate", kid(old), "--overlap", "2s"});
  ASSERT_EQ(code, 0) << renewed;
  renewed.pop_back();
  EXPECT_NE(renewed, old);
  EXPECT_EQ(generate(old), 200);
  EXPECT_EQ(generate(renewed), 200);
  EXPECT_TRUE(house_->eventually(kSoon, [&] { return ask("GET", "/v1/models", old).status == 401; }));
  EXPECT_EQ(generate(renewed), 200);
  EXPECT_NE(ask("GET", "/v1/models", old).body.find("expired_api_key"), std::string::npos);
}

TEST_F(Keys, KeysAreThereAfterACrash) {
  open();
  const std::string app = create({"--name", "app"});
  const std::string gone = create({"--name", "gone"});
  cli({"keys", "revoke", kid(gone)});
  ASSERT_TRUE(house_->restart(SIGKILL)) << house_->log();
  EXPECT_EQ(generate(""), 401);
  EXPECT_EQ(generate(app), 200);
  EXPECT_EQ(generate(gone), 401);
  EXPECT_EQ(fs::status(house_->directory() + "/data/keys.pepper").permissions() & fs::perms::all,
            fs::perms::owner_read | fs::perms::owner_write);
}

TEST_F(Keys, WithNoServerTheVerbsWorkOnTheDirectory) {
  open();
  stop();
  const std::string first = create({"--name", "first", "--models", "chat"});
  const std::string gone = create({"--name", "gone"});
  cli({"keys", "revoke", "lsk_" + kid(gone)});
  auto [code, renewed] = house_->run_cli({"keys", "rotate", kid(first), "--overlap", "0s"});
  ASSERT_EQ(code, 0) << renewed;
  renewed.pop_back();
  EXPECT_EQ(listed().size(), 2U);
  ASSERT_TRUE(house_->restart()) << house_->log();
  EXPECT_EQ(generate(""), 401) << "shut from its first request on";
  EXPECT_EQ(generate(first), 401);
  EXPECT_EQ(generate(gone), 401);
  EXPECT_EQ(generate(renewed), 200);
  EXPECT_EQ(listed().size(), 2U);
}

}  // namespace
}  // namespace dormouse::e2e
