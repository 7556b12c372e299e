// API keys as the ledger keeps them, and what may be done to them. Values only; who may do what is the gateway's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace dormouse::ledger {

class Connection;

// A row of api_keys (migrations say what each column means).
struct ApiKey {
  std::string kid;
  std::string name;
  std::string scope;  // "inference" | "read" | "admin"
  std::vector<std::string> models;
  std::string mac;  // 64 characters of hex
  std::int64_t pepper_version = 0;
  std::string hint;
  std::string previous_mac;  // empty: it was never rotated
  std::int64_t previous_pepper_version = 0;
  std::string previous_hint;
  std::int64_t previous_until_us = 0;
  std::int64_t previous_used_us = 0;
  std::int64_t requests_per_minute = 0;
  std::int64_t tokens_per_minute = 0;
  std::int64_t concurrency = 0;
  std::int64_t budget_micros = 0;
  std::string budget_currency;
  std::string budget_period = "month";  // "day" | "month"
  std::string parent;
  std::int64_t created_us = 0;
  std::optional<std::int64_t> expires_us;
  std::optional<std::int64_t> rotated_us;
  std::optional<std::int64_t> revoked_us;
  std::int64_t used_us = 0;
  friend bool operator==(const ApiKey&, const ApiKey&) = default;
};

// Rows to write, each as a whole, and the audit's line about it: all of it or nothing.
struct KeyWrite {
  std::vector<ApiKey> rows;
  std::string audit_kind;    // key_create | key_change | key_rotate | key_revoke
  std::string audit_detail;  // "actor=socket kid=... ...": kids, never a key
};

// When a key was last used. Never goes back; a kid that is not known is left out.
struct KeyUse {
  std::string kid;
  std::int64_t used_us = 0;
  std::int64_t previous_used_us = 0;  // of the secret before a rotation; 0: not used
};

inline constexpr std::int64_t kMaxRevokedKeysRead = 1'000;

// Errors: kInvalidArgument.
Status check(const KeyWrite& write);
Status check(const std::vector<KeyUse>& uses);

// Every key that is not revoked, and of those that are the last kMaxRevokedKeysRead; by kid. Errors: kUnavailable,
// kDataLoss.
Result<std::vector<ApiKey>> select_keys(Connection& connection);

}  // namespace dormouse::ledger
