#include "gateway/sessions/session_book.h"

#include <algorithm>
#include <utility>

#include "base/ids.h"
#include "gateway/sessions/cookie.h"

namespace dormouse::gateway {
namespace {

constexpr std::size_t kTokenCharacters = 43;  // of 62: 256 bits
// A label each, as of keys: a value made for one purpose is of no use for another.
constexpr std::string_view kLoginLabel = "dormouse console-login v1";
constexpr std::string_view kSessionLabel = "dormouse console-session v1";

// Found by hash: how long the search takes says nothing of the secret itself.
Digest hash_of(std::string_view label, std::string_view secret) {
  return hmac_sha256(label, secret);
}

template <typename Map>
void make_room(Map& map, std::size_t most) {
  if (map.size() < most) return;
  map.erase(std::min_element(map.begin(), map.end(),
                             [](const auto& a, const auto& b) { return a.second.ends < b.second.ends; }));
}

}  // namespace

std::string SessionBook::make_login() {
  make_room(logins_, kMaxLogins);
  std::string out = random_base62(kTokenCharacters);
  logins_[hash_of(kLoginLabel, out)] = {clock_.now() + kLoginLife};
  return out;
}

std::optional<NewSession> SessionBook::open_by_login(std::string_view login) {
  const auto found = logins_.find(hash_of(kLoginLabel, login));
  if (found == logins_.end()) return std::nullopt;
  const bool is_late = clock_.now() >= found->second.ends;
  logins_.erase(found);
  if (is_late) return std::nullopt;
  return open(nullptr);
}

NewSession SessionBook::open_by_key(const CallerPtr& caller) {
  return open(caller);
}

NewSession SessionBook::open(CallerPtr caller) {
  make_room(sessions_, kMaxSessions);
  Session session;
  if (caller != nullptr) session.kid = caller->key_id;
  session.ends = clock_.now() + std::chrono::seconds(kSessionSeconds);
  session.expires = {clock_.wall().us + kSessionSeconds * std::int64_t{1'000'000}};
  NewSession out{random_base62(kTokenCharacters), view_of(session, std::move(caller))};
  sessions_[hash_of(kSessionLabel, out.token)] = std::move(session);
  return out;
}

std::optional<SessionView> SessionBook::find(std::string_view token) {
  const auto found = sessions_.find(hash_of(kSessionLabel, token));
  if (found == sessions_.end()) return std::nullopt;
  const Session& session = found->second;
  CallerPtr caller = session.kid.empty() ? nullptr : keys_.holder_of(session.kid);
  const bool has_lost_key = !session.kid.empty() && caller == nullptr;
  if (has_lost_key || clock_.now() >= session.ends) {
    sessions_.erase(found);
    return std::nullopt;
  }
  return view_of(session, std::move(caller));
}

void SessionBook::close(std::string_view token) {
  sessions_.erase(hash_of(kSessionLabel, token));
}

SessionView SessionBook::view_of(const Session& session, CallerPtr caller) {
  const Scope scope = caller == nullptr ? Scope::kAdmin : caller->scope;
  return {std::move(caller), scope, session.expires};
}

}  // namespace dormouse::gateway
