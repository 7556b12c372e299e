#include "gateway/keys/key_wish.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <charconv>
#include <limits>
#include <utility>

#include "api/fields.h"
#include "api/strict_json.h"
#include "base/redact.h"
#include "catalog/config_file.h"
#include "gateway/keys/key_format.h"

namespace dormouse::gateway {
namespace {

namespace json = boost::json;
using std::chrono::milliseconds;

constexpr std::int64_t kMaxLimit = 1'000'000'000'000;
constexpr std::size_t kMaxModelBytes = 128;

Error wrong(std::string_view key, std::string_view what) {
  return make_error(Code::kInvalidArgument, fmt::format("{}: {}", key, what));
}

bool is_printable(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) { return (c >= 0 && c < ' ') || c == 0x7f; });
}

// A JSON object's members, read by name: each is taken, what is left is unknown.
Result<std::string> text_of(std::string_view key, const json::value& value) {
  if (!value.is_string()) return wrong(key, "a text is wanted");
  return std::string(value.get_string());
}

Result<std::int64_t> limit_of(std::string_view key, const json::value& value) {
  const std::optional<std::int64_t> number = api::as_integer(value);
  if (!number.has_value() || *number < 0 || *number > kMaxLimit) {
    return wrong(key, "a whole number is wanted, 0 for no limit");
  }
  return *number;
}

Result<std::string> name_of(const json::value& value) {
  TRY(std::string name, text_of("name", value));
  if (name.empty() || name.size() > kMaxKeyNameBytes || !is_printable(name)) {
    return wrong("name", fmt::format("1 to {} bytes without control characters", kMaxKeyNameBytes));
  }
  if (redact_keys(name).has_value()) return wrong("name", "that is a key, and a name is shown to everybody");
  return name;
}

Result<std::vector<std::string>> models_of(const json::value& value) {
  std::vector<std::string> out;
  if (!value.is_array()) return wrong("models", "a list of deployments is wanted");
  for (const json::value& item : value.get_array()) {
    TRY(std::string model, text_of("models", item));
    if (model.empty() || model.size() > kMaxModelBytes || !is_printable(model)) {
      return wrong("models", fmt::format("an entry is empty or over {} bytes", kMaxModelBytes));
    }
    if (std::find(out.begin(), out.end(), model) == out.end()) out.push_back(std::move(model));
  }
  if (out.size() > kMaxKeyModels) return wrong("models", fmt::format("more than {} of them", kMaxKeyModels));
  return out;
}

constexpr std::array<std::string_view, 8> kMembers{"name", "scope",       "models", "rpm",
                                                   "tpm",  "concurrency", "budget", "expires"};

// Null is left out, but it has to be a member's.
Status set_member(KeyWish& wish, std::string_view key, const json::value& value) {
  if (std::find(kMembers.begin(), kMembers.end(), key) == kMembers.end()) {
    return wrong(key, fmt::format("no such member; known are {}", fmt::join(kMembers, ", ")));
  }
  if (value.is_null()) return {};
  if (key == "name") {
    TRY(wish.name, name_of(value));
  } else if (key == "scope") {
    TRY(const std::string text, text_of(key, value));
    wish.scope = scope_of(text);
    if (!wish.scope.has_value()) return wrong("scope", "inference, read or admin");
  } else if (key == "models") {
    TRY(wish.models, models_of(value));
  } else if (key == "rpm") {
    TRY(wish.requests_per_minute, limit_of(key, value));
  } else if (key == "tpm") {
    TRY(wish.tokens_per_minute, limit_of(key, value));
  } else if (key == "concurrency") {
    TRY(wish.concurrency, limit_of(key, value));
  } else if (key == "budget") {
    TRY(const std::string text, text_of(key, value));
    TRY(wish.budget, read_budget(text));
  } else {
    TRY(const std::string text, text_of(key, value));
    TRY(wish.expires, parse_expiry(text));
  }
  return {};
}

Result<json::value> strict_object(std::string_view text) {
  api::ApiResult<json::value> root = api::parse_strict_json(text);
  if (!root.has_value() || !root->is_object()) return make_error(Code::kInvalidArgument, "not a JSON object");
  return *std::move(root);
}

json::value maybe(const std::optional<std::int64_t>& number) {
  return number.has_value() ? json::value(*number) : json::value(nullptr);
}

json::array list_of(const std::vector<std::string>& texts) {
  json::array out;
  for (const std::string& text : texts) out.push_back(json::value(text));
  return out;
}

