// The part of Store that writes keys, and their SELECT.
#include "ledger/keys.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "ledger/store.h"

namespace dormouse::ledger {
namespace {

constexpr std::size_t kMacCharacters = 64;
constexpr std::size_t kMaxTextBytes = 256;
constexpr std::size_t kMaxModels = 256;

Status invalid(const std::string& message) {
  return make_error(Code::kInvalidArgument, "ledger: " + message);
}

bool is_text(std::string_view text) {
  return !text.empty() && text.size() <= kMaxTextBytes;
}

// A list of names as one column: JSON's array, so that people read it in sqlite3 too. Names have no control characters
// (the gateway sees to it), so '"' and '\' are all there is to escape.
std::string list_text(const std::vector<std::string>& names) {
  std::string out = "[";
  for (const std::string& name : names) {
    if (out.size() > 1) out += ',';
    out += '"';
    for (const char c : name) {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
    out += '"';
  }
  return out + "]";
}

// The inverse of list_text. False: something else stands there.
bool read_list(std::string_view text, std::vector<std::string>& out) {
  if (text.size() < 2 || text.front() != '[' || text.back() != ']') return false;
  text = text.substr(1, text.size() - 2);
  while (!text.empty()) {
    if (text.front() != '"') return false;
    std::string name;
    std::size_t at = 1;
    for (; at < text.size() && text[at] != '"'; ++at) {
      if (text[at] == '\\' && ++at == text.size()) return false;
      name += text[at];
    }
    if (at == text.size()) return false;
    out.push_back(std::move(name));
    text.remove_prefix(at + 1);
    if (text.empty()) return true;
    if (text.front() != ',' || text.size() == 1) return false;
    text.remove_prefix(1);
  }
  return true;
}

}  // namespace

Status check(const KeyWrite& write) {
  if (write.rows.empty() || !is_text(write.audit_kind)) return invalid("a write of no key, or without its audit line");
  for (const ApiKey& key : write.rows) {
    if (!is_text(key.kid) || !is_text(key.name)) return invalid("a key has a kid and a name of 1 to 256 bytes");
    if (key.mac.size() != kMacCharacters) return invalid("key " + key.kid + " without a mac");
    // Here and not only in the table: a row that fails after another was written would leave half a write.
    if (key.scope != "inference" && key.scope != "read" && key.scope != "admin") {
      return invalid("key " + key.kid + " without a scope");
    }
    const std::array<std::int64_t, 4> limits = {key.requests_per_minute, key.tokens_per_minute, key.concurrency,
                                                key.budget_micros};
    if (std::any_of(limits.begin(), limits.end(), [](std::int64_t n) { return n < 0; }) || key.pepper_version <= 0 ||
        (key.budget_period != "day" && key.budget_period != "month")) {
      return invalid("key " + key.kid + ": limits below zero, or no pepper's version, or no period");
    }
    if (key.models.size() > kMaxModels || !std::all_of(key.models.begin(), key.models.end(), is_text)) {
      return invalid("key " + key.kid + ": at most 256 models, each with a name");
    }
  }
  return {};
}

Status check(const std::vector<KeyUse>& uses) {
  const auto is_sane = [](const KeyUse& use) { return use.used_us >= 0 && use.previous_used_us >= 0; };
  if (!std::all_of(uses.begin(), uses.end(), is_sane)) return invalid("a key used before 1970");
  return {};
}

Status Store::write(const KeyWrite& write, std::int64_t /*at_us*/) {
  // used_us is of the secret: of a new one it begins anew, else it never goes back.
  static constexpr const char* kSql =
      "INSERT INTO api_keys (kid, name, scope, models, mac, pepper_version, hint, previous_mac,"
      " previous_pepper_version, previous_hint, previous_until_us, previous_used_us, requests_per_minute,"
      " tokens_per_minute, concurrency, budget_micros, budget_currency, budget_period, parent, created_us, expires_us,"
      " rotated_us, revoked_us, used_us)"
      " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22,"
      " ?23, ?24)"
      " ON CONFLICT (kid) DO UPDATE SET name = ?2, models = ?4, mac = ?5, pepper_version = ?6, hint = ?7,"
      " previous_mac = ?8, previous_pepper_version = ?9, previous_hint = ?10, previous_until_us = ?11,"
      " previous_used_us = ?12, requests_per_minute = ?13, tokens_per_minute = ?14, concurrency = ?15,"
      " budget_micros = ?16, budget_currency = ?17, budget_period = ?18, expires_us = ?21, rotated_us = ?22,"
      " revoked_us = ?23, used_us = iif(rotated_us IS ?22, max(used_us, ?24), ?24)";
  for (const ApiKey& k : write.rows) {
    TRY(Statement upsert, connection_.prepare(kSql));
    upsert.bind(1, k.kid).bind(2, k.name).bind(3, k.scope).bind(4, list_text(k.models)).bind(5, k.mac);
    upsert.bind(6, k.pepper_version).bind(7, k.hint).bind(8, k.previous_mac).bind(9, k.previous_pepper_version);
    upsert.bind(10, k.previous_hint).bind(11, k.previous_until_us).bind(12, k.previous_used_us);
    upsert.bind(13, k.requests_per_minute).bind(14, k.tokens_per_minute).bind(15, k.concurrency);
    upsert.bind(16, k.budget_micros).bind(17, k.budget_currency).bind(18, k.budget_period).bind(19, k.parent);
    upsert.bind(20, k.created_us).bind_optional(21, k.expires_us).bind_optional(22, k.rotated_us);
    TRY_STATUS(upsert.bind_optional(23, k.revoked_us).bind(24, k.used_us).run());
  }
  return audit(write.audit_kind, write.audit_detail);
}

Status Store::write(const std::vector<KeyUse>& uses, std::int64_t /*at_us*/) {
  static constexpr const char* kSql =
      "UPDATE api_keys SET used_us = max(used_us, ?2), previous_used_us = max(previous_used_us, ?3) WHERE kid = ?1";
  for (const KeyUse& use : uses) {
    TRY(Statement update, connection_.prepare(kSql));
    TRY_STATUS(update.bind(1, use.kid).bind(2, use.used_us).bind(3, use.previous_used_us).run());
  }
  return {};
}

Result<std::vector<ApiKey>> select_keys(Connection& connection) {
  TRY(Statement select,
      connection.prepare(
          "SELECT kid, name, scope, models, mac, pepper_version, hint, previous_mac, previous_pepper_version,"
          " previous_hint, previous_until_us, previous_used_us, requests_per_minute, tokens_per_minute, concurrency,"
          " budget_micros, budget_currency, budget_period, parent, created_us, expires_us, rotated_us, revoked_us,"
          " used_us FROM api_keys WHERE revoked_us IS NULL OR kid IN (SELECT kid FROM api_keys"
          " WHERE revoked_us IS NOT NULL ORDER BY revoked_us DESC LIMIT ?1) ORDER BY kid"));
  select.bind(1, kMaxRevokedKeysRead);
  std::vector<ApiKey> out;
  while (true) {
    TRY(const bool row, select.step());
    if (!row) return out;
    ApiKey& k = out.emplace_back();
    k.kid = select.text(0);
    k.name = select.text(1);
    k.scope = select.text(2);
    if (!read_list(select.text(3), k.models)) {
      return make_error(Code::kDataLoss, "ledger: the models of key " + k.kid + " cannot be read");
    }
    k.mac = select.text(4);
    k.pepper_version = select.integer(5);
    k.hint = select.text(6);
    k.previous_mac = select.text(7);
    k.previous_pepper_version = select.integer(8);
    k.previous_hint = select.text(9);
    k.previous_until_us = select.integer(10);
    k.previous_used_us = select.integer(11);
    k.requests_per_minute = select.integer(12);
    k.tokens_per_minute = select.integer(13);
    k.concurrency = select.integer(14);
    k.budget_micros = select.integer(15);
    k.budget_currency = select.text(16);
    k.budget_period = select.text(17);
    k.parent = select.text(18);
    k.created_us = select.integer(19);
    k.expires_us = select.optional_integer(20);
    k.rotated_us = select.optional_integer(21);
    k.revoked_us = select.optional_integer(22);
    k.used_us = select.integer(23);
  }
}

}  // namespace dormouse::ledger
