#include "gateway/keys/key_admin.h"

#include <optional>
#include <utility>

#include "base/log.h"
#include "gateway/admin/query_string.h"

namespace dormouse::gateway {
namespace {

constexpr std::int64_t kDefaultPage = 100;
constexpr std::int64_t kMaxPage = 1'000;

// For an operator, who may see the reason. A message "KEY: ..." names its parameter.
api::ApiError from_keys(const Error& error) {
  api::ApiError out;
  out.message = error.message;
  switch (error.code) {
    case Code::kInvalidArgument:
    case Code::kTooLarge: out.code = api::ErrorCode::kInvalidValue; break;
    case Code::kPermissionDenied:
    case Code::kUnauthenticated: out.code = api::ErrorCode::kInsufficientScope; break;
    case Code::kNotFound: out.code = api::ErrorCode::kNotFound; break;
    case Code::kAlreadyExists: out.code = api::ErrorCode::kAlreadyExists; break;
    case Code::kUnavailable: out.code = api::ErrorCode::kLedgerUnavailable; break;
    case Code::kOverloaded:
    case Code::kRateLimited:
    case Code::kDeadlineExceeded: out.code = api::ErrorCode::kOverloaded; break;
    case Code::kCancelled: out.code = api::ErrorCode::kDraining; break;
    case Code::kDataLoss:
    case Code::kInternal: out.code = api::ErrorCode::kInternalError; break;
  }
  const std::size_t colon = error.message.find(':');
  const bool names_one = out.code == api::ErrorCode::kInvalidValue || out.code == api::ErrorCode::kInsufficientScope;
  if (names_one && colon != std::string::npos) out.param = error.message.substr(0, colon);
  return out;
}

struct ListWish {
  std::size_t limit = 0;
  std::string after;  // a kid; empty: from the beginning
};

Result<ListWish> list_wish(std::string_view text) {
  TRY(const QueryString query, QueryString::parse(text));
  TRY(const std::int64_t limit, query.number("limit", kDefaultPage, {1, kMaxPage}));
  return ListWish{static_cast<std::size_t>(limit), query.text("after").value_or("")};
}

Result<Children> children_of(std::string_view text) {
  TRY(const QueryString query, QueryString::parse(text));
  const std::string word = query.text("children").value_or("false");
  if (word == "true") return Children::kRevoke;
  if (word == "false") return Children::kKeep;
  return make_error(Code::kInvalidArgument, "children: true or false");
}

}  // namespace

KeyAdmin::KeyAdmin(Services services, KeyRing& ring, Limiter& limiter,
                   std::function<void(const std::vector<std::string>&)> on_revoked)
    : services_(services), ring_(ring), limiter_(limiter), on_revoked_(std::move(on_revoked)), turns_(services.io) {}

void KeyAdmin::add_spent(KeyView& view) const {
  const std::optional<AccountView> account = limiter_.view(Holder::kKey, view.kid);
  if (!account.has_value()) return;
  view.spent_micros = account->spent_micros;
  view.reserved_micros = account->reserved_micros;
  view.unpriced_requests = account->unpriced_requests;
}

void KeyAdmin::add_routes(Router& router) {
  const auto add = [&router](const char* method, const char* pattern, Access access, RouteHandler handler) {
    router.add({method, pattern, access, std::move(handler)});
  };
  add("POST", "/admin/v1/keys", Access::kAdmin, [this](Call& c) { return create(c); });
  add("GET", "/admin/v1/keys", Access::kRead, [this](Call& c) { return list(c); });
  add("GET", "/admin/v1/keys/{kid}", Access::kRead, [this](Call& c) { return show(c); });
  add("PATCH", "/admin/v1/keys/{kid}", Access::kAdmin, [this](Call& c) { return change(c); });
  add("DELETE", "/admin/v1/keys/{kid}", Access::kAdmin, [this](Call& c) { return revoke(c); });
  add("POST", "/admin/v1/keys/{kid}/rotate", Access::kAdmin, [this](Call& c) { return rotate(c); });
}

void KeyAdmin::name_models(KeyWish& wish) const {
  if (!wish.models.has_value()) return;
  for (std::string& model : *wish.models) {
    const Deployment* deployment = services_.deployments.resolve(model);
    if (deployment != nullptr) model = deployment->name;
  }
}

Task<Status> KeyAdmin::commit(ledger::KeyWrite write) {
  const std::vector<ledger::ApiKey> rows = write.rows;
  const OneShot<Status> written(services_.io);
  services_.ledger.put_keys(std::move(write), [written](Status status) { written.set(std::move(status)); });
  Status status = co_await written.get();
  if (status.has_value()) ring_.adopt(rows);
  co_return status;
}

Task<void> KeyAdmin::issue(Call& call, Result<KeyDraft> draft) {
  if (!draft.has_value()) {
    const api::ApiError error = from_keys(draft.error());
    co_await reply_error(call, error);
    co_return;
  }
  const std::string kid = draft->write.rows.front().kid;
  log_info("event={} id={} kid={}", draft->write.audit_kind, call.request_id, kid);
  ledger::KeyWrite write = std::move(draft->write);
  const Status status = co_await commit(std::move(write));
  if (!status.has_value()) {
    const api::ApiError error = from_keys(status.error());
    co_await reply_error(call, error);
    co_return;
  }
  http::Response response;
  response.headers.set("cache-control", "no-store");
  response.body = to_json(IssuedKey{draft->key, ring_.view(kid).value_or(KeyView{})});
  co_await reply(call, std::move(response));
}

Task<void> KeyAdmin::create(Call& call) {
  Result<KeyWish> wish = parse_key_wish(call.request().body);
  if (!wish.has_value()) {
    const api::ApiError error = from_keys(wish.error());
    co_await reply_error(call, error);
    co_return;
  }
  name_models(*wish);
  const Turns::Turn turn = co_await turns_.take();
  Result<KeyDraft> draft = ring_.draft_create(*wish, call.caller.get());
  co_await issue(call, std::move(draft));
}

Task<void> KeyAdmin::rotate(Call& call) {
  const Result<Rotation> rotation = parse_rotation(call.request().body);
  if (!rotation.has_value()) {
    const api::ApiError error = from_keys(rotation.error());
    co_await reply_error(call, error);
    co_return;
  }
  const Turns::Turn turn = co_await turns_.take();
  Result<KeyDraft> draft = ring_.draft_rotate(call.parameters[0], *rotation, call.caller.get());
  co_await issue(call, std::move(draft));
}

Task<void> KeyAdmin::list(Call& call) const {
  const Result<ListWish> wish = list_wish(call.request().query);
  if (!wish.has_value()) {
    const api::ApiError error = from_keys(wish.error());
    co_await reply_error(call, error);
    co_return;
  }
  if (!wish->after.empty() && !ring_.view(wish->after).has_value()) {
    const api::ApiError error{api::ErrorCode::kInvalidValue, "no such key", "after"};
    co_await reply_error(call, error);
    co_return;
  }
  KeyPage page = ring_.page(wish->after, wish->limit);
  for (KeyView& view : page.keys) add_spent(view);
  const std::string body = to_json(page);
  co_await reply_json(call, 200, body);
}

Task<void> KeyAdmin::show(Call& call) const {
  std::optional<KeyView> view = ring_.view(call.parameters[0]);
  if (view.has_value()) add_spent(*view);
  if (!view.has_value()) {
    co_await reply_error(call, api::ErrorCode::kNotFound);
    co_return;
  }
  const std::string body = to_json(*view);
  co_await reply_json(call, 200, body);
}

Task<void> KeyAdmin::change(Call& call) {
  Result<KeyWish> wish = parse_key_wish(call.request().body);
  if (!wish.has_value()) {
    const api::ApiError error = from_keys(wish.error());
    co_await reply_error(call, error);
    co_return;
  }
  name_models(*wish);
  const Turns::Turn turn = co_await turns_.take();
  Result<KeyDraft> draft = ring_.draft_change(call.parameters[0], *wish, call.caller.get());
  Status status = draft.has_value() ? Status() : Status(draft.error());
  if (status.has_value()) {
    ledger::KeyWrite write = std::move(draft->write);
    status = co_await commit(std::move(write));
  }
  if (!status.has_value()) {
    const api::ApiError error = from_keys(status.error());
    co_await reply_error(call, error);
    co_return;
  }
  log_info("event=key_change id={} kid={}", call.request_id, call.parameters[0]);
  co_await show(call);
}

Task<void> KeyAdmin::revoke(Call& call) {
  const Result<Children> children = children_of(call.request().query);
  if (!children.has_value()) {
    const api::ApiError error = from_keys(children.error());
    co_await reply_error(call, error);
    co_return;
  }
  const Turns::Turn turn = co_await turns_.take();
  Result<KeyDraft> draft = ring_.draft_revoke(call.parameters[0], *children, call.caller.get());
  if (!draft.has_value()) {
    const api::ApiError error = from_keys(draft.error());
    co_await reply_error(call, error);
    co_return;
  }
  const std::vector<ledger::ApiKey> rows = draft->write.rows;
  std::vector<std::string> kids;
  for (const ledger::ApiKey& row : rows) kids.push_back(row.kid);
  ledger::KeyWrite write = std::move(draft->write);
  const Status status = co_await commit(std::move(write));
  // A disk that is full must not keep a leaked key alive: it is out at once, and the answer says that it is not
  // durable.
  if (!status.has_value()) ring_.adopt(rows);
  on_revoked_(kids);
  log_info("event=key_revoke id={} kid={} keys={} durable={}", call.request_id, kids.front(), kids.size(),
           status.has_value());
  if (!status.has_value()) {
    api::ApiError error = from_keys(status.error());
    error.message = "revoked until the next start only, repeat it: " + error.message;
    co_await reply_error(call, error);
    co_return;
  }
  const std::string body = revoked_json(kids);
  co_await reply_json(call, 200, body);
}

}  // namespace dormouse::gateway
