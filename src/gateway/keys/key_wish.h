// What somebody wishes of a key, and what is said of one: values, with their JSON and their words, shared by server and
// CLI. No key's secret is in any of them but IssuedKey. No I/O. Threads: any.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "catalog/budget.h"
#include "gateway/caller.h"

namespace dormouse::gateway {

inline constexpr std::chrono::hours kDefaultKeyLife{90 * 24};
inline constexpr std::chrono::hours kMaxKeyLife{366 * 24};  // what parse_duration reads; or never
inline constexpr std::chrono::hours kDefaultOverlap{24};
inline constexpr std::chrono::hours kMaxOverlap{7 * 24};
inline constexpr std::size_t kMaxKeyNameBytes = 64;
inline constexpr std::size_t kMaxKeyModels = 64;

struct Expiry {
  enum class Kind { kNever, kAfter };
  Kind kind = Kind::kNever;
  std::chrono::milliseconds after{0};
};

// What is not there is as it was; of a new key: as its creator has it, else without a limit.
struct KeyWish {
  std::optional<std::string> name;
  std::optional<Scope> scope;  // of a new key only
  std::optional<std::vector<std::string>> models;
  std::optional<std::int64_t> requests_per_minute;
  std::optional<std::int64_t> tokens_per_minute;
  std::optional<std::int64_t> concurrency;
  std::optional<catalog::BudgetRule> budget;
  std::optional<Expiry> expires;
};

struct Rotation {
  std::chrono::milliseconds overlap{kDefaultOverlap};  // the old secret's, 0: it ends now
  std::optional<Expiry> expires;                       // as long again as it was made for
};

enum class KeyState { kActive, kExpired, kRevoked };

struct KeyView {
  std::string kid;
  std::string prefix;  // "lsk_" + kid: what of a key may be shown
  std::string hint;    // its last four characters
  std::string name;
  Scope scope = Scope::kInference;
  std::vector<std::string> models;
  KeyLimits limits;
  KeyState state = KeyState::kActive;
  std::string parent;  // kid; empty: made over run/admin.sock
  std::int64_t created_us = 0;
  std::optional<std::int64_t> expires_us;
  std::optional<std::int64_t> rotated_us;
  std::optional<std::int64_t> revoked_us;
  std::int64_t used_us = 0;  // to a minute; 0: never
  // Of a budget's running period, where the server knows: billed, held by running requests, and how many requests had
  // no price and so count nothing.
  std::int64_t spent_micros = 0;
  std::int64_t reserved_micros = 0;
  std::int64_t unpriced_requests = 0;
  // The secret before a rotation, while it is good; empty: there is none.
  std::string previous_hint;
  std::int64_t previous_until_us = 0;
  std::int64_t previous_used_us = 0;
  friend bool operator==(const KeyView&, const KeyView&) = default;
};

struct KeyPage {
  std::vector<KeyView> keys;  // oldest first
  std::string next_after;     // empty: that was the last page
};

// The one time a key is told.
struct IssuedKey {
  std::string key;
  KeyView view;
};

// As catalog::parse_budget. Errors: kInvalidArgument, "budget: ...".
[[nodiscard]] Result<catalog::BudgetRule> read_budget(std::string_view text);
// "none" where there is none.
[[nodiscard]] std::string budget_text(const KeyLimits& limits);
// "90d", "never". Errors: kInvalidArgument, "expires: ...".
[[nodiscard]] Result<Expiry> parse_expiry(std::string_view text);
// Errors: kInvalidArgument, "overlap: ...".
[[nodiscard]] Result<std::chrono::milliseconds> parse_overlap(std::string_view text);
[[nodiscard]] std::string_view to_string(KeyState state);
[[nodiscard]] std::string_view to_string(BudgetPeriod period);

[[nodiscard]] std::string to_json(const KeyWish& wish);
[[nodiscard]] std::string to_json(const Rotation& rotation);
[[nodiscard]] std::string to_json(const KeyView& view);
[[nodiscard]] std::string to_json(const KeyPage& page);
[[nodiscard]] std::string to_json(const IssuedKey& issued);
[[nodiscard]] std::string revoked_json(const std::vector<std::string>& kids);

// A client's words. Errors: kInvalidArgument, "KEY: ..."; an unknown key is one.
[[nodiscard]] Result<KeyWish> parse_key_wish(std::string_view json);
// {"overlap": "24h", "expires": "90d"}, each may be missing, and the body too. Errors as above.
[[nodiscard]] Result<Rotation> parse_rotation(std::string_view json);
// Errors of the three: kDataLoss (not what the server writes).
[[nodiscard]] Result<KeyPage> parse_key_page(std::string_view json);
[[nodiscard]] Result<IssuedKey> parse_issued_key(std::string_view json);
[[nodiscard]] Result<std::vector<std::string>> parse_revoked(std::string_view json);

}  // namespace dormouse::gateway
