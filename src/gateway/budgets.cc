#include "gateway/budgets.h"

#include <utility>
#include <vector>

#include "gateway/admit.h"
#include "gateway/one_shot.h"

namespace dormouse::gateway {

Task<Status> restore_budgets(asio::io_context& io, ledger::Ledger& ledger, const KeyRing& keys,
                             const Deployments& deployments, Limiter& limiter, BudgetPeriods periods) {
  for (const BudgetPeriod period : {BudgetPeriod::kDay, BudgetPeriod::kMonth}) {
    const WallTime begin = period == BudgetPeriod::kDay ? periods.day_begin : periods.month_begin;
    const OneShot<Result<std::vector<ledger::Spend>>> asked(io);
    ledger.spend_since(begin.us, [asked](Result<std::vector<ledger::Spend>> rows) { asked.set(std::move(rows)); });
    CO_TRY(const std::vector<ledger::Spend> rows, co_await asked.get());
    for (const ledger::Spend& row : rows) {
      const auto tell = [&](Holder holder, const std::string& name, const KeyLimits& limits) {
        if (limits.budget_micros == 0 || limits.budget_period != period || limits.budget_currency != row.currency)
          return;
        limiter.add_spent(holder, name, period, row.micros);
      };
      const std::optional<KeyView> key = keys.view(row.key_id);
      if (key.has_value()) tell(Holder::kKey, row.key_id, key->limits);
      const Deployment* const deployment = deployments.find(row.deployment);
      if (deployment != nullptr) tell(Holder::kDeployment, row.deployment, limits_of(deployment->rules));
    }
  }
  co_return Status();
}

}  // namespace dormouse::gateway
