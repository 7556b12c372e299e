// Who is logged in at the console: one-time links and the sessions made of them or of a key, in memory only, so that a
// restart ends them all. Of each secret only a hash is kept. Owner: the gateway. Threads: the loop's.
// Invariants:
//  1. A link opens one session, within ten minutes of its making.
//  2. A session ends after twelve hours, when it is closed, and with its key: revoked, expired, or gone.
//  3. What a session may is what its key may now, not what it might when the session began.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "gateway/caller.h"
#include "gateway/keys/key_mac.h"
#include "gateway/keys/key_ring.h"

namespace dormouse::gateway {

inline constexpr Nanoseconds kLoginLife = std::chrono::minutes(10);
inline constexpr std::size_t kMaxLogins = 16;    // links that are not used yet; the oldest goes
inline constexpr std::size_t kMaxSessions = 64;  // likewise: the one that began first ends

struct SessionView {
  CallerPtr caller;  // null: it began with a link, which only who may open run/admin.sock can make
  Scope scope = Scope::kAdmin;
  WallTime expires;
};

struct NewSession {
  std::string token;  // the cookie's value; nowhere else
  SessionView view;
};

class SessionBook {
 public:
  // Both are borrowed.
  SessionBook(const Clock& clock, const KeyRing& keys) : clock_(clock), keys_(keys) {}

  // A link's secret.
  [[nodiscard]] std::string make_login();
  // Spends it. nullopt: no such link, used, or too old; nobody is told which.
  [[nodiscard]] std::optional<NewSession> open_by_login(std::string_view login);
  // `caller`: of a key that has just been verified.
  [[nodiscard]] NewSession open_by_key(const CallerPtr& caller);
  // Whose session this is; nullopt: nobody's. One that has ended is forgotten here.
  [[nodiscard]] std::optional<SessionView> find(std::string_view token);
  void close(std::string_view token);
  [[nodiscard]] std::size_t size() const { return sessions_.size(); }

 private:
  struct Login {
    MonoTime ends;
  };
  struct Session {
    std::string kid;  // empty: of a link
    MonoTime ends;
    WallTime expires;
  };
  NewSession open(CallerPtr caller);
  [[nodiscard]] static SessionView view_of(const Session& session, CallerPtr caller);

  const Clock& clock_;
  const KeyRing& keys_;
  std::map<Digest, Login> logins_;
  std::map<Digest, Session> sessions_;
};

}  // namespace dormouse::gateway
