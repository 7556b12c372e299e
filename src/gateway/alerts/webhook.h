// The four forms of a webhook: how an alert is written for DingTalk, WeCom, Feishu and Slack, and what their answers
// mean. No I/O. URL and secret are credentials: neither stands in any text made here. Threads: any.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "catalog/config_file.h"
#include "gateway/alerts/alert.h"
#include "http/client.h"

namespace dormouse::gateway {

enum class WebhookKind { kDingTalk, kWeCom, kFeishu, kSlack };

struct Webhook {
  WebhookKind kind = WebhookKind::kSlack;
  std::string name;  // "dingtalk", for logs and people; "dingtalk 2" for a second one
  http::Address address;
  std::string host;    // as the Host header has it
  std::string target;  // secret: path and query
  std::string secret;
  bool is_chinese = false;
  std::set<AlertEvent> events;
};

// Errors: kInvalidArgument, naming the key and not its value.
[[nodiscard]] Result<Webhook> make_webhook(const catalog::AlertEntry& entry);
// All of a file: a second one of a kind is called "slack 2". Errors: as of one, "[[alert]] N: ...".
[[nodiscard]] Result<std::vector<Webhook>> make_webhooks(const std::vector<catalog::AlertEntry>& entries);

// `now` signs it, where there is a secret.
[[nodiscard]] http::ClientRequest write_request(const Webhook& webhook, const Alert& alert, WallTime now);

struct WebhookAnswer {
  enum class Kind { kDelivered, kTryAgain, kRefused };
  Kind kind = Kind::kRefused;
  std::string said;  // "200 ok", "errcode 310000: sign not match"; short
};
[[nodiscard]] WebhookAnswer read_answer(WebhookKind kind, int status, std::string_view body);

}  // namespace dormouse::gateway
