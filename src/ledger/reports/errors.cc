// What went wrong and what was turned away, by kind and deployment.
#include "ledger/quarter.h"
#include "ledger/reports/select.h"

namespace dormouse::ledger {
namespace {

// A stranger may ask for any name: the most frequent stay.
constexpr std::int64_t kMaxRows = 1'000;

Result<std::vector<ErrorRow>> rows_of(Statement& select, const ErrorQuery& query) {
  select.bind(1, query.begin_us).bind(2, query.end_us).bind_optional(3, query.deployment);
  select.bind_optional(4, query.key_id).bind(5, kMaxRows);
  std::vector<ErrorRow> out;
  while (true) {
    TRY(const bool more, select.step());
    if (!more) return out;
    ErrorRow& row = out.emplace_back();
    row.kind = select.text(0);
    row.deployment = select.text(1);
    row.requests = select.integer(2);
    row.last_us = select.integer(3);
  }
}

}  // namespace

Result<std::vector<ErrorRow>> select_errors(Connection& connection, const ErrorQuery& query) {
  ErrorQuery whole = query;
  whole.begin_us = slot_of(query.begin_us);
  TRY(Statement select,
      connection.prepare("SELECT e.error_kind, d.name, sum(e.requests), max(e.last_us) FROM error_quarters AS e"
                         " JOIN deployments AS d ON d.id = e.deployment_id WHERE e.slot_us >= ?1 AND e.slot_us < ?2"
                         " AND (?3 IS NULL OR d.name = ?3) AND (?4 IS NULL OR e.key_id = ?4)"
                         " GROUP BY e.error_kind, d.name ORDER BY 3 DESC, 1, 2 LIMIT ?5"));
  return rows_of(select, whole);
}

Result<std::vector<ErrorRow>> select_refusals(Connection& connection, const ErrorQuery& query) {
  ErrorQuery whole = query;
  whole.begin_us = slot_of(query.begin_us);
  TRY(Statement select,
      connection.prepare("SELECT reason, deployment, sum(requests), max(minute_us) FROM refusal_minutes"
                         " WHERE minute_us >= ?1 AND minute_us < ?2 AND (?3 IS NULL OR deployment = ?3)"
                         " AND (?4 IS NULL OR key_id = ?4)"
                         " GROUP BY reason, deployment ORDER BY 3 DESC, 1, 2 LIMIT ?5"));
  return rows_of(select, whole);
}

}  // namespace dormouse::ledger
