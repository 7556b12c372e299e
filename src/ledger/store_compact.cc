// Retention: what is old loses its detail and keeps its sums. One small step a call, each a part of whatever
// transaction the writer has open, so that a settlement waits for one step at most.
#include <algorithm>
#include <array>
#include <string>

#include "base/crashpoint.h"
#include "base/ids.h"
#include "ledger/store.h"

namespace dormouse::ledger {
namespace {

// Rows a step may touch. Measured with 10 million requests: docs/ledger.md, "Retention".
constexpr std::int64_t kRequestsAtOnce = 200;  // two or three entries each
constexpr std::int64_t kRefusalsAtOnce = 2'000;
constexpr std::int64_t kHourUs = 3'600'000'000;  // of quarters at once
// Days that are one row already are stepped over, so many at once.
constexpr int kDaysAtOnce = 500;

struct QuarterTable {
  const char* next;   // the first slot from ?1
  const char* merge;  // adds [?2, ?3) to the day that begins at ?1
  const char* drop;   // [?1, ?2)
};

constexpr std::array<QuarterTable, 4> kTables = {{
    {"SELECT min(slot_us) FROM usage_quarters WHERE slot_us >= ?1",
     "INSERT INTO usage_quarters SELECT ?1, deployment_id, key_id, currency, sum(requests), sum(failed),"
     " sum(client_gone), sum(cold), sum(unpriced), sum(input_tokens), sum(cached_tokens), sum(output_tokens),"
     " sum(reasoning_tokens), sum(produced_tokens), sum(queue_us), sum(wake_wait_us), sum(ttft_us), sum(first_tokens),"
     " sum(duration_us), sum(busy_ns), sum(cost_micros), sum(micros), sum(refunds) FROM usage_quarters"
     " WHERE slot_us >= ?2 AND slot_us < ?3 GROUP BY deployment_id, key_id, currency ON CONFLICT DO UPDATE SET"
     " requests = requests + excluded.requests, failed = failed + excluded.failed,"
     " client_gone = client_gone + excluded.client_gone, cold = cold + excluded.cold,"
     " unpriced = unpriced + excluded.unpriced, input_tokens = input_tokens + excluded.input_tokens,"
     " cached_tokens = cached_tokens + excluded.cached_tokens, output_tokens = output_tokens + excluded.output_tokens,"
     " reasoning_tokens = reasoning_tokens + excluded.reasoning_tokens,"
     " produced_tokens = produced_tokens + excluded.produced_tokens, queue_us = queue_us + excluded.queue_us,"
     " wake_wait_us = wake_wait_us + excluded.wake_wait_us, ttft_us = ttft_us + excluded.ttft_us,"
     " first_tokens = first_tokens + excluded.first_tokens, duration_us = duration_us + excluded.duration_us,"
     " busy_ns = busy_ns + excluded.busy_ns, cost_micros = cost_micros + excluded.cost_micros,"
     " micros = micros + excluded.micros, refunds = refunds + excluded.refunds",
     "DELETE FROM usage_quarters WHERE slot_us >= ?1 AND slot_us < ?2"},
    {"SELECT min(slot_us) FROM latency_quarters WHERE slot_us >= ?1",
     "INSERT INTO latency_quarters SELECT ?1, deployment_id, what, bucket, sum(requests) FROM latency_quarters"
     " WHERE slot_us >= ?2 AND slot_us < ?3 GROUP BY deployment_id, what, bucket"
     " ON CONFLICT DO UPDATE SET requests = requests + excluded.requests",
     "DELETE FROM latency_quarters WHERE slot_us >= ?1 AND slot_us < ?2"},
    {"SELECT min(slot_us) FROM error_quarters WHERE slot_us >= ?1",
     "INSERT INTO error_quarters SELECT ?1, deployment_id, key_id, error_kind, sum(requests), max(last_us)"
     " FROM error_quarters WHERE slot_us >= ?2 AND slot_us < ?3 GROUP BY deployment_id, key_id, error_kind"
     " ON CONFLICT DO UPDATE SET requests = requests + excluded.requests, last_us = max(last_us, excluded.last_us)",
     "DELETE FROM error_quarters WHERE slot_us >= ?1 AND slot_us < ?2"},
    {"SELECT min(slot_us) FROM instance_quarters WHERE slot_us >= ?1",
     "INSERT INTO instance_quarters SELECT ?1, instance_id, sum(awake_us), sum(waking_us), sum(busy_us)"
     " FROM instance_quarters WHERE slot_us >= ?2 AND slot_us < ?3 GROUP BY instance_id"
     " ON CONFLICT DO UPDATE SET awake_us = awake_us + excluded.awake_us, waking_us = waking_us + excluded.waking_us,"
     " busy_us = busy_us + excluded.busy_us",
     "DELETE FROM instance_quarters WHERE slot_us >= ?1 AND slot_us < ?2"},
}};
static_assert(kTables.size() + 2 == CompactCursor::kEnd);

void next_table(CompactCursor& cursor) {
  ++cursor.table;
  cursor.slot_us = 0;
}

// Ids begin with their time (UUIDv7): the oldest come first, and none of this time or later is looked at.
Status delete_requests(Connection& connection, const Compact& wish, std::int64_t before_us) {
  const std::string bound = uuid_v7_bound({before_us});
  TRY_STATUS(connection.execute("UPDATE ledger_state SET compacting = 1"));
  TRY(Statement drop,
      connection.prepare(
          "DELETE FROM request_entries WHERE request_id IN (SELECT r.request_id FROM request_entries AS r"
          " WHERE r.kind = 'reserve' AND r.request_id < ?1 AND r.at_us < ?2"
          " AND NOT EXISTS (SELECT 1 FROM open_requests AS o WHERE o.request_id = r.request_id)"
          " ORDER BY r.request_id LIMIT ?3)"));
  TRY_STATUS(drop.bind(1, bound).bind(2, before_us).bind(3, kRequestsAtOnce).run());
  const int deleted = connection.changes();
  crashpoint("ledger.mid_compaction");
  TRY_STATUS(connection.execute("UPDATE ledger_state SET compacting = 0"));
  if (deleted == 0) next_table(*wish.cursor);
  return {};
}

Status delete_refusals(Connection& connection, const Compact& wish, std::int64_t before_us) {
  TRY(Statement drop,
      connection.prepare("DELETE FROM refusal_minutes WHERE (minute_us, key_id, deployment, reason) IN (SELECT"
                         " minute_us, key_id, deployment, reason FROM refusal_minutes WHERE minute_us < ?1 LIMIT ?2)"));
  TRY_STATUS(drop.bind(1, before_us).bind(2, kRefusalsAtOnce).run());
  if (connection.changes() == 0) next_table(*wish.cursor);
  return {};
}

// At most an hour of quarters into the row of their day.
Status merge_quarters(Connection& connection, const Compact& wish, std::int64_t before_us) {
  CompactCursor& cursor = *wish.cursor;
  const QuarterTable& table = kTables.at(static_cast<std::size_t>(cursor.table - 2));
  for (int days = 0; days < kDaysAtOnce; ++days) {
    std::int64_t slot_us = 0;
    {
      TRY(Statement next, connection.prepare(table.next));
      TRY([[maybe_unused]] const bool row, next.bind(1, cursor.slot_us).step());
      if (next.is_null(0) || next.integer(0) >= before_us) {
        next_table(cursor);
        return {};
      }
      slot_us = next.integer(0);
    }
    const std::int64_t day_us = wish.zone.day_begin({slot_us}).us;
    if (slot_us == day_us) {
      cursor.slot_us = slot_us + 1;
      continue;
    }
    const CivilTime local = wish.zone.local({day_us});
    const std::int64_t day_end_us =
        wish.zone.first({.year = local.year, .month = local.month, .day = local.day + 1}).us;
    const std::int64_t end_us = std::min(slot_us + kHourUs, day_end_us);
    TRY(Statement merge, connection.prepare(table.merge));
    TRY_STATUS(merge.bind(1, day_us).bind(2, slot_us).bind(3, end_us).run());
    crashpoint("ledger.mid_compaction");
    TRY(Statement drop, connection.prepare(table.drop));
    TRY_STATUS(drop.bind(1, slot_us).bind(2, end_us).run());
    cursor.slot_us = end_us;
    return {};
  }
  return {};
}

}  // namespace

Status Store::write(const Compact& wish, std::int64_t /*at_us*/) {
  // Whole days only.
  const std::int64_t before_us = wish.zone.day_begin({wish.before_us}).us;
  const int table = wish.cursor->table;
  if (table >= CompactCursor::kEnd) return {};
  if (table == 0) return delete_requests(connection_, wish, before_us);
  if (table == 1) return delete_refusals(connection_, wish, before_us);
  return merge_quarters(connection_, wish, before_us);
}

}  // namespace dormouse::ledger
