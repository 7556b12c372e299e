// Every key of this house, in memory: who a presented key is, and what a change of keys would write. The one truth
// while the process runs; the ledger's rows are written first and taken in after (adopt), so that what was answered is
// there after a restart and a revocation counts from its answer on.
// Owner: the house, or a CLI verb with no server running. Threads: one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "gateway/caller.h"
#include "gateway/keys/key_mac.h"
#include "gateway/keys/key_wish.h"
#include "ledger/keys.h"

namespace dormouse::gateway {

inline constexpr std::size_t kMaxKeys = 10'000;  // that are not revoked; one more is refused

enum class KeyRefusal {
  kInvalid,  // no key's shape, or no such key, or another secret, or revoked: nobody is told which
  kExpired,  // the right secret, too late
};

struct KeyVerdict {
  CallerPtr caller;  // null: refused
  KeyRefusal refusal = KeyRefusal::kInvalid;
};

// A change, worked out and not yet done: write it to the ledger, then adopt its rows.
struct KeyDraft {
  ledger::KeyWrite write;
  std::string key;  // the whole new key; empty: the change makes none
};

enum class Children { kKeep, kRevoke };

class KeyRing {
 public:
  // `clock` outlives the ring. `pepper_path`: made at the first key. Errors: the pepper's, but not that it is missing:
  // then keys that exist are refused, and notice() says so.
  static Result<KeyRing> open(const Clock& clock, std::string pepper_path, std::vector<ledger::ApiKey> rows);

  // Has there ever been a key? From then on TCP wants one, also when the last was revoked or has expired: a door does
  // not open because its keys are gone.
  [[nodiscard]] bool wants_keys() const { return !by_kid_.empty(); }
  // Is there a key that would be let in now?
  [[nodiscard]] bool any_active() const;

  // Whose key this is. Notes the use. Cost: one HMAC for whatever has a key's checksum, known or not.
  [[nodiscard]] KeyVerdict verify(std::string_view presented);
  // Whoever has this key, without its secret: for work that was taken from them earlier. Null: revoked, expired, none.
  [[nodiscard]] CallerPtr holder_of(std::string_view kid) const;
  // The uses not yet written, at most once a minute (kNow: at once): for Ledger::record_key_use.
  enum class Flush { kIfDue, kNow };
  [[nodiscard]] std::vector<ledger::KeyUse> take_uses(Flush flush);

  // `by`: the key they are asked with; null: run/admin.sock, which may everything. Nothing may come to more than `by`
  // has (requirement S-41). Errors: kInvalidArgument ("KEY: ..."), kPermissionDenied ("KEY: more than ..."), kNotFound,
  // kTooLarge (kMaxKeys), the pepper's.
  [[nodiscard]] Result<KeyDraft> draft_create(const KeyWish& wish, const Caller* by);
  [[nodiscard]] Result<KeyDraft> draft_change(std::string_view kid, const KeyWish& wish, const Caller* by) const;
  // A new secret of the same key; one from an earlier rotation ends now.
  [[nodiscard]] Result<KeyDraft> draft_rotate(std::string_view kid, const Rotation& rotation, const Caller* by);
  // Also of a key that is revoked already: then its rows are written again as they are.
  [[nodiscard]] Result<KeyDraft> draft_revoke(std::string_view kid, Children children, const Caller* by) const;
  void adopt(const std::vector<ledger::ApiKey>& rows);

  [[nodiscard]] std::optional<KeyView> view(std::string_view kid) const;
  // In order of creation, those after the key `after` (empty: from the first).
  [[nodiscard]] KeyPage page(std::string_view after, std::size_t limit) const;
  // What an operator should know: keys that no pepper can check. May be empty.
  [[nodiscard]] std::string notice() const;

 private:
  struct Entry {
    ledger::ApiKey row;
    CallerPtr caller;
    bool use_noted = false;  // since the last take_uses
  };

  KeyRing(const Clock& clock, std::string pepper_path, std::optional<Pepper> pepper);
  Status need_pepper();
  [[nodiscard]] const Entry* find(std::string_view kid) const;
  [[nodiscard]] Result<const Entry*> creator_of(const Caller* by) const;
  [[nodiscard]] KeyView view_of(const ledger::ApiKey& row) const;
  [[nodiscard]] std::int64_t now_us() const { return clock_->wall().us; }
  void give_secret(ledger::ApiKey& row, const std::string& key) const;

  const Clock* clock_;
  std::string pepper_path_;
  std::optional<Pepper> pepper_;
  std::map<std::string, Entry, std::less<>> by_kid_;
  std::optional<MonoTime> uses_taken_;
  bool uses_noted_ = false;
};

}  // namespace dormouse::gateway