json::object object_of(const KeyView& v) {
  json::object out{{"kid", v.kid},
                   {"prefix", v.prefix},
                   {"hint", v.hint},
                   {"name", v.name},
                   {"scope", to_string(v.scope)},
                   {"state", to_string(v.state)},
                   {"models", list_of(v.models)},
                   {"rpm", v.limits.requests_per_minute},
                   {"tpm", v.limits.tokens_per_minute},
                   {"concurrency", v.limits.concurrency},
                   {"budget", budget_text(v.limits)},
                   {"parent", v.parent},
                   {"created_us", v.created_us},
                   {"expires_us", maybe(v.expires_us)},
                   {"rotated_us", maybe(v.rotated_us)},
                   {"revoked_us", maybe(v.revoked_us)},
                   {"used_us", v.used_us}};
  if (v.limits.budget_micros > 0) {
    out["spent_micros"] = v.spent_micros;
    out["reserved_micros"] = v.reserved_micros;
    out["unpriced_requests"] = v.unpriced_requests;
  }
  if (v.previous_hint.empty()) return out;
  out["previous"] =
      json::object{{"hint", v.previous_hint}, {"until_us", v.previous_until_us}, {"used_us", v.previous_used_us}};
  return out;
}

// Reads what we wrote ourselves: absent or odd members are the type's zero.
std::string text_in(const json::object& object, std::string_view key) {
  const json::value* value = api::find_member(object, key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

std::optional<std::int64_t> number_in(const json::object& object, std::string_view key) {
  const json::value* value = api::find_member(object, key);
  return value != nullptr ? api::as_integer(*value) : std::nullopt;
}

std::vector<std::string> texts_in(const json::object& object, std::string_view key) {
  std::vector<std::string> out;
  const json::value* value = api::find_member(object, key);
  if (value == nullptr || !value->is_array()) return out;
  for (const json::value& item : value->get_array()) {
    if (item.is_string()) out.emplace_back(item.get_string());
  }
  return out;
}

KeyView read_view(const json::object& object) {
  KeyView v;
  v.kid = text_in(object, "kid");
  v.prefix = text_in(object, "prefix");
  v.hint = text_in(object, "hint");
  v.name = text_in(object, "name");
  v.scope = scope_of(text_in(object, "scope")).value_or(Scope::kInference);
  const std::string state = text_in(object, "state");
  v.state = state == "revoked" ? KeyState::kRevoked : state == "expired" ? KeyState::kExpired : KeyState::kActive;
  v.models = texts_in(object, "models");
  v.limits.requests_per_minute = number_in(object, "rpm").value_or(0);
  v.limits.tokens_per_minute = number_in(object, "tpm").value_or(0);
  v.limits.concurrency = number_in(object, "concurrency").value_or(0);
  const catalog::BudgetRule budget = catalog::parse_budget(text_in(object, "budget")).value_or(catalog::BudgetRule{});
  v.limits.budget_micros = budget.micros;
  v.limits.budget_currency = budget.currency;
  v.limits.budget_period = budget.period;
  v.parent = text_in(object, "parent");
  v.created_us = number_in(object, "created_us").value_or(0);
  v.expires_us = number_in(object, "expires_us");
  v.rotated_us = number_in(object, "rotated_us");
  v.revoked_us = number_in(object, "revoked_us");
  v.used_us = number_in(object, "used_us").value_or(0);
  v.spent_micros = number_in(object, "spent_micros").value_or(0);
  v.reserved_micros = number_in(object, "reserved_micros").value_or(0);
  v.unpriced_requests = number_in(object, "unpriced_requests").value_or(0);
  const json::value* previous = api::find_member(object, "previous");
  if (previous == nullptr || !previous->is_object()) return v;
  v.previous_hint = text_in(previous->get_object(), "hint");
  v.previous_until_us = number_in(previous->get_object(), "until_us").value_or(0);
  v.previous_used_us = number_in(previous->get_object(), "used_us").value_or(0);
  return v;
}

Result<json::value> servers_object(std::string_view text) {
  boost::system::error_code ec;
  json::value root = json::parse({text.data(), text.size()}, ec);
  if (ec || !root.is_object()) return make_error(Code::kDataLoss, "the server's answer is no JSON object");
  return root;
}

std::string expiry_text(const Expiry& expiry) {
  return expiry.kind == Expiry::Kind::kNever ? std::string("never") : catalog::duration_text(expiry.after);
}

}  // namespace

Result<catalog::BudgetRule> read_budget(std::string_view text) {
  const Result<catalog::BudgetRule> budget = catalog::parse_budget(text);
  if (!budget.has_value()) return wrong("budget", budget.error().message);
  return *budget;
}

std::string budget_text(const KeyLimits& limits) {
  const catalog::BudgetRule rule{limits.budget_micros, limits.budget_currency, limits.budget_period};
  return rule.micros == 0 ? "none" : catalog::budget_text(rule);
}

Result<Expiry> parse_expiry(std::string_view text) {
  if (text == "never") return Expiry{};
  const Result<milliseconds> after = catalog::parse_duration(text);
  if (!after.has_value() || *after < std::chrono::seconds(1) || *after > kMaxKeyLife) {
    return wrong("expires", fmt::format("'{}' is no lifetime; write 90d, 12h (1s to 366d) or never", text));
  }
  return Expiry{Expiry::Kind::kAfter, *after};
}

Result<milliseconds> parse_overlap(std::string_view text) {
  const Result<milliseconds> overlap = catalog::parse_duration(text);
  if (!overlap.has_value() || *overlap > kMaxOverlap) {
    return wrong("overlap", fmt::format("'{}' is out of range, want 0s to 7d", text));
  }
  return *overlap;
}

std::string_view to_string(KeyState state) {
  switch (state) {
    case KeyState::kActive: return "active";
    case KeyState::kExpired: return "expired";
    case KeyState::kRevoked: return "revoked";
  }
  return "active";
}

std::string_view to_string(BudgetPeriod period) {
  switch (period) {
    case BudgetPeriod::kDay: return "day";
    case BudgetPeriod::kMonth: return "month";
  }
  return "month";
}

std::string to_json(const KeyWish& wish) {
  json::object out;
  if (wish.name.has_value()) out["name"] = *wish.name;
  if (wish.scope.has_value()) out["scope"] = to_string(*wish.scope);
  if (wish.models.has_value()) out["models"] = list_of(*wish.models);
  if (wish.requests_per_minute.has_value()) out["rpm"] = *wish.requests_per_minute;
  if (wish.tokens_per_minute.has_value()) out["tpm"] = *wish.tokens_per_minute;
  if (wish.concurrency.has_value()) out["concurrency"] = *wish.concurrency;
  if (wish.budget.has_value()) out["budget"] = wish.budget->micros == 0 ? "none" : catalog::budget_text(*wish.budget);
  if (wish.expires.has_value()) out["expires"] = expiry_text(*wish.expires);
  return json::serialize(out);
}

std::string to_json(const Rotation& rotation) {
  json::object out{{"overlap", catalog::duration_text(rotation.overlap)}};
  if (rotation.expires.has_value()) out["expires"] = expiry_text(*rotation.expires);
  return json::serialize(out);
}

std::string to_json(const KeyView& view) {
  return json::serialize(object_of(view));
}

std::string to_json(const KeyPage& page) {
  json::array keys;
  for (const KeyView& view : page.keys) keys.push_back(object_of(view));
  return json::serialize(json::object{{"keys", std::move(keys)}, {"next_after", page.next_after}});
}

std::string to_json(const IssuedKey& issued) {
  json::object out = object_of(issued.view);
  out["key"] = issued.key;
  return json::serialize(out);
}

std::string revoked_json(const std::vector<std::string>& kids) {
  return json::serialize(json::object{{"revoked", list_of(kids)}});
}

Result<KeyWish> parse_key_wish(std::string_view text) {
  TRY(const json::value root, strict_object(text));
  KeyWish out;
  for (const auto& member : root.get_object()) {
    TRY_STATUS(set_member(out, {member.key().data(), member.key().size()}, member.value()));
  }
  return out;
}

Result<Rotation> parse_rotation(std::string_view text) {
  Rotation out;
  if (text.empty()) return out;
  TRY(const json::value root, strict_object(text));
  for (const auto& member : root.get_object()) {
    const std::string_view key(member.key().data(), member.key().size());
    if (key != "overlap" && key != "expires") return wrong(key, "no such member; known are overlap, expires");
    TRY(const std::string value, text_of(key, member.value()));
    if (key == "overlap") {
      TRY(out.overlap, parse_overlap(value));
    } else {
      TRY(out.expires, parse_expiry(value));
    }
  }
  return out;
}

Result<KeyPage> parse_key_page(std::string_view text) {
  TRY(const json::value root, servers_object(text));
  KeyPage out;
  out.next_after = text_in(root.get_object(), "next_after");
  const json::value* keys = api::find_member(root.get_object(), "keys");
  if (keys == nullptr || !keys->is_array()) return make_error(Code::kDataLoss, "the server's answer has no keys");
  for (const json::value& item : keys->get_array()) {
    if (item.is_object()) out.keys.push_back(read_view(item.get_object()));
  }
  return out;
}

Result<IssuedKey> parse_issued_key(std::string_view text) {
  TRY(const json::value root, servers_object(text));
  IssuedKey out{text_in(root.get_object(), "key"), read_view(root.get_object())};
  if (out.key.empty()) return make_error(Code::kDataLoss, "the server's answer has no key");
  return out;
}

Result<std::vector<std::string>> parse_revoked(std::string_view text) {
  TRY(const json::value root, servers_object(text));
  return texts_in(root.get_object(), "revoked");
}

}  // namespace dormouse::gateway
