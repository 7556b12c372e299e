// Goal: the console's server side as a browser meets it: the page, a login by link and by key, the status as it
// changes, a deployment's day; and nobody who only watches wakes anything. Method: the real gateway with a fake worker,
// the requests a browser sends.
#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <string>

#include "base/clock.h"
#include "e2e/running_house.h"

namespace dormouse::e2e {
namespace {

using std::chrono::milliseconds;
using Fields = std::vector<std::pair<std::string, std::string>>;

class Console : public ::testing::Test {
 protected:
  void SetUp() override {
    HouseSetup setup;
    setup.fakes = {{"chat", "tokens=20,tokens_per_s=20"}};
    house_.emplace(std::move(setup));
    ASSERT_TRUE(house_->is_up()) << house_->log();
  }
  Answer ask(const std::string& method, const std::string& target, Fields fields = {}, const std::string& body = "") {
    Wish wish;
    wish.method = method;
    wish.target = target;
    wish.headers = std::move(fields);
    wish.body = body;
    return house_->ask(std::move(wish));
  }
  [[nodiscard]] std::string origin() {
    const Result<gateway::StatusView> status = gateway::parse_status(socket_get("/admin/v1/status"));
    return status.has_value() && !status->urls.empty() ? status->urls.front() : "";
  }
  std::string socket_get(const std::string& target) {
    Wish wish;
    wish.target = target;
    return ask_of(*http::Address::parse("unix:" + house_->admin_socket()), std::move(wish)).body;
  }
  // As run/admin.sock tells it, whoever may ask elsewhere.
  gateway::DeploymentView chat() {
    const Result<gateway::StatusView> status = gateway::parse_status(socket_get("/admin/v1/status"));
    EXPECT_TRUE(status.has_value());
    return status.has_value() && !status->deployments.empty() ? status->deployments[0] : gateway::DeploymentView{};
  }
  static std::string login_of(const std::string& text) {
    const std::size_t at = text.find("/console/#login=");
    return at == std::string::npos ? "" : text.substr(at + 16, 43);
  }
  Answer log_in(const std::string& member, const std::string& secret) {
    return ask("POST", "/admin/v1/session", {{"origin", origin()}}, "{\"" + member + "\":\"" + secret + "\"}");
  }
  static std::string cookie_of(const Answer& answer) {
    const std::string line(answer.headers.find("set-cookie").value_or(""));
    return line.substr(0, line.find(';'));
  }
  std::string create_key(const std::string& scope) {
    auto [code, out] = house_->run_cli({"keys", "create", "--name", scope, "--scope", scope});
    EXPECT_EQ(code, 0) << out;
    while (out.ends_with('\n')) out.pop_back();
    return out;
  }

  std::optional<RunningHouse> house_;
};

TEST_F(Console, ThePageIsThereForEverybodyAndSaysNothing) {
  create_key("admin");
  const Answer moved = ask("GET", "/console");
  EXPECT_EQ(moved.status, 308);
  EXPECT_EQ(moved.headers.find("location"), "/console/");
  const Answer page = ask("GET", "/console/");
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.headers.find("content-type"), "text/html; charset=utf-8");
  EXPECT_NE(page.body.find("Dormouse"), std::string::npos);
  const std::string etag(page.headers.find("etag").value_or(""));
  ASSERT_FALSE(etag.empty());
  const Answer again = ask("GET", "/console/", {{"if-none-match", etag}});
  EXPECT_EQ(again.status, 304);
  EXPECT_EQ(again.body, "");
  const Answer head = ask("HEAD", "/console/");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.body, "");
  const Answer packed = ask("GET", "/console/", {{"accept-encoding", "gzip"}});
  EXPECT_EQ(packed.headers.find("content-encoding"), "gzip");
  EXPECT_TRUE(packed.body.starts_with("\x1f\x8b"));
  EXPECT_EQ(ask("GET", "/console/nothing").status, 404);
  EXPECT_EQ(ask("GET", "/admin/v1/status").status, 401);
}

