// What is neither a request nor an instance's life: prices, fees, refusals, idempotency keys.
#include <string>
#include <utility>

#include "ledger/reports/select.h"
#include "ledger/store.h"

namespace dormouse::ledger {
namespace {

constexpr std::int64_t kDayUs = 86'400'000'000;

}  // namespace

// The same price again is the version it was; what it says of its source is the first's.
Status Store::write(const PutPrice& put, std::int64_t at_us) {
  const Price& p = put.price;
  TRY(Statement insert,
      connection_.prepare("INSERT INTO price_versions (instance_type, billing, currency, period_micros, period_us,"
                          " increment_us, source, since_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
                          " ON CONFLICT DO NOTHING"));
  insert.bind(1, p.instance_type).bind(2, p.billing).bind(3, p.currency).bind(4, p.period_micros);
  TRY_STATUS(insert.bind(5, p.period_us).bind(6, p.increment_us).bind(7, p.source).bind(8, at_us).run());
  TRY(Statement select,
      connection_.prepare("SELECT version FROM price_versions WHERE instance_type = ?1 AND billing = ?2 AND"
                          " currency = ?3 AND period_micros = ?4 AND period_us = ?5 AND increment_us = ?6"));
  select.bind(1, p.instance_type).bind(2, p.billing).bind(3, p.currency).bind(4, p.period_micros);
  TRY(const bool row, select.bind(5, p.period_us).bind(6, p.increment_us).step());
  if (!row) return make_error(Code::kInternal, "ledger: a price that was just written is not there");
  *put.version = select.integer(0);
  return {};
}

Status Store::write(const Fee& fee, std::int64_t at_us) {
  TRY(const std::int64_t id, deployment_id(fee.deployment));
  TRY(Statement insert,
      connection_.prepare("INSERT INTO fees VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING"));
  insert.bind(1, id).bind(2, fee.month).bind(3, fee.month_begin_us).bind(4, fee.price_version).bind(5, fee.micros);
  return insert.bind(6, fee.currency).bind(7, at_us).run();
}

Status Store::write(const std::vector<RefusalCount>& refusals, std::int64_t /*at_us*/) {
  for (const RefusalCount& r : refusals) {
    TRY(Statement upsert, connection_.prepare("INSERT INTO refusal_minutes VALUES (?1, ?2, ?3, ?4, ?5)"
                                              " ON CONFLICT DO UPDATE SET requests = requests + ?5"));
    upsert.bind(1, r.minute_us).bind(2, r.key_id).bind(3, r.deployment).bind(4, r.reason);
    TRY_STATUS(upsert.bind(5, r.requests).run());
  }
  return {};
}

Result<std::vector<Spend>> select_spend(Connection& connection, std::int64_t begin_us) {
  TRY(Statement select,
      connection.prepare("SELECT u.key_id, d.name, u.currency, sum(u.micros) FROM usage_quarters AS u"
                         " JOIN deployments AS d ON d.id = u.deployment_id WHERE u.slot_us >= ?1 AND u.currency <> ''"
                         " GROUP BY 1, 2, 3"));
  select.bind(1, begin_us);
  std::vector<Spend> out;
  while (true) {
    TRY(const bool more, select.step());
    if (!more) return out;
    out.push_back({select.text(0), select.text(1), select.text(2), select.integer(3)});
  }
}

// Claimed anew after a day, or when the request it stood for came to nothing: a retry of that is no repetition. In the
// transaction of the reservation, so that a claim without one cannot be.
Result<bool> Store::claim(const Reservation& r, std::int64_t at_us) {
  const IdempotencyClaim& claim = *r.idempotency;
  TRY(Statement old, connection_.prepare("DELETE FROM idempotency_keys WHERE at_us < ?1"));
  TRY_STATUS(old.bind(1, at_us - kDayUs).run());
  TRY(Statement select,
      connection_.prepare("SELECT k.request_id, k.body_sha256, e.kind IS NOT NULL, e.outcome, e.http_status,"
                          " r.kind IS NOT NULL FROM idempotency_keys AS k LEFT JOIN request_entries AS e"
                          " ON e.request_id = k.request_id AND e.kind = 'settle'"
                          " LEFT JOIN request_entries AS r ON r.request_id = k.request_id AND r.kind = 'refund'"
                          " WHERE k.scope = ?1 AND k.client_key = ?2"));
  TRY(const bool row, select.bind(1, claim.scope).bind(2, claim.client_key).step());
  if (row) {
    IdempotencyRecord found;
    found.request_id = select.text(0);
    found.body_sha256 = select.text(1);
    found.settled = select.integer(2) != 0;
    if (found.settled) found.outcome = outcome_of(select.text(3));
    found.http_status = select.integer(4);
    // Not delivered whole, and so not billed whole.
    const bool came_to_nothing = found.settled && (found.outcome != Outcome::kOk || select.integer(5) != 0);
    if (!came_to_nothing || found.body_sha256 != claim.body_sha256) {
      if (r.repetition != nullptr) r.repetition->emplace(std::move(found));
      return false;
    }
  }
  TRY(Statement upsert, connection_.prepare("INSERT INTO idempotency_keys VALUES (?1, ?2, ?3, ?4, ?5)"
                                            " ON CONFLICT DO UPDATE SET request_id = ?4, at_us = ?5"));
  upsert.bind(1, claim.scope).bind(2, claim.client_key).bind(3, claim.body_sha256).bind(4, r.request_id);
  TRY_STATUS(upsert.bind(5, at_us).run());
  return true;
}

}  // namespace dormouse::ledger
