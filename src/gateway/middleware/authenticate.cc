#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/log.h"
#include "gateway/keys/failed_attempts.h"
#include "gateway/keys/key_access.h"
#include "gateway/middleware/middleware.h"
#include "gateway/sessions/cookie.h"

namespace dormouse::gateway {
namespace {

constexpr std::string_view kBearer = "bearer ";

std::string_view without_spaces(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

// What a request shows: nothing, one credential (which may be of another kind than ours: then empty), or more.
struct Shown {
  int count = 0;
  std::string_view key;
};

Shown shown_by(const http::Request& request) {
  Shown out;
  for (const auto& [name, value] : request.headers.all()) {
    if (http::equals_ignoring_case(name, "x-api-key")) {
      ++out.count;
      out.key = without_spaces(value);
    } else if (http::equals_ignoring_case(name, "authorization")) {
      ++out.count;
      const std::string_view text = value;
      const bool bearer = http::equals_ignoring_case(text.substr(0, kBearer.size()), kBearer);
      out.key = bearer ? without_spaces(text.substr(kBearer.size())) : std::string_view();
    }
  }
  return out;
}

class Authenticate final : public Middleware {
 public:
  Authenticate(const Clock& clock, KeyRing& ring, SessionBook& sessions, ledger::Ledger& ledger)
      : ring_(ring), sessions_(sessions), ledger_(ledger), failures_(clock) {}

  Task<void> handle(Call& call, Next next) override {
    const Access access = call.route != nullptr ? call.route->access : Access::kNone;
    if (access == Access::kOpen || access == Access::kConsole) {
      co_await next(call);
      co_return;
    }
    const bool local_socket = call.request().peer == "unix";  // its file mode says who may
    if (!local_socket && ring_.wants_keys()) {
      const std::optional<api::ErrorCode> refusal = identify(call);
      if (refusal.has_value()) {
        co_await refuse(call, *refusal);
        co_return;
      }
    }
    // A path that is no route's goes on to its 404: here it is somebody's who may know.
    if (access == Access::kSocket && !local_socket) {
      co_await reply_error(call, api::ErrorCode::kNotFound);
      co_return;
    }
    if (call.route != nullptr && !has_right(call, access)) {
      co_await reply_error(call, api::ErrorCode::kInsufficientScope);
      co_return;
    }
    co_await next(call);
  }

 private:
  static bool has_right(const Call& call, Access access) {
    if (access == Access::kNone) return false;
    if (call.caller == nullptr) return true;
    const Scope scope = call.caller->scope;
    return call.session.empty() ? may_call(scope, access) : may_call_in_session(scope, access);
  }

  // Sets call.caller, or says why not. A key that is shown counts, whatever cookie comes with it.
  std::optional<api::ErrorCode> identify(Call& call) {
    const Shown shown = shown_by(call.request());
    if (shown.count == 0) return identify_by_cookie(call);
    if (shown.count > 1) return api::ErrorCode::kInvalidValue;
    KeyVerdict verdict = ring_.verify(shown.key);
    if (verdict.caller == nullptr) {
      return verdict.refusal == KeyRefusal::kExpired ? api::ErrorCode::kExpiredApiKey : api::ErrorCode::kInvalidApiKey;
    }
    call.caller = std::move(verdict.caller);
    write_uses();
    return std::nullopt;
  }

  std::optional<api::ErrorCode> identify_by_cookie(Call& call) {
    const CookieScheme scheme = call.is_https ? CookieScheme::kHttps : CookieScheme::kHttp;
    const auto token = call.serves_admin ? session_cookie(call.request(), scheme) : std::nullopt;
    if (!token.has_value()) return api::ErrorCode::kMissingApiKey;
    if (!is_from_own_page(call.request())) return api::ErrorCode::kHostNotAllowed;
    std::optional<SessionView> session = sessions_.find(*token);
    if (!session.has_value()) return api::ErrorCode::kMissingApiKey;
    call.session = *token;
    call.caller = std::move(session->caller);
    return std::nullopt;
  }

  void write_uses() {
    std::vector<ledger::KeyUse> uses = ring_.take_uses(KeyRing::Flush::kIfDue);
    if (uses.empty()) return;
    ledger_.record_key_use(std::move(uses), [](const Status& status) {
      if (!status.has_value()) log_warn("event=key_uses_not_written error=\"{}\"", status.error().message);
    });
  }

  Task<void> refuse(Call& call, api::ErrorCode code) {
    if (code == api::ErrorCode::kInvalidValue) {
      const api::ApiError error{code, "Exactly one API key is wanted, in authorization or x-api-key.", "authorization"};
      co_await reply_error(call, error);
      co_return;
    }
    if (code == api::ErrorCode::kHostNotAllowed) {
      const api::ApiError error{code, "The console's cookie counts for requests of the console's own page only.", ""};
      co_await reply_error(call, error);
      co_return;
    }
    const std::optional<std::chrono::seconds> wait = failures_.count(address_of(call.client));
    if (!wait.has_value()) {
      co_await reply_error(call, code);
      co_return;
    }
    call.retry_after = *wait;
    const api::ApiError error{api::ErrorCode::kRateLimitRequests, "Too many failed attempts to authenticate.", ""};
    co_await reply_error(call, error);
  }

  KeyRing& ring_;
  SessionBook& sessions_;
  ledger::Ledger& ledger_;
  FailedAttempts failures_;
};

}  // namespace

std::unique_ptr<Middleware> make_authenticate(const Clock& clock, KeyRing& ring, SessionBook& sessions,
                                              ledger::Ledger& ledger) {
  return std::make_unique<Authenticate>(clock, ring, sessions, ledger);
}

}  // namespace dormouse::gateway
