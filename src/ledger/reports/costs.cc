// What deployments' time cost in three periods that end now.
#include <map>
#include <utility>

#include "ledger/reports/select.h"
#include "ledger/reports/span_costs.h"

namespace dormouse::ledger {

Result<std::vector<CostRow>> select_costs(Connection& connection, const CostQuery& query) {
  TRY(auto names, select_names(connection));
  // From the first span on: its beginning is asked for, too.
  TRY(const std::vector<SpanCost> spans, select_span_costs(connection, 0, query.now_us));
  std::map<std::pair<std::string, std::string>, CostRow> rows;
  const auto row_of = [&](std::int64_t deployment_id, const std::string& currency) -> CostRow& {
    CostRow& row = rows[{names[deployment_id], currency}];
    row.deployment = names[deployment_id];
    row.currency = currency;
    row.whole_day_micros.resize(query.days_us.size());
    return row;
  };
  for (const SpanCost& span : spans) {
    if (!span.price.has_value()) continue;
    CostRow& row = row_of(span.deployment_id, span.price->currency);
    if (row.first_us == 0) row.first_us = span.begin_us;  // spans come in order
    if (!span.is_hourly()) continue;
    const auto since = [&span, &query](std::int64_t begin_us) {
      return span.worth_until(query.now_us, span.paid_us()) - span.worth_until(begin_us, span.paid_us());
    };
    row.month_micros += since(query.month_us);
    row.day_micros += since(query.day_us);
    row.recent_micros += since(query.recent_us);
    for (std::size_t i = 0; i < query.days_us.size(); ++i) {
      const std::int64_t end_us = i + 1 < query.days_us.size() ? query.days_us[i + 1] : query.day_us;
      row.whole_day_micros[i] += since(query.days_us[i]) - since(end_us);
    }
  }
  TRY(const std::vector<MonthFee> fees, select_fees(connection, query.month));
  for (const MonthFee& fee : fees) row_of(fee.deployment_id, fee.price.currency).fee_micros += fee.micros;
  std::vector<CostRow> out;
  for (auto& [key, row] : rows) out.push_back(std::move(row));
  return out;
}

}  // namespace dormouse::ledger
