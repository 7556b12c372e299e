// Logging in and out at the console, and the links that do it. Owner: the gateway. Threads: the loop's.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "api/generation.h"
#include "gateway/keys/failed_attempts.h"
#include "gateway/keys/key_ring.h"
#include "gateway/router.h"
#include "gateway/sessions/session_book.h"

namespace dormouse::gateway {

class SessionApi {
 public:
  // `keys` and `book` are borrowed. `console_link`: where a person logs in, with a new one-time secret; nullopt: no
  // listener serves the console.
  SessionApi(const Clock& clock, KeyRing& keys, SessionBook& book,
             std::function<std::optional<std::string>()> console_link);

  // POST GET DELETE /admin/v1/session; POST /admin/v1/console-links, for run/admin.sock only.
  void add_routes(Router& router);

 private:
  Task<void> log_in(Call& call);
  Task<void> show(Call& call);
  Task<void> log_out(Call& call);
  Task<void> make_link(Call& call);
  // What the body shows becomes a session, or the reason why not.
  api::ApiResult<NewSession> open(std::string_view body);
  // A wrong secret counts as a wrong key does.
  Task<void> refuse(Call& call, api::ApiError error);

  KeyRing& keys_;
  SessionBook& book_;
  std::function<std::optional<std::string>()> console_link_;
  FailedAttempts failures_;
};

// What console-links answers. Errors: kDataLoss (not what the server writes).
[[nodiscard]] Result<std::string> parse_console_link(std::string_view json);

}  // namespace dormouse::gateway
