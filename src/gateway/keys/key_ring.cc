#include "gateway/keys/key_ring.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <tuple>
#include <utility>

#include "catalog/config_file.h"
#include "gateway/keys/key_format.h"

namespace dormouse::gateway {
namespace {

using ledger::ApiKey;

constexpr std::int64_t kUsCoarse = 60'000'000;  // a use is noted to a minute
constexpr Nanoseconds kUsesPeriod = std::chrono::minutes(1);

std::int64_t microseconds(std::chrono::milliseconds d) {
  return std::chrono::duration_cast<std::chrono::microseconds>(d).count();
}

// What no key's MAC is: compared with where there is nothing to compare with.
constexpr std::string_view kNoMac = "0000000000000000000000000000000000000000000000000000000000000000";

BudgetPeriod period_of(std::string_view text) {
  return text == "day" ? BudgetPeriod::kDay : BudgetPeriod::kMonth;
}

KeyLimits limits_of(const ApiKey& row) {
  KeyLimits out;
  out.requests_per_minute = row.requests_per_minute;
  out.tokens_per_minute = row.tokens_per_minute;
  out.concurrency = row.concurrency;
  out.budget_micros = row.budget_micros;
  out.budget_currency = row.budget_currency;
  out.budget_period = period_of(row.budget_period);
  return out;
}

CallerPtr caller_of(const ApiKey& row) {
  Caller out;
  out.key_id = row.kid;
  out.name = row.name;
  out.scope = scope_of(row.scope).value_or(Scope::kInference);
  out.models = row.models;
  out.limits = limits_of(row);
  return std::make_shared<const Caller>(std::move(out));
}

Error more_than_creator(std::string_view what) {
  return make_error(Code::kPermissionDenied, fmt::format("{}: more than the key that asks for it has", what));
}

bool is_within(std::int64_t limit, std::int64_t bound) {
  return bound == 0 || (limit != 0 && limit <= bound);
}

bool is_budget_within(const ApiKey& child, const ApiKey& bound) {
  if (bound.budget_micros == 0) return true;
  return child.budget_currency == bound.budget_currency && child.budget_period == bound.budget_period &&
         is_within(child.budget_micros, bound.budget_micros);
}

// Requirement S-41: a key that a key makes, changes or renews has nothing that one has not.
Status check_within(const ApiKey& child, const ApiKey& bound) {
  if (scope_of(child.scope) > scope_of(bound.scope)) return more_than_creator("scope");
  if (!bound.models.empty()) {
    const auto is_bounds = [&bound](const std::string& model) {
      return std::find(bound.models.begin(), bound.models.end(), model) != bound.models.end();
    };
    if (child.models.empty() || !std::all_of(child.models.begin(), child.models.end(), is_bounds)) {
      return more_than_creator("models");
    }
  }
  if (!is_within(child.requests_per_minute, bound.requests_per_minute)) return more_than_creator("rpm");
  if (!is_within(child.tokens_per_minute, bound.tokens_per_minute)) return more_than_creator("tpm");
  if (!is_within(child.concurrency, bound.concurrency)) return more_than_creator("concurrency");
  if (!is_budget_within(child, bound)) return more_than_creator("budget");
  if (bound.expires_us.has_value() && (!child.expires_us.has_value() || *child.expires_us > *bound.expires_us)) {
    return more_than_creator("expires");
  }
  return {};
}

void set_budget(ApiKey& row, const catalog::BudgetRule& budget) {
  row.budget_micros = budget.micros;
  row.budget_currency = budget.currency;
  row.budget_period = to_string(budget.period);
}

Status apply(ApiKey& row, const KeyWish& wish, std::int64_t now_us) {
  if (wish.name.has_value()) row.name = *wish.name;
  if (wish.models.has_value()) row.models = *wish.models;
  for (const std::string& model : row.models) {
    if (catalog::is_deployment_name(model)) continue;
    return make_error(Code::kInvalidArgument, fmt::format("models: '{}' is no deployment", model));
  }
  if (wish.requests_per_minute.has_value()) row.requests_per_minute = *wish.requests_per_minute;
  if (wish.tokens_per_minute.has_value()) row.tokens_per_minute = *wish.tokens_per_minute;
  if (wish.concurrency.has_value()) row.concurrency = *wish.concurrency;
  if (wish.budget.has_value()) set_budget(row, *wish.budget);
  if (!wish.expires.has_value()) return {};
  row.expires_us.reset();
  if (wish.expires->kind == Expiry::Kind::kAfter) row.expires_us = now_us + microseconds(wish.expires->after);
  return {};
}

// What is not said of a key is as its creator has it.
ApiKey child_of(const ApiKey& creator) {
  ApiKey out;
  out.models = creator.models;
  out.requests_per_minute = creator.requests_per_minute;
  out.tokens_per_minute = creator.tokens_per_minute;
  out.concurrency = creator.concurrency;
  out.budget_micros = creator.budget_micros;
  out.budget_currency = creator.budget_currency;
  out.budget_period = creator.budget_period;
  out.parent = creator.kid;
  return out;
}

// Where nobody said how long: not longer than who asks.
std::int64_t no_later(std::int64_t at_us, const ApiKey* bound) {
  return bound != nullptr && bound->expires_us.has_value() ? std::min(at_us, *bound->expires_us) : at_us;
}

// Of what a row says, that which matters to who looks into it later. The name stands last: it may hold anything
// printable.
std::string said_of(const ApiKey& row) {
  const KeyLimits limits = limits_of(row);
  return fmt::format("scope={} models={} rpm={} tpm={} concurrency={} budget={} expires_us={} name={}", row.scope,
                     row.models.empty() ? "*" : fmt::format("{}", fmt::join(row.models, ",")),
                     limits.requests_per_minute, limits.tokens_per_minute, limits.concurrency, budget_text(limits),
                     row.expires_us.value_or(0), row.name);
}

std::string actor(const Caller* by) {
  return by == nullptr ? std::string("socket") : by->key_id;
}

Error no_such_key(std::string_view kid) {
  return make_error(Code::kNotFound, fmt::format("no key '{}'", is_kid(kid) ? kid : std::string_view("?")));
}

}  // namespace

KeyRing::KeyRing(const Clock& clock, std::string pepper_path, std::optional<Pepper> pepper)
    : clock_(&clock), pepper_path_(std::move(pepper_path)), pepper_(std::move(pepper)) {}

Result<KeyRing> KeyRing::open(const Clock& clock, std::string pepper_path, std::vector<ApiKey> rows) {
  Result<Pepper> pepper = Pepper::read(pepper_path);
  if (!pepper.has_value() && pepper.error().code != Code::kNotFound) return pepper.error();
  KeyRing out(clock, std::move(pepper_path),
              pepper.has_value() ? std::optional<Pepper>(*std::move(pepper)) : std::nullopt);
  out.adopt(rows);
  return out;
}

Status KeyRing::need_pepper() {
  if (pepper_.has_value()) return {};
  TRY(Pepper made, Pepper::create(pepper_path_));
  pepper_ = std::move(made);
  return {};
}

const KeyRing::Entry* KeyRing::find(std::string_view kid) const {
  const auto found = by_kid_.find(kid);
  return found == by_kid_.end() ? nullptr : &found->second;
}

bool KeyRing::any_active() const {
  const std::int64_t now = now_us();
  return std::any_of(by_kid_.begin(), by_kid_.end(), [now](const auto& item) {
    const ApiKey& row = item.second.row;
    return !row.revoked_us.has_value() && (!row.expires_us.has_value() || now < *row.expires_us);
  });
}

CallerPtr KeyRing::holder_of(std::string_view kid) const {
  const Entry* const entry = find(kid);
  if (entry == nullptr || entry->row.revoked_us.has_value()) return nullptr;
  const bool late = entry->row.expires_us.has_value() && now_us() >= *entry->row.expires_us;
  return late ? nullptr : entry->caller;
}

KeyVerdict KeyRing::verify(std::string_view presented) {
  const std::optional<std::string_view> kid = kid_of(presented);
  if (!kid.has_value() || !pepper_.has_value() || by_kid_.empty()) return {};
  // A kid that is not known is measured against its neighbour's row: the same walk, the same memory, the same hashing
  // and comparing (key_ring_bench.cc). It cannot be that key: the kid is a part of what is hashed.
  auto found = by_kid_.lower_bound(*kid);
  if (found == by_kid_.end()) found = by_kid_.begin();
  const bool known = found->first == *kid;
  const ApiKey& row = found->second.row;
  const std::string mac = pepper_->mac(row.pepper_version, presented);
  const bool other_pepper = !row.previous_mac.empty() && row.previous_pepper_version != row.pepper_version;
  const std::string earlier = other_pepper ? pepper_->mac(row.previous_pepper_version, presented) : mac;
  const bool is_current = is_same(mac, row.mac);
  const bool is_previous = is_same(earlier, row.previous_mac.empty() ? kNoMac : std::string_view(row.previous_mac));
  const bool checked = pepper_->has(row.pepper_version) && is_current;
  const bool checked_before = pepper_->has(row.previous_pepper_version) && is_previous;
  if (!(checked || checked_before) || !known || row.revoked_us.has_value()) return {};
  const std::int64_t now = now_us();
  const bool late = row.expires_us.has_value() && now >= *row.expires_us;
  if (late || (!checked && now >= row.previous_until_us)) return {nullptr, KeyRefusal::kExpired};
  Entry& entry = found->second;
  std::int64_t& used = checked ? entry.row.used_us : entry.row.previous_used_us;
  if (now - used >= kUsCoarse) {
    used = now;
    entry.use_noted = true;
    uses_noted_ = true;
  }
  return {entry.caller, KeyRefusal::kInvalid};
}

std::vector<ledger::KeyUse> KeyRing::take_uses(Flush flush) {
  if (!uses_noted_) return {};
  const MonoTime now = clock_->now();
  if (flush == Flush::kIfDue && uses_taken_.has_value() && now - *uses_taken_ < kUsesPeriod) return {};
  std::vector<ledger::KeyUse> out;
  for (auto& [kid, entry] : by_kid_) {
    if (!std::exchange(entry.use_noted, false)) continue;
    out.push_back({kid, entry.row.used_us, entry.row.previous_used_us});
  }
  uses_noted_ = false;
  uses_taken_ = now;
  return out;
}

Result<const KeyRing::Entry*> KeyRing::creator_of(const Caller* by) const {
  if (by == nullptr) return nullptr;
  const Entry* entry = find(by->key_id);
  // Revoked while it asked.
  if (entry == nullptr || entry->row.revoked_us.has_value()) {
    return make_error(Code::kPermissionDenied, "kid: the key that asks is revoked");
  }
  return entry;
}

void KeyRing::give_secret(ApiKey& row, const std::string& key) const {
  row.pepper_version = pepper_->newest();
  row.mac = pepper_->mac(row.pepper_version, key);
  row.hint = hint_of(key);
}

Result<KeyDraft> KeyRing::draft_create(const KeyWish& wish, const Caller* by) {
  TRY(const Entry* const creator, creator_of(by));
  if (!wish.name.has_value()) return make_error(Code::kInvalidArgument, "name: a key needs one");
  const auto is_live = [](const auto& item) { return !item.second.row.revoked_us.has_value(); };
  if (static_cast<std::size_t>(std::count_if(by_kid_.begin(), by_kid_.end(), is_live)) >= kMaxKeys) {
    return make_error(Code::kTooLarge, fmt::format("name: there are {} keys; revoke what is not used", kMaxKeys));
  }
  const std::int64_t now = now_us();
  ApiKey row = creator != nullptr ? child_of(creator->row) : ApiKey();
  row.scope = to_string(wish.scope.value_or(Scope::kInference));
  row.created_us = now;
  row.expires_us = no_later(now + microseconds(kDefaultKeyLife), creator != nullptr ? &creator->row : nullptr);
  TRY_STATUS(apply(row, wish, now));
  if (creator != nullptr) TRY_STATUS(check_within(row, creator->row));
  TRY_STATUS(need_pepper());
  row.kid = make_kid();
  while (by_kid_.contains(row.kid)) row.kid = make_kid();
  KeyDraft out;
  out.key = make_key(*scope_of(row.scope), row.kid);
  give_secret(row, out.key);
  out.write.audit_kind = "key_create";
  out.write.audit_detail = fmt::format("actor={} kid={} {}", actor(by), row.kid, said_of(row));
  out.write.rows.push_back(std::move(row));
  return out;
}

Result<KeyDraft> KeyRing::draft_change(std::string_view kid, const KeyWish& wish, const Caller* by) const {
  TRY(const Entry* const creator, creator_of(by));
  const Entry* entry = find(kid);
  if (entry == nullptr) return no_such_key(kid);
  if (wish.scope.has_value()) return make_error(Code::kInvalidArgument, "scope: a key keeps its own; make another");
  if (entry->row.revoked_us.has_value()) return make_error(Code::kInvalidArgument, "kid: the key is revoked");
  ApiKey row = entry->row;
  TRY_STATUS(apply(row, wish, now_us()));
  if (creator != nullptr) TRY_STATUS(check_within(row, creator->row));
  KeyDraft out;
  out.write.audit_kind = "key_change";
  out.write.audit_detail =
      fmt::format("actor={} kid={} before=({}) after=({})", actor(by), kid, said_of(entry->row), said_of(row));
  out.write.rows.push_back(std::move(row));
  return out;
}

Result<KeyDraft> KeyRing::draft_rotate(std::string_view kid, const Rotation& rotation, const Caller* by) {
  TRY(const Entry* const creator, creator_of(by));
  const Entry* entry = find(kid);
  if (entry == nullptr) return no_such_key(kid);
  if (entry->row.revoked_us.has_value()) return make_error(Code::kInvalidArgument, "kid: the key is revoked");
  // Who gets the new secret has all the key has.
  if (creator != nullptr && creator != entry) TRY_STATUS(check_within(entry->row, creator->row));
  TRY_STATUS(need_pepper());
  ApiKey row = entry->row;
  const std::int64_t now = now_us();
  row.previous_mac = row.mac;
  row.previous_pepper_version = row.pepper_version;
  row.previous_hint = row.hint;
  row.previous_used_us = row.used_us;
  row.previous_until_us = now + microseconds(rotation.overlap);
  if (row.expires_us.has_value()) {
    row.previous_until_us = std::min(row.previous_until_us, *row.expires_us);
    const std::int64_t life = *row.expires_us - row.rotated_us.value_or(row.created_us);
    row.expires_us = no_later(now + life, creator != nullptr ? &creator->row : nullptr);
  }
  KeyWish wish;
  wish.expires = rotation.expires;
  TRY_STATUS(apply(row, wish, now));
  if (creator != nullptr) TRY_STATUS(check_within(row, creator->row));
  row.used_us = 0;
  row.rotated_us = now;
  KeyDraft out;
  out.key = make_key(*scope_of(row.scope), row.kid);
  give_secret(row, out.key);
  out.write.audit_kind = "key_rotate";
  out.write.audit_detail =
      fmt::format("actor={} kid={} previous_until_us={} {}", actor(by), row.kid, row.previous_until_us, said_of(row));
  out.write.rows.push_back(std::move(row));
  return out;
}

Result<KeyDraft> KeyRing::draft_revoke(std::string_view kid, Children children, const Caller* by) const {
  TRY_STATUS(creator_of(by));
  const Entry* entry = find(kid);
  if (entry == nullptr) return no_such_key(kid);
  KeyDraft out;
  out.write.rows.push_back(entry->row);
  if (children == Children::kRevoke) {
    for (std::size_t i = 0; i < out.write.rows.size(); ++i) {  // grows while it is walked: children of children
      const std::string parent = out.write.rows[i].kid;
      for (const auto& [other, candidate] : by_kid_) {
        if (candidate.row.parent == parent) out.write.rows.push_back(candidate.row);
      }
    }
  }
  const std::int64_t now = now_us();
  out.write.audit_kind = "key_revoke";
  out.write.audit_detail = fmt::format("actor={} kids=", actor(by));
  for (ApiKey& row : out.write.rows) {
    if (!row.revoked_us.has_value()) row.revoked_us = now;
    out.write.audit_detail += (&row == &out.write.rows.front() ? "" : ",") + row.kid;
  }
  return out;
}

void KeyRing::adopt(const std::vector<ApiKey>& rows) {
  for (const ApiKey& row : rows) {
    Entry& entry = by_kid_[row.kid];
    // It may have been used between its draft and now.
    const bool same_secret = entry.row.rotated_us == row.rotated_us;
    const std::int64_t used_us = same_secret ? std::max(entry.row.used_us, row.used_us) : row.used_us;
    entry.row = row;
    entry.row.used_us = used_us;
    entry.caller = caller_of(row);
  }
}

KeyView KeyRing::view_of(const ApiKey& row) const {
  const std::int64_t now = now_us();
  KeyView out;
  out.kid = row.kid;
  out.scope = scope_of(row.scope).value_or(Scope::kInference);
  out.prefix = std::string(key_prefix(out.scope)) + row.kid;
  out.hint = row.hint;
  out.name = row.name;
  out.models = row.models;
  out.limits = limits_of(row);
  const bool late = row.expires_us.has_value() && now >= *row.expires_us;
  out.state = row.revoked_us.has_value() ? KeyState::kRevoked : late ? KeyState::kExpired : KeyState::kActive;
  out.parent = row.parent;
  out.created_us = row.created_us;
  out.expires_us = row.expires_us;
  out.rotated_us = row.rotated_us;
  out.revoked_us = row.revoked_us;
  out.used_us = row.used_us;
  if (row.previous_mac.empty() || now >= row.previous_until_us || out.state != KeyState::kActive) return out;
  out.previous_hint = row.previous_hint;
  out.previous_until_us = row.previous_until_us;
  out.previous_used_us = row.previous_used_us;
  return out;
}

std::optional<KeyView> KeyRing::view(std::string_view kid) const {
  const Entry* entry = find(kid);
  return entry == nullptr ? std::nullopt : std::optional<KeyView>(view_of(entry->row));
}

KeyPage KeyRing::page(std::string_view after, std::size_t limit) const {
  std::vector<const ApiKey*> order;
  for (const auto& [kid, entry] : by_kid_) order.push_back(&entry.row);
  const auto is_before = [](const ApiKey* a, const ApiKey* b) {
    return std::tie(a->created_us, a->kid) < std::tie(b->created_us, b->kid);
  };
  std::sort(order.begin(), order.end(), is_before);
  auto at = order.begin();
  const Entry* last = find(after);
  if (last != nullptr) at = std::upper_bound(order.begin(), order.end(), &last->row, is_before);
  KeyPage out;
  for (; at != order.end() && out.keys.size() < limit; ++at) out.keys.push_back(view_of(**at));
  if (at != order.end() && !out.keys.empty()) out.next_after = out.keys.back().kid;
  return out;
}

std::string KeyRing::notice() const {
  const auto cannot_be_checked = [this](const auto& item) {
    const ApiKey& row = item.second.row;
    return !row.revoked_us.has_value() && (!pepper_.has_value() || !pepper_->has(row.pepper_version));
  };
  const auto count = std::count_if(by_kid_.begin(), by_kid_.end(), cannot_be_checked);
  if (count == 0) return {};
  return fmt::format("{} API keys are refused: {} lacks the pepper they were made with; restore it, or rotate them",
                     count, pepper_path_);
}

}  // namespace dormouse::gateway
