// Who is asking, as the key they showed says. Plain values; a Caller never changes: a changed key makes a new one.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/budget.h"

namespace dormouse::gateway {

// What a key may do. Each is for itself: an admin key cannot spend money on answers, an inference key cannot look at
// anybody's usage.
enum class Scope {
  kInference,  // models, generation
  kRead,       // status, usage, bills, logs
  kAdmin,      // everything that changes something, and what kRead may
};

using BudgetPeriod = catalog::BudgetRule::Period;  // of the server's reporting time zone

// 0: no limit.
struct KeyLimits {
  std::int64_t requests_per_minute = 0;
  std::int64_t tokens_per_minute = 0;  // prompt and answer
  std::int64_t concurrency = 0;        // requests at once
  std::int64_t budget_micros = 0;      // of budget_currency, in a budget_period
  std::string budget_currency;
  BudgetPeriod budget_period = BudgetPeriod::kMonth;
  friend bool operator==(const KeyLimits&, const KeyLimits&) = default;
};

struct Caller {
  std::string key_id;  // the public part; the secret is nowhere
  std::string name;
  Scope scope = Scope::kInference;
  std::vector<std::string> models;  // deployments it may use; empty: every one
  KeyLimits limits;
};

// Null: nobody had to say who they are (run/admin.sock, a console link made there, or no key exists yet).
using CallerPtr = std::shared_ptr<const Caller>;

}  // namespace dormouse::gateway
