#include "gateway/sessions/session_api.h"

#include <boost/json.hpp>
#include <utility>

#include "api/strict_json.h"
#include "base/time_zone.h"
#include "gateway/admin/json_reader.h"
#include "gateway/keys/key_access.h"
#include "gateway/sessions/cookie.h"

namespace dormouse::gateway {
namespace {

namespace json = boost::json;

// Of a key or a link's secret nobody writes more; what is larger is not looked at.
constexpr std::size_t kMaxLoginBytes = 1'024;

enum class Entry { kBySession, kOpenHouse };

std::string session_json(const SessionView& view, Entry entry) {
  const bool is_open = entry == Entry::kOpenHouse;
  json::object out{
      {"scope", view.scope == Scope::kAdmin ? "admin" : "read"}, {"expires_at", nullptr}, {"is_open", is_open}};
  if (!is_open) out["expires_at"] = TimeZone().iso(view.expires);
  return json::serialize(out);
}

CookieScheme scheme_of(const Call& call) {
  return call.is_https ? CookieScheme::kHttps : CookieScheme::kHttp;
}

api::ApiError wanted() {
  return {api::ErrorCode::kInvalidValue,
          R"(Either {"login": "..."} of a console link or {"key": "lsk_..."} is wanted.)", "login"};
}

Task<void> reply_session(Call& call, const SessionView& view, Entry entry, std::string_view cookie) {
  http::Response response;
  response.headers.set("cache-control", "no-store");
  if (!cookie.empty()) response.headers.set("set-cookie", cookie);
  response.body = session_json(view, entry);
  return reply(call, std::move(response));
}

}  // namespace

SessionApi::SessionApi(const Clock& clock, KeyRing& keys, SessionBook& book,
                       std::function<std::optional<std::string>()> console_link)
    : keys_(keys), book_(book), console_link_(std::move(console_link)), failures_(clock) {}

void SessionApi::add_routes(Router& router) {
  router.add({"POST", "/admin/v1/session", Access::kConsole, [this](Call& c) { return log_in(c); }});
  router.add({"GET", "/admin/v1/session", Access::kConsole, [this](Call& c) { return show(c); }});
  router.add({"DELETE", "/admin/v1/session", Access::kConsole, [this](Call& c) { return log_out(c); }});
  router.add({"POST", "/admin/v1/console-links", Access::kSocket, [this](Call& c) { return make_link(c); }});
}

api::ApiResult<NewSession> SessionApi::open(std::string_view body) {
  if (body.size() > kMaxLoginBytes) return tl::unexpected(api::ApiError{api::ErrorCode::kBodyTooLarge, {}, {}});
  const api::ApiResult<json::value> root = api::parse_strict_json(body);
  if (!root.has_value()) return tl::unexpected(root.error());
  if (!root->is_object()) return tl::unexpected(wanted());
  const json::value* const login = root->get_object().if_contains("login");
  const json::value* const key = root->get_object().if_contains("key");
  const json::value* const shown = login != nullptr ? login : key;
  if ((login != nullptr) == (key != nullptr) || !shown->is_string()) return tl::unexpected(wanted());
  const std::string_view secret(shown->get_string().data(), shown->get_string().size());
  if (login != nullptr) {
    std::optional<NewSession> opened = book_.open_by_login(secret);
    if (opened.has_value()) return *std::move(opened);
    return tl::unexpected(api::ApiError{api::ErrorCode::kInvalidApiKey,
                                        "This link has been used or is too old: `dormouse console` prints a new one.",
                                        "login"});
  }
  const KeyVerdict verdict = keys_.verify(secret);
  if (verdict.caller == nullptr) {
    const bool is_late = verdict.refusal == KeyRefusal::kExpired;
    return tl::unexpected(
        api::ApiError{is_late ? api::ErrorCode::kExpiredApiKey : api::ErrorCode::kInvalidApiKey, {}, "key"});
  }
  if (!may_call(verdict.caller->scope, Access::kRead)) {
    return tl::unexpected(
        api::ApiError{api::ErrorCode::kInsufficientScope, "The console wants a key of scope admin or read.", "key"});
  }
  return book_.open_by_key(verdict.caller);
}

Task<void> SessionApi::log_in(Call& call) {
  api::ApiResult<NewSession> opened = open(call.request().body);
  if (!opened.has_value()) {
    api::ApiError error = opened.error();
    co_await refuse(call, std::move(error));
    co_return;
  }
  const std::string cookie = new_session_cookie(call.request(), opened->token, scheme_of(call));
  co_await reply_session(call, opened->view, Entry::kBySession, cookie);
}

Task<void> SessionApi::refuse(Call& call, api::ApiError error) {
  const bool is_guess = api::row(error.code).status == 401;
  const auto wait = is_guess ? failures_.count(address_of(call.client)) : std::nullopt;
  if (wait.has_value()) {
    call.retry_after = *wait;
    error = {api::ErrorCode::kRateLimitRequests, "Too many failed attempts to authenticate.", ""};
  }
  co_await reply_error(call, error);
}

Task<void> SessionApi::show(Call& call) {
  const auto token = session_cookie(call.request(), scheme_of(call));
  const auto session = token.has_value() && is_from_own_page(call.request()) ? book_.find(*token) : std::nullopt;
  if (session.has_value()) {
    co_await reply_session(call, *session, Entry::kBySession, {});
    co_return;
  }
  if (!keys_.wants_keys() || call.request().peer == "unix") {
    const SessionView everybody;
    co_await reply_session(call, everybody, Entry::kOpenHouse, {});
    co_return;
  }
  co_await reply_error(call, api::ErrorCode::kMissingApiKey);
}

Task<void> SessionApi::log_out(Call& call) {
  const auto token = session_cookie(call.request(), scheme_of(call));
  if (token.has_value() && !is_from_own_page(call.request())) {
    co_await reply_error(call, api::ErrorCode::kHostNotAllowed);
    co_return;
  }
  if (token.has_value()) book_.close(*token);
  http::Response response;
  response.status = 204;
  response.headers.set("set-cookie", ended_session_cookie(call.request(), scheme_of(call)));
  co_await reply(call, std::move(response));
}

Task<void> SessionApi::make_link(Call& call) {
  const std::optional<std::string> link = console_link_();
  if (!link.has_value()) {
    const api::ApiError error{api::ErrorCode::kNotFound,
                              "No listener serves the console: start the server with --listen or --admin-listen.", ""};
    co_await reply_error(call, error);
    co_return;
  }
  http::Response response;
  response.headers.set("cache-control", "no-store");
  response.body = json::serialize(json::object{{"url", *link}});
  co_await reply(call, std::move(response));
}

Result<std::string> parse_console_link(std::string_view text) {
  TRY(const json::value root, parse_json_object(text));
  std::string url = JsonReader(root.get_object()).text("url");
  if (url.empty()) return make_error(Code::kDataLoss, "the server's answer has no url");
  return url;
}

}  // namespace dormouse::gateway
