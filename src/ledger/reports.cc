// The SELECTs behind `dormouse usage`, `ps` history and the console.
#include <algorithm>
#include <map>
#include <utility>

#include "ledger/reader.h"
#include "ledger/store.h"

namespace dormouse::ledger {
namespace {

constexpr std::int64_t kHourUs = 3'600'000'000;
constexpr std::int64_t kMaxRows = 10'000;

using Key = std::pair<std::int64_t, std::string>;  // bucket, deployment

std::int64_t bucket_us(UsageBy by) {
  switch (by) {
    case UsageBy::kDay: return 24 * kHourUs;
    case UsageBy::kHour: return kHourUs;
    case UsageBy::kDeployment: return 0;
  }
  return 0;
}

// ?1 begin ?2 end ?3 bucket width (0: one bucket) ?4 offset ?5 deployment or NULL ?6 group by name (0 or 1).
// Times are after 1970, so integer division rounds down.
constexpr const char* kRequestsSql =
    "SELECT iif(?3 = 0, 0, (e.at_us + ?4) / max(?3, 1) * ?3 - ?4) AS bucket, iif(?6 = 1, d.name, '') AS label,"
    " count(*), sum(e.outcome IN ('failed', 'interrupted')), sum(e.outcome = 'client_gone'), sum(e.input_tokens),"
    " sum(e.cached_tokens), sum(e.output_tokens), sum(e.wake_wait_us > 0), sum(e.wake_wait_us), sum(e.duration_us),"
    " iif(min(e.currency) = max(e.currency), sum(e.micros), NULL), max(e.currency)"
    " FROM request_entries AS e JOIN deployments AS d ON d.id = e.deployment_id"
    " WHERE e.kind = 'settle' AND e.at_us >= ?1 AND e.at_us < ?2 AND (?5 IS NULL OR d.name = ?5)"
    " GROUP BY bucket, label";

constexpr const char* kSpansSql =
    "SELECT iif(?3 = 0, 0, (s.requested_us + ?4) / max(?3, 1) * ?3 - ?4) AS bucket,"
    " iif(?6 = 1, d.name, '') AS label, sum(s.ready_us IS NOT NULL),"
    " sum(coalesce(s.ready_after_us, s.alive_us)), sum(s.busy_us), sum(s.alive_us)"
    " FROM instance_spans AS s JOIN deployments AS d ON d.id = s.deployment_id"
    " WHERE s.requested_us >= ?1 AND s.requested_us < ?2 AND (?5 IS NULL OR d.name = ?5)"
    " GROUP BY bucket, label";

void bind_query(Statement& statement, const UsageQuery& query) {
  statement.bind(1, query.begin_us).bind(2, query.end_us).bind(3, bucket_us(query.by));
  statement.bind(4, query.utc_offset_minutes * 60'000'000).bind_optional(5, query.deployment);
  const bool by_name = query.by == UsageBy::kDeployment || query.deployment.has_value();
  statement.bind(6, std::int64_t{by_name ? 1 : 0});
}

UsageRow& row_of(std::map<Key, UsageRow>& rows, const Statement& statement) {
  UsageRow& row = rows[{statement.integer(0), statement.text(1)}];
  row.bucket_us = statement.integer(0);
  row.deployment = statement.text(1);
  return row;
}

Status add_requests(Connection& connection, const UsageQuery& query, std::map<Key, UsageRow>& rows) {
  TRY(Statement select, connection.prepare(kRequestsSql));
  bind_query(select, query);
  while (true) {
    TRY(const bool more, select.step());
    if (!more) return {};
    UsageRow& row = row_of(rows, select);
    row.requests = select.integer(2);
    row.failed = select.integer(3);
    row.client_gone = select.integer(4);
    row.input_tokens = select.integer(5);
    row.cached_tokens = select.integer(6);
    row.output_tokens = select.integer(7);
    row.cold_requests = select.integer(8);
    row.wake_wait_us = select.integer(9);
    row.duration_us = select.integer(10);
    row.micros = select.optional_integer(11);
    row.currency = select.text(12);
  }
}

Status add_spans(Connection& connection, const UsageQuery& query, std::map<Key, UsageRow>& rows) {
  TRY(Statement select, connection.prepare(kSpansSql));
  bind_query(select, query);
  while (true) {
    TRY(const bool more, select.step());
    if (!more) return {};
    UsageRow& row = row_of(rows, select);
    row.wakes = select.integer(2);
    row.waking_us = select.integer(3);
    row.busy_us = select.integer(4);
    row.idle_us = std::max<std::int64_t>(0, select.integer(5) - row.waking_us - row.busy_us);
  }
}

}  // namespace

Result<std::vector<UsageRow>> select_usage(Connection& connection, const UsageQuery& query) {
  std::map<Key, UsageRow> rows;
  TRY_STATUS(add_requests(connection, query, rows));
  TRY_STATUS(add_spans(connection, query, rows));
  const auto limit = static_cast<std::size_t>(std::clamp<std::int64_t>(query.max_rows, 0, kMaxRows));
  std::vector<UsageRow> out;
  std::size_t skip = rows.size() > limit ? rows.size() - limit : 0;  // newest are kept
  for (auto& [key, row] : rows) {
    if (skip > 0) {
      --skip;
      continue;
    }
    out.push_back(std::move(row));
  }
  return out;
}

Result<std::vector<Span>> select_spans(Connection& connection, const std::string& deployment, std::int64_t max_rows) {
  TRY(Statement select,
      connection.prepare("SELECT s.instance_id, d.name, i.driver, i.epoch, i.cause, s.reason, s.requested_us, s.up_us,"
                         " s.ready_us, s.drain_us, s.down_us, s.confirmed_us,"
                         " coalesce(s.ready_after_us, s.alive_us), s.busy_us, s.alive_us"
                         " FROM instance_spans AS s JOIN start_intents AS i ON i.instance_id = s.instance_id"
                         " JOIN deployments AS d ON d.id = s.deployment_id"
                         " WHERE ?1 = '' OR d.name = ?1 ORDER BY s.requested_us DESC, i.epoch DESC LIMIT ?2"));
  select.bind(1, deployment).bind(2, std::clamp<std::int64_t>(max_rows, 0, kMaxRows));
  std::vector<Span> out;
  while (true) {
    TRY(const bool more, select.step());
    if (!more) return out;
    Span& span = out.emplace_back();
    span.instance_id = select.text(0);
    span.deployment = select.text(1);
    span.driver = select.text(2);
    span.epoch = static_cast<std::uint64_t>(select.integer(3));
    span.cause = select.text(4);
    span.reason = select.text(5);
    span.requested_us = select.integer(6);
    span.up_us = select.optional_integer(7);
    span.ready_us = select.optional_integer(8);
    span.drain_us = select.optional_integer(9);
    span.down_us = select.optional_integer(10);
    span.confirmed_us = select.optional_integer(11);
    span.waking_us = select.integer(12);
    span.busy_us = select.integer(13);
    span.alive_us = select.integer(14);
  }
}

Result<std::vector<RequestRow>> select_requests(Connection& connection, std::int64_t max_rows) {
  TRY(Statement select,
      connection.prepare("SELECT r.request_id, d.name, r.at_us, s.kind IS NOT NULL, s.outcome, s.error_code,"
                         " s.http_status, s.input_tokens, s.cached_tokens, s.output_tokens, s.wake_wait_us, s.ttft_us,"
                         " s.duration_us, s.instance_id, s.price_version, s.micros, s.currency, r.key_id, r.dialect,"
                         " s.error_kind, s.finish_reason, s.reasoning_tokens, s.produced_tokens, s.queue_us, s.busy_ns,"
                         " s.cost_micros, f.request_id IS NOT NULL, f.output_tokens, f.micros"
                         " FROM request_entries AS r JOIN deployments AS d ON d.id = r.deployment_id"
                         " LEFT JOIN request_entries AS s ON s.request_id = r.request_id AND s.kind = 'settle'"
                         " LEFT JOIN request_entries AS f ON f.request_id = r.request_id AND f.kind = 'refund'"
                         " WHERE r.kind = 'reserve' ORDER BY r.request_id DESC LIMIT ?1"));
  select.bind(1, std::clamp<std::int64_t>(max_rows, 0, kMaxRows));
  std::vector<RequestRow> out;
  while (true) {
    TRY(const bool more, select.step());
    if (!more) return out;
    RequestRow& row = out.emplace_back();
    row.request_id = select.text(0);
    row.deployment = select.text(1);
    row.at_us = select.integer(2);
    row.settled = select.integer(3) != 0;
    row.key_id = select.text(17);
    row.dialect = select.text(18);
    if (!row.settled) continue;
    Settlement& s = row.settlement;
    s.request_id = row.request_id;
    s.outcome = outcome_of(select.text(4));
    s.error_code = select.text(5);
    s.http_status = select.integer(6);
    s.input_tokens = select.integer(7);
    s.cached_tokens = select.integer(8);
    s.output_tokens = select.integer(9);
    s.wake_wait_us = select.integer(10);
    s.ttft_us = select.integer(11);
    s.duration_us = select.integer(12);
    if (!select.is_null(13)) s.instance_id = select.text(13);
    s.price_version = select.optional_integer(14);
    s.micros = select.optional_integer(15);
    s.currency = select.text(16);
    s.error_kind = select.text(19);
    s.finish_reason = select.text(20);
    s.reasoning_tokens = select.integer(21);
    s.produced_tokens = select.integer(22);
    s.queue_us = select.integer(23);
    s.busy_ns = select.integer(24);
    s.cost_micros = select.optional_integer(25);
    row.refunded = select.integer(26) != 0;
    row.refunded_tokens = select.integer(27);
    row.refunded_micros = select.optional_integer(28);
  }
}

}  // namespace dormouse::ledger
