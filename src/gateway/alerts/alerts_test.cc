// Goal: an alert arrives in the form its service wants, once, however the service answers; and nobody else hears the
// webhook's address or secret. Method: exact requests and answers in tables (signatures computed apart, with Python's
// hmac), then the sender against a server on loopback that fails as told.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "gateway/alerts/alert_sender.h"
#include "http/server.h"

namespace dormouse::gateway {
namespace {

namespace json = boost::json;
using std::chrono::milliseconds;

constexpr const char* kSecret = "SEC0123456789abcdef";
constexpr WallTime kNow{1'700'000'000'123'456};

catalog::AlertEntry entry(std::string kind, std::string url, std::string secret = {}) {
  catalog::AlertEntry out;
  out.kind = std::move(kind);
  out.url = std::move(url);
  out.secret = std::move(secret);
  return out;
}

Alert sample() {
  return {.event = AlertEvent::kFailed,
          .key = "chat",
          .is_over = false,
          .title_en = "chat has \"failed\"",
          .title_zh = "chat 失败",
          .text_en = "look",
          .text_zh = "请查看"};
}

TEST(Webhook, EachKindHasItsForm) {
  struct Row {
    catalog::AlertEntry entry;
    const char* target;
    const char* body;
  };
  for (const Row& row :
       {Row{entry("dingtalk", "https://oapi.dingtalk.com/robot/send?access_token=T"), "/robot/send?access_token=T",
            R"({"msgtype":"markdown","markdown":{"title":"chat 失败","text":"### chat 失败\n\n请查看"}})"},
        Row{entry("dingtalk", "https://oapi.dingtalk.com/robot/send?access_token=T", kSecret),
            "/robot/send?access_token=T&timestamp=1700000000123&sign="
            "V9VP5gL2WDsEZvZQHnbd9k4n%2Bp56ibcLMh%2BWKMZRQas%3D",
            R"({"msgtype":"markdown","markdown":{"title":"chat 失败","text":"### chat 失败\n\n请查看"}})"},
        Row{entry("wecom", "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=K"), "/cgi-bin/webhook/send?key=K",
            R"({"msgtype":"markdown","markdown":{"content":"<font color=\"warning\">**chat 失败**</font>\n请查看"}})"},
        Row{entry("feishu", "https://open.feishu.cn/open-apis/bot/v2/hook/H"), "/open-apis/bot/v2/hook/H",
            R"({"msg_type":"text","content":{"text":"chat 失败\n请查看"}})"},
        Row{entry("feishu", "https://open.feishu.cn/open-apis/bot/v2/hook/H", kSecret), "/open-apis/bot/v2/hook/H",
            R"({"msg_type":"text","content":{"text":"chat 失败\n请查看"},"timestamp":"1700000000",)"
            R"("sign":"PiO7POLlSx/DM2qf8Dy/XCWeJK3exVnevp5G99LEN2M="})"},
        Row{entry("slack", "https://hooks.slack.com/services/A/B/C"), "/services/A/B/C",
            R"({"text":"*chat has \"failed\"*\nlook"})"}}) {
    const Result<Webhook> webhook = make_webhook(row.entry);
    ASSERT_TRUE(webhook.has_value()) << webhook.error().message;
    const http::ClientRequest request = write_request(*webhook, sample(), kNow);
    EXPECT_EQ(request.method, "POST");
    EXPECT_EQ(request.target, row.target);
    EXPECT_EQ(json::parse(request.body), json::parse(row.body)) << request.body;
    EXPECT_EQ(request.headers.find("content-type"), "application/json; charset=utf-8");
    EXPECT_EQ(request.headers.find("host"), webhook->host);
    ASSERT_TRUE(webhook->address.tls.has_value());
    EXPECT_TRUE(webhook->address.tls->system_cas) << "public authorities vouch for them";
  }
}

TEST(Webhook, AnUrlIsReadOrRefusedWithoutBeingRepeated) {
  struct Row {
    const char* url;
    const char* host;  // "": refused
    int port;
    const char* target;
  };
  for (const Row& row :
       {Row{"https://h/p?q=1", "h", 443, "/p?q=1"}, Row{"http://h", "h", 80, "/"},
        Row{"https://h:8443/p", "h:8443", 8443, "/p"}, Row{"https://[::1]/p", "[::1]", 443, "/p"},
        Row{"http://[::1]:9/p", "[::1]:9", 9, "/p"}, Row{"https://h?x", "h", 443, "/?x"},
        Row{"ftp://h/SECRET", "", 0, ""}, Row{"SECRET", "", 0, ""}, Row{"", "", 0, ""}, Row{"https://", "", 0, ""},
        Row{"https:///SECRET", "", 0, ""}, Row{"https://h/SECRET X", "", 0, ""},
        Row{"https://h/SECRET\r\nx: y", "", 0, ""}, Row{"https://u:SECRET@h/", "", 0, ""},
        Row{"https://h:0x/SECRET", "", 0, ""}, Row{"https://h/SECRET#f", "", 0, ""}}) {
    const Result<Webhook> webhook = make_webhook(entry("slack", row.url));
    if (std::string(row.host).empty()) {
      ASSERT_FALSE(webhook.has_value()) << row.url;
      EXPECT_EQ(webhook.error().code, Code::kInvalidArgument);
      EXPECT_EQ(webhook.error().message.find("SECRET"), std::string::npos) << webhook.error().message;
      continue;
    }
    ASSERT_TRUE(webhook.has_value()) << row.url << webhook.error().message;
    EXPECT_EQ(webhook->host, row.host);
    EXPECT_EQ(webhook->address.port, row.port);
    EXPECT_EQ(webhook->target, row.target);
  }
}

TEST(Webhook, KindsEventsAndLanguagesAreChecked) {
  EXPECT_FALSE(make_webhook(entry("teams", "https://h/")).has_value());
  catalog::AlertEntry some = entry("slack", "https://h/");
  EXPECT_EQ(make_webhook(some)->events.size(), 4U) << "all, where nothing is said";
  EXPECT_FALSE(make_webhook(some)->is_chinese);
  EXPECT_TRUE(make_webhook(entry("feishu", "https://h/"))->is_chinese);
  some.events = {"failed", "budget"};
  some.language = "zh";
  EXPECT_EQ(make_webhook(some)->events, (std::set<AlertEvent>{AlertEvent::kFailed, AlertEvent::kBudget}));
  EXPECT_TRUE(make_webhook(some)->is_chinese);
  some.events = {"fire"};
  EXPECT_FALSE(make_webhook(some).has_value());
  const auto two =
      make_webhooks({entry("slack", "https://a/"), entry("wecom", "https://b/"), entry("slack", "https://c/")});
  ASSERT_TRUE(two.has_value());
  EXPECT_EQ((*two)[0].name, "slack");
  EXPECT_EQ((*two)[2].name, "slack 2");
  EXPECT_NE(make_webhooks({entry("slack", "https://a/"), entry("x", "y")}).error().message.find("[[alert]] 2"),
            std::string::npos);
}

TEST(Webhook, WhatAnAnswerMeans) {
  using Kind = WebhookAnswer::Kind;
  struct Row {
    WebhookKind webhook;
    int status;
    const char* body;
    Kind kind;
    const char* said;
  };
  for (const Row& row : {
           Row{WebhookKind::kSlack, 200, "ok", Kind::kDelivered, "200 ok"},
           Row{WebhookKind::kSlack, 403, "invalid_token", Kind::kRefused, "403 invalid_token"},
           Row{WebhookKind::kSlack, 429, "", Kind::kTryAgain, "429 "},
           Row{WebhookKind::kSlack, 500, "a\nb", Kind::kTryAgain, "500 a b"},
           Row{WebhookKind::kDingTalk, 200, R"({"errcode":0,"errmsg":"ok"})", Kind::kDelivered, "200 ok"},
           Row{WebhookKind::kDingTalk, 200, R"({"errcode":310000,"errmsg":"sign not match"})", Kind::kRefused,
               "errcode 310000: sign not match"},
           Row{WebhookKind::kDingTalk, 200, R"({"errcode":130101,"errmsg":"send too fast"})", Kind::kTryAgain,
               "errcode 130101: send too fast"},
           Row{WebhookKind::kWeCom, 200, R"({"errcode":45009,"errmsg":"freq out of limit"})", Kind::kTryAgain,
               "errcode 45009: freq out of limit"},
           Row{WebhookKind::kWeCom, 200, R"({"errcode":93000,"errmsg":"invalid webhook url"})", Kind::kRefused,
               "errcode 93000: invalid webhook url"},
           Row{WebhookKind::kFeishu, 200, R"({"code":0,"msg":"success","data":{}})", Kind::kDelivered, "200 success"},
           Row{WebhookKind::kFeishu, 200, R"({"code":19021,"msg":"sign match fail"})", Kind::kRefused,
               "code 19021: sign match fail"},
           Row{WebhookKind::kFeishu, 200, "<html>", Kind::kRefused, "200, and no JSON in it"},
           Row{WebhookKind::kFeishu, 200, "{}", Kind::kRefused, "200 without code"},
           Row{WebhookKind::kFeishu, 502, "", Kind::kTryAgain, "502 "},
       }) {
    const WebhookAnswer answer = read_answer(row.webhook, row.status, row.body);
    EXPECT_EQ(answer.kind, row.kind) << row.body;
    EXPECT_EQ(answer.said, row.said);
  }
}

// A service on loopback that answers as told: statuses in order, then 200.
class AlertSenderTest : public testing::Test {
 protected:
  AlertSenderTest() {
    http::Handler handler = [this](http::Exchange& exchange) { return answer(exchange); };
    server_ = std::make_unique<http::Server>(io_, http::ServerLimits{}, std::move(handler),
                                             [](int, std::string_view code) { return std::string(code); });
    address_ = server_->listen(http::Address::parse("127.0.0.1:0").value(), "hook").value();
  }
  ~AlertSenderTest() override {
    sender_.reset();
    server_.reset();
    io_.restart();
    io_.run_for(milliseconds(50));
  }
  Task<void> answer(http::Exchange& exchange) {
    bodies_.push_back(exchange.request().body);
    http::Response response;
    response.body = "ok";
    if (!statuses_.empty()) {
      response.status = statuses_.front();
      statuses_.pop_front();
    }
    const Status sent = co_await exchange.send(std::move(response));
    static_cast<void>(sent);
  }
  void make(std::size_t webhooks = 1, std::size_t most_waiting = 256) {
    AlertSenderOptions options;
    for (std::size_t i = 0; i < webhooks; ++i) {
      options.webhooks.push_back(make_webhook(entry("slack", "http://" + address_.to_string() + "/h")).value());
    }
    options.first_pause = milliseconds(1);
    options.longest_pause = milliseconds(4);
    options.most_waiting = most_waiting;
    sender_ = std::make_unique<AlertSender>(io_, clock_, std::move(options));
  }
  // Runs the loop until so many have come to an end, at most ten seconds.
  void settle(std::uint64_t ended) {
    const SystemClock clock;
    const MonoTime until = clock.now() + std::chrono::seconds(10);
    while (sender_->sent() + sender_->lost() < ended && clock.now() < until) io_.run_one_for(milliseconds(100));
    ASSERT_EQ(sender_->sent() + sender_->lost(), ended);
  }

  asio::io_context io_{1};
  ManualClock clock_;
  std::unique_ptr<http::Server> server_;
  http::Address address_;
  std::unique_ptr<AlertSender> sender_;
  std::deque<int> statuses_;
  std::vector<std::string> bodies_;
};

TEST_F(AlertSenderTest, TriesAgainWhatMaySucceedAndGivesUpAtTheEighth) {
  make();
  statuses_ = {500, 503, 429};
  sender_->raise(failed_alert("chat"));
  settle(1);
  EXPECT_EQ(bodies_.size(), 4U);
  EXPECT_EQ(sender_->sent(), 1U);
  statuses_.assign(20, 500);
  sender_->raise(failed_alert("other"));
  settle(2);
  EXPECT_EQ(bodies_.size(), 4U + 8U);
  EXPECT_EQ(sender_->lost(), 1U);
  statuses_ = {403};
  sender_->raise(failed_alert("third"));
  settle(3);
  EXPECT_EQ(bodies_.size(), 13U) << "what is refused is not repeated";
}

TEST_F(AlertSenderTest, NobodyThereIsTriedEightTimes) {
  make();
  server_.reset();
  sender_->raise(failed_alert("chat"));
  settle(1);
  EXPECT_EQ(sender_->lost(), 1U);
}

TEST_F(AlertSenderTest, TheSameAlertGoesOutOnceAnHour) {
  make();
  for (int i = 0; i < 5; ++i) sender_->raise(failed_alert("chat"));
  sender_->raise(recovered_alert("chat"));
  sender_->raise(budget_alert("key web", 80));
  sender_->raise(budget_alert("key web", 100));
  settle(4);
  EXPECT_EQ(bodies_.size(), 4U);
  clock_.advance(std::chrono::minutes(59));
  sender_->raise(failed_alert("chat"));
  clock_.advance(std::chrono::minutes(1));
  sender_->raise(failed_alert("chat"));
  sender_->raise(failed_alert("chat"));
  settle(5);
  EXPECT_EQ(bodies_.size(), 5U);
}

TEST_F(AlertSenderTest, AWebhookHearsItsEventsOnly) {
  AlertSenderOptions options;
  options.webhooks.push_back(make_webhook(entry("slack", "http://" + address_.to_string() + "/h")).value());
  options.webhooks[0].events = {AlertEvent::kBudget};
  sender_ = std::make_unique<AlertSender>(io_, clock_, std::move(options));
  sender_->raise(failed_alert("chat"));
  sender_->raise(budget_alert("deployment chat", 80));
  settle(1);
  ASSERT_EQ(bodies_.size(), 1U);
  EXPECT_NE(bodies_[0].find("80 %"), std::string::npos);
}

TEST_F(AlertSenderTest, TheQueueIsBoundedAndTheOldestGoes) {
  make(1, 3);
  // Nothing runs in between: the first is not yet on its way when the last comes.
  for (int i = 0; i < 10; ++i) sender_->raise(failed_alert(fmt::format("d{}", i)));
  settle(10);
  EXPECT_EQ(sender_->lost(), 7U);
  ASSERT_EQ(bodies_.size(), 3U);
  EXPECT_NE(bodies_[2].find("d9"), std::string::npos);
}

TEST_F(AlertSenderTest, ATestGoesToAllAndSaysWhatCameBack) {
  make(2);
  statuses_ = {200, 403};
  std::vector<AlertTestRow> rows;
  asio::co_spawn(io_, sender_->test(), [&rows](std::exception_ptr failure, std::vector<AlertTestRow> got) {
    EXPECT_FALSE(failure);
    rows = std::move(got);
  });
  while (rows.empty() && io_.run_one_for(std::chrono::seconds(10)) > 0) {
  }
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_TRUE(rows[0].is_delivered);
  EXPECT_EQ(rows[0].said, "200 ok");
  EXPECT_FALSE(rows[1].is_delivered);
  EXPECT_EQ(rows[1].said, "403 ok");
}

TEST(Alerts, TheNoteOfASlowDeploymentSaysWhatToDo) {
  SpeedView speed;
  speed.measured = 12;
  speed.expected = 30;
  EXPECT_EQ(speed_note_en(speed), "");
  speed.is_degraded = true;
  speed.since_s = 420;
  speed.next_type = "a10";
  speed.next_price = "¥2.50/h";
  EXPECT_EQ(speed_note_en(speed),
            "degraded: 12.0 tok/s a stream where 30.0 are expected, for 7 min; perhaps another program uses the GPU or "
            "CPU; if not, consider a10 at ¥2.50/h");
  EXPECT_EQ(speed_note_zh(speed),
            "变慢：单路 12.0 tok/s，预期为 30.0 tok/s，已持续 7 分钟；可能有其他程序占用 GPU 或 CPU；若没有，可考虑 "
            "a10（¥2.50/h）");
  speed.next_type.clear();
  speed.is_learned = true;
  EXPECT_NE(speed_note_en(speed).find("30.0 are usual"), std::string::npos);
  EXPECT_NE(speed_note_en(speed).find("a larger instance type"), std::string::npos);
}

}  // namespace
}  // namespace dormouse::gateway
