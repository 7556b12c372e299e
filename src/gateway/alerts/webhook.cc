#include "gateway/alerts/webhook.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <charconv>
#include <utility>

#include "api/fields.h"
#include "http/hmac.h"

namespace dormouse::gateway {
namespace {

namespace json = boost::json;

constexpr std::array<std::pair<WebhookKind, std::string_view>, 4> kKinds{{{WebhookKind::kDingTalk, "dingtalk"},
                                                                          {WebhookKind::kWeCom, "wecom"},
                                                                          {WebhookKind::kFeishu, "feishu"},
                                                                          {WebhookKind::kSlack, "slack"}}};
constexpr std::size_t kMostSaid = 200;

Error wrong(std::string_view key, std::string_view what) {
  return make_error(Code::kInvalidArgument, fmt::format("{}: {}", key, what));
}

// "https://HOST[:PORT]/PATH?QUERY" into where to connect and what to ask for.
Status read_url(std::string_view url, const std::string& ca_file, Webhook& out) {
  const bool is_tls = url.starts_with("https://");
  if (!is_tls && !url.starts_with("http://")) return wrong("url", "want https://HOST/PATH");
  url.remove_prefix(is_tls ? 8 : 7);
  const std::size_t host_end = std::min(url.find_first_of("/?"), url.size());
  out.host = url.substr(0, host_end);
  out.target = url.substr(host_end);
  if (!out.target.starts_with('/')) out.target = fmt::format("/{}", out.target);
  if (std::any_of(out.target.begin(), out.target.end(), [](char c) { return c <= ' ' || c == '#' || c == 0x7f; })) {
    return wrong("url", "has a character that must be percent-encoded");
  }
  const bool has_port = out.host.find(':', out.host.find(']') + 1) != std::string::npos;
  const Result<http::Address> address =
      http::Address::parse(has_port ? out.host : fmt::format("{}:{}", out.host, is_tls ? 443 : 80));
  if (!address.has_value() || address->kind != http::Address::Kind::kTcp || out.host.find('@') != std::string::npos) {
    return wrong("url", "want https://HOST/PATH");
  }
  out.address = *address;
  if (is_tls) out.address.tls = http::TlsTrust{{}, ca_file, ca_file.empty()};
  return {};
}

std::string title(const Webhook& webhook, const Alert& alert) {
  return webhook.is_chinese ? alert.title_zh : alert.title_en;
}

std::string text(const Webhook& webhook, const Alert& alert) {
  return webhook.is_chinese ? alert.text_zh : alert.text_en;
}

// https://open.dingtalk.com/document/robots/customize-robot-security-settings
std::string dingtalk_signature(const Webhook& webhook, WallTime now) {
  const std::int64_t ms = now.us / 1'000;
  const std::string sign = http::hmac_sha256_base64(webhook.secret, fmt::format("{}\n{}", ms, webhook.secret));
  return fmt::format("{}timestamp={}&sign={}", webhook.target.find('?') == std::string::npos ? '?' : '&', ms,
                     http::percent_encode(sign));
}

json::object dingtalk_body(const Webhook& webhook, const Alert& alert) {
  const std::string words = title(webhook, alert);
  return {
      {"msgtype", "markdown"},
      {"markdown", json::object{{"title", words}, {"text", fmt::format("### {}\n\n{}", words, text(webhook, alert))}}}};
}

json::object wecom_body(const Webhook& webhook, const Alert& alert) {
  const std::string_view colour = alert.is_over ? "info" : "warning";
  return {{"msgtype", "markdown"},
          {"markdown", json::object{{"content", fmt::format("<font color=\"{}\">**{}**</font>\n{}", colour,
                                                            title(webhook, alert), text(webhook, alert))}}}};
}

// The signed text is the key here, and nothing the message: so Feishu has it.
json::object feishu_body(const Webhook& webhook, const Alert& alert, WallTime now) {
  json::object out{{"msg_type", "text"},
                   {"content", json::object{{"text", title(webhook, alert) + "\n" + text(webhook, alert)}}}};
  if (webhook.secret.empty()) return out;
  const std::string seconds = fmt::format("{}", now.us / 1'000'000);
  out["timestamp"] = seconds;
  out["sign"] = http::hmac_sha256_base64(seconds + "\n" + webhook.secret, "");
  return out;
}

json::object slack_body(const Webhook& webhook, const Alert& alert) {
  return {{"text", fmt::format("*{}*\n{}", title(webhook, alert), text(webhook, alert))}};
}

std::optional<std::int64_t> whole(const json::object& object, std::string_view key) {
  const json::value* const member = api::find_member(object, key);
  return member == nullptr ? std::nullopt : api::as_integer(*member);
}

// One line of a stranger's text.
std::string clean(std::string_view said) {
  std::string out(said.substr(0, kMostSaid));
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return out;
}

// "Too fast", in each one's numbers: all else that they refuse they would refuse again.
bool is_too_fast(std::int64_t code) {
  constexpr std::array<std::int64_t, 5> kTooFast{130101, 130102, 45009, 9499, 11232};
  return std::find(kTooFast.begin(), kTooFast.end(), code) != kTooFast.end();
}

}  // namespace

Result<Webhook> make_webhook(const catalog::AlertEntry& entry) {
  Webhook out;
  const auto kind = std::find_if(kKinds.begin(), kKinds.end(), [&](const auto& k) { return k.second == entry.kind; });
  if (kind == kKinds.end()) return wrong("kind", "want dingtalk, wecom, feishu or slack");
  out.kind = kind->first;
  out.name = entry.kind;
  TRY_STATUS(read_url(entry.url, entry.ca_file, out));
  out.secret = entry.secret;
  out.is_chinese = entry.language.empty() ? out.kind != WebhookKind::kSlack : entry.language == "zh";
  for (const std::string& name : entry.events) {
    const std::optional<AlertEvent> event = parse_alert_event(name);
    if (!event.has_value()) return wrong("events", "want some of budget, degraded, failed, break_even");
    out.events.insert(*event);
  }
  if (entry.events.empty()) {
    out.events = {AlertEvent::kBudget, AlertEvent::kDegraded, AlertEvent::kFailed, AlertEvent::kBreakEven};
  }
  return out;
}

Result<std::vector<Webhook>> make_webhooks(const std::vector<catalog::AlertEntry>& entries) {
  std::vector<Webhook> out;
  for (const catalog::AlertEntry& entry : entries) {
    Result<Webhook> webhook = make_webhook(entry);
    if (!webhook.has_value()) {
      return make_error(webhook.error().code, fmt::format("[[alert]] {}: {}", out.size() + 1, webhook.error().message));
    }
    const auto same = std::count_if(out.begin(), out.end(), [&](const Webhook& w) { return w.kind == webhook->kind; });
    if (same > 0) webhook->name += fmt::format(" {}", same + 1);
    out.push_back(*std::move(webhook));
  }
  return out;
}

http::ClientRequest write_request(const Webhook& webhook, const Alert& alert, WallTime now) {
  http::ClientRequest out;
  out.method = "POST";
  out.target = webhook.target;
  out.headers.set("host", webhook.host);
  out.headers.set("content-type", "application/json; charset=utf-8");
  out.header_deadline = std::chrono::seconds(10);
  out.read_deadline = std::chrono::seconds(10);
  out.connect_deadline = std::chrono::seconds(5);
  out.max_body_bytes = 64 * 1024;
  switch (webhook.kind) {
    case WebhookKind::kDingTalk:
      out.body = json::serialize(dingtalk_body(webhook, alert));
      if (!webhook.secret.empty()) out.target += dingtalk_signature(webhook, now);
      break;
    case WebhookKind::kWeCom: out.body = json::serialize(wecom_body(webhook, alert)); break;
    case WebhookKind::kFeishu: out.body = json::serialize(feishu_body(webhook, alert, now)); break;
    case WebhookKind::kSlack: out.body = json::serialize(slack_body(webhook, alert)); break;
  }
  return out;
}

WebhookAnswer read_answer(WebhookKind kind, int status, std::string_view body) {
  using Kind = WebhookAnswer::Kind;
  const bool is_later = status == 429 || status >= 500;
  if (status != 200) return {is_later ? Kind::kTryAgain : Kind::kRefused, fmt::format("{} {}", status, clean(body))};
  if (kind == WebhookKind::kSlack) return {Kind::kDelivered, fmt::format("200 {}", clean(body))};
  // The others say 200 to everything and mean what stands in the body.
  boost::system::error_code ec;
  const json::value root = json::parse({body.data(), body.size()}, ec);
  if (ec || !root.is_object()) return {Kind::kRefused, "200, and no JSON in it"};
  const json::object& object = root.get_object();
  const std::string_view code_key = kind == WebhookKind::kFeishu ? "code" : "errcode";
  const std::string_view text_key = kind == WebhookKind::kFeishu ? "msg" : "errmsg";
  const std::optional<std::int64_t> code = whole(object, code_key);
  const json::value* const said = api::find_member(object, text_key);
  const std::string words = said != nullptr && said->is_string() ? clean(said->get_string()) : std::string();
  if (!code.has_value()) return {Kind::kRefused, fmt::format("200 without {}", code_key)};
  if (*code == 0) return {Kind::kDelivered, words.empty() ? "200 ok" : "200 " + words};
  return {is_too_fast(*code) ? Kind::kTryAgain : Kind::kRefused, fmt::format("{} {}: {}", code_key, *code, words)};
}

}  // namespace dormouse::gateway
