// What was spent before this start, for the limiter: a restart does not fill a budget again. Threads: the loop's.
#pragma once

#include "base/clock.h"
#include "gateway/deployments.h"
#include "gateway/keys/key_ring.h"
#include "gateway/limits/limiter.h"
#include "ledger/ledger.h"

namespace dormouse::gateway {

// The periods that run, of the reporting time zone.
struct BudgetPeriods {
  WallTime day_begin;
  WallTime month_begin;
};

// Tells the limiter what the ledger has of every key and deployment with a budget, in the budget's currency.
// Errors: the ledger's.
Task<Status> restore_budgets(asio::io_context& io, ledger::Ledger& ledger, const KeyRing& keys,
                             const Deployments& deployments, Limiter& limiter, BudgetPeriods periods);

}  // namespace dormouse::gateway