TEST_F(Console, ALinkLogsInOnceAndTheSessionEndsWithItsCookie) {
  EXPECT_NE(house_->log().find("(one use, 10 minutes)"), std::string::npos) << house_->log();
  const std::string login = login_of(house_->log());
  ASSERT_EQ(login.size(), 43U) << house_->log();
  EXPECT_NE(ask("GET", "/admin/v1/session").body.find(R"("is_open":true)"), std::string::npos);
  create_key("inference");
  EXPECT_EQ(ask("GET", "/admin/v1/session").status, 401);
  const Answer answer = log_in("login", login);
  EXPECT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(log_in("login", login).status, 401) << "one use";
  const Fields ours{{"cookie", cookie_of(answer)}, {"origin", origin()}};
  EXPECT_EQ(ask("GET", "/admin/v1/status", ours).status, 200);
  EXPECT_EQ(ask("POST", "/admin/v1/keys", ours, R"({"name":"by console"})").status, 200);
  EXPECT_EQ(ask("POST", "/generate", ours, R"({"prompt":"x","max_tokens":2})").status, 200) << "the playground";
  const Fields theirs{{"cookie", cookie_of(answer)}, {"origin", "http://127.0.0.1:1"}, {"sec-fetch-site", "same-site"}};
  EXPECT_EQ(ask("POST", "/generate", theirs, R"({"prompt":"x"})").status, 421) << "another port's page";
  EXPECT_EQ(ask("POST", "/admin/v1/keys", theirs, R"({"name":"x"})").status, 421);
  EXPECT_EQ(ask("DELETE", "/admin/v1/session", ours).status, 204);
  EXPECT_EQ(ask("GET", "/admin/v1/status", ours).status, 401);
  const auto [code, out] = house_->run_cli({"console"});
  EXPECT_EQ(code, 0) << out;
  EXPECT_EQ(log_in("login", login_of(out)).status, 200) << out;
}

TEST_F(Console, WatchingWakesNothingAndEndsWithTheSession) {
  const std::string key = create_key("read");
  const Answer in = log_in("key", key);
  ASSERT_EQ(in.status, 200) << in.body;
  const Fields ours{{"cookie", cookie_of(in)}, {"origin", origin()}};
  const SystemClock clock;
  const MonoTime begun = clock.now();
  Wish watch;
  watch.target = "/admin/v1/events";
  watch.headers = ours;
  bool has_revoked = false;
  watch.on_piece = [&](const std::string& piece) {
    EXPECT_TRUE(piece.starts_with("event: status\n")) << piece;
    if (!std::exchange(has_revoked, true)) {
      // As long as a console looks at it without a request, nothing happens.
      EXPECT_FALSE(house_->eventually(milliseconds(2'500), [this] { return chat().state != "asleep"; }));
      house_->run_cli({"keys", "revoke", key.substr(4, 10)});
    }
    return true;
  };
  const Answer events = house_->ask(std::move(watch));
  EXPECT_EQ(events.status, 200);
  EXPECT_EQ(events.headers.find("content-type"), "text/event-stream");
  EXPECT_TRUE(has_revoked);
  EXPECT_TRUE(events.whole) << "the revocation ended it";
  EXPECT_LT((clock.now() - begun).count(), std::int64_t{30'000'000'000});
  EXPECT_EQ(chat().wakes, 0);
  EXPECT_EQ(ask("GET", "/admin/v1/events", ours).status, 401);
}

TEST_F(Console, AnAnswerIsSeenAsItHappensAndOnTheStripAfterwards) {
  std::vector<std::string> states;
  double most_tokens_per_second = 0;
  Wish watch;
  watch.target = "/admin/v1/events";
  watch.on_piece = [&](const std::string& piece) {
    const std::size_t at = piece.find("data: ");
    if (at == std::string::npos) return true;
    const std::string json = piece.substr(at + 6, piece.find('\n', at) - at - 6);
    const Result<gateway::StatusView> status = gateway::parse_status(json);
    EXPECT_TRUE(status.has_value()) << json;
    if (!status.has_value()) return false;
    const gateway::DeploymentView& now = status->deployments.at(0);
    if (states.empty() || states.back() != now.state) states.push_back(now.state);
    most_tokens_per_second = std::max(most_tokens_per_second, now.tokens_per_second.value_or(0));
    return now.state != "ready" || now.running > 0 || !now.idle_left_s.has_value();
  };
  Wish generate;
  generate.method = "POST";
  generate.target = "/generate";
  generate.body = R"({"prompt":"x","max_tokens":60})";
  const std::vector<Answer> answers = house_->ask_all({std::move(watch), std::move(generate)});
  EXPECT_EQ(answers[1].status, 200) << answers[1].body;
  ASSERT_FALSE(states.empty());
  EXPECT_EQ(states.back(), "ready");
  EXPECT_GT(most_tokens_per_second, 0);
  const Answer strip = ask("GET", "/admin/v1/deployments/chat/strip?hours=1");
  EXPECT_EQ(strip.status, 200);
  EXPECT_NE(strip.body.find(R"("kind":"busy")"), std::string::npos) << strip.body;
  EXPECT_EQ(ask("GET", "/admin/v1/deployments/chat/strip?hours=0").status, 400);
  EXPECT_EQ(ask("GET", "/admin/v1/deployments/nobody/strip").status, 404);
  EXPECT_NE(ask("GET", "/admin/v1/instance-types").body.find(R"("id":"t4")"), std::string::npos);
  EXPECT_TRUE(house_->eventually(milliseconds(30'000), [this] {
    const auto figures = chat().figures;
    return figures.has_value() && figures->requests == 1 && figures->ttft_p50_us.has_value();
  }));
}

}  // namespace
}  // namespace dormouse::e2e
