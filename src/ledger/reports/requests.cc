// Requests and instances one by one, newest first.
#include <algorithm>
#include <utility>

#include "base/ids.h"
#include "ledger/reports/select.h"
#include "ledger/store.h"

namespace dormouse::ledger {
namespace {

constexpr std::int64_t kMaxRows = 10'000;
// Entries read for one page at most: what a rare outcome may cost, about 0.2 s.
constexpr std::int64_t kMaxScanned = 50'000;
// Ids begin with the time they were made at, shortly before the reservation was written.
constexpr std::int64_t kIdSlackUs = 600'000'000;

constexpr const char* kPageSql =
    "SELECT r.request_id, d.name, r.at_us, s.kind IS NOT NULL, s.outcome, s.error_code,"
    " s.http_status, s.input_tokens, s.cached_tokens, s.output_tokens, s.wake_wait_us, s.ttft_us,"
    " s.duration_us, s.instance_id, s.price_version, s.micros, s.currency, r.key_id, r.dialect,"
    " s.error_kind, s.finish_reason, s.reasoning_tokens, s.produced_tokens, s.queue_us, s.busy_ns,"
    " s.cost_micros, f.request_id IS NOT NULL, f.output_tokens, f.micros"
    " FROM request_entries AS r JOIN deployments AS d ON d.id = r.deployment_id"
    " LEFT JOIN request_entries AS s ON s.request_id = r.request_id AND s.kind = 'settle'"
    " LEFT JOIN request_entries AS f ON f.request_id = r.request_id AND f.kind = 'refund'"
    " WHERE r.kind = 'reserve' AND r.request_id < ?1 ORDER BY r.request_id DESC";

// No id of an earlier time comes after this. '~' is behind every character of an id.
std::string first_bound(const RequestQuery& query) {
  if (!query.after.empty()) return query.after;
  if (query.end_us > INT64_MAX - kIdSlackUs) return "~";
  return uuid_v7_bound({std::max<std::int64_t>(query.end_us, 0) + kIdSlackUs});
}

void read_settlement(const Statement& select, RequestRow& row) {
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

bool wants(const RequestQuery& query, const RequestRow& row) {
  if (row.at_us < query.begin_us || row.at_us >= query.end_us) return false;
  if (query.deployment.has_value() && row.deployment != *query.deployment) return false;
  if (query.key_id.has_value() && row.key_id != *query.key_id) return false;
  if (!query.outcome.has_value()) return true;
  return row.settled ? to_string(row.settlement.outcome) == *query.outcome : *query.outcome == "open";
}

}  // namespace

Result<RequestPage> select_requests(Connection& connection, const RequestQuery& query) {
  TRY(Statement select, connection.prepare(kPageSql));
  const std::string bound = first_bound(query);
  select.bind(1, bound);
  const auto limit = static_cast<std::size_t>(std::clamp<std::int64_t>(query.limit, 1, kMaxRows));
  RequestPage out;
  std::string last;
  for (std::int64_t scanned = 0;; ++scanned) {
    TRY(const bool more, select.step());
    if (!more) return out;
    if (out.rows.size() == limit || scanned == kMaxScanned) break;
    RequestRow row;
    row.request_id = select.text(0);
    row.deployment = select.text(1);
    row.at_us = select.integer(2);
    row.settled = select.integer(3) != 0;
    row.key_id = select.text(17);
    row.dialect = select.text(18);
    if (row.settled) read_settlement(select, row);
    if (row.at_us < query.begin_us - kIdSlackUs) return out;
    last = row.request_id;
    if (wants(query, row)) out.rows.push_back(std::move(row));
  }
  out.next = last;
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

}  // namespace dormouse::ledger
