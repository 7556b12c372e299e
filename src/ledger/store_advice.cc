// What was advised, and what hindsight said: written once a period, read newest first.
#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

#include "ledger/reports/select.h"
#include "ledger/store.h"

namespace dormouse::ledger {
namespace {

constexpr std::int64_t kMaxRows = 10'000;

std::string_view to_string(AdviceKind kind) {
  switch (kind) {
    case AdviceKind::kWeekly: return "weekly";
    case AdviceKind::kRegret: return "regret";
  }
  return "weekly";
}

}  // namespace

Status Store::write(const AdviceRecord& a, std::int64_t at_us) {
  TRY(Statement insert,
      connection_.prepare("INSERT INTO advice (at_us, deployment, kind, period_begin_us, period_end_us, body,"
                          " paid_micros, best_micros, currency) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
                          " ON CONFLICT (deployment, kind, period_end_us) DO NOTHING"));
  insert.bind(1, at_us).bind(2, a.deployment).bind(3, to_string(a.kind)).bind(4, a.period_begin_us);
  insert.bind(5, a.period_end_us).bind(6, a.body).bind_optional(7, a.paid_micros).bind_optional(8, a.best_micros);
  return insert.bind(9, a.currency).run();
}

Result<std::vector<AdviceRecord>> select_advice(Connection& connection, const AdviceQuery& query) {
  TRY(Statement select,
      connection.prepare("SELECT id, at_us, deployment, kind = 'regret', period_begin_us, period_end_us, body,"
                         " paid_micros, best_micros, currency FROM advice WHERE (?1 IS NULL OR deployment = ?1)"
                         " AND (?2 IS NULL OR kind = ?2) ORDER BY period_end_us DESC, deployment, kind LIMIT ?3"));
  std::optional<std::string> kind;
  if (query.kind.has_value()) kind = to_string(*query.kind);
  select.bind_optional(1, query.deployment).bind_optional(2, kind);
  select.bind(3, std::clamp<std::int64_t>(query.max_rows, 0, kMaxRows));
  std::vector<AdviceRecord> out;
  while (true) {
    TRY(const bool more, select.step());
    if (!more) return out;
    AdviceRecord& row = out.emplace_back();
    row.id = select.integer(0);
    row.at_us = select.integer(1);
    row.deployment = select.text(2);
    row.kind = select.integer(3) != 0 ? AdviceKind::kRegret : AdviceKind::kWeekly;
    row.period_begin_us = select.integer(4);
    row.period_end_us = select.integer(5);
    row.body = select.text(6);
    row.paid_micros = select.optional_integer(7);
    row.best_micros = select.optional_integer(8);
    row.currency = select.text(9);
  }
}

}  // namespace dormouse::ledger
