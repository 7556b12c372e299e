// The life of each instance, and what its time went into, by the quarter of an hour it was spent in.
#include <algorithm>
#include <array>
#include <string>

#include "base/crashpoint.h"
#include "base/money.h"
#include "ledger/quarter.h"
#include "ledger/store.h"

namespace dormouse::ledger {
namespace {

struct Delta {
  std::int64_t awake_us = 0;
  std::int64_t waking_us = 0;
  std::int64_t busy_us = 0;
};

Status add(Connection& connection, std::int64_t slot_us, const std::string& instance_id, const Delta& d) {
  TRY(Statement upsert,
      connection.prepare("INSERT INTO instance_quarters VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET"
                         " awake_us = awake_us + ?3, waking_us = waking_us + ?4, busy_us = busy_us + ?5"));
  upsert.bind(1, slot_us).bind(2, instance_id).bind(3, d.awake_us).bind(4, d.waking_us).bind(5, d.busy_us);
  return upsert.run();
}

// The time up to `at_us` over the quarters it lies in; waking and busy in proportion. Parts are differences of rounded
// sums: together they are the whole, to the microsecond.
Status spread(Connection& connection, const std::string& instance_id, const Delta& whole, std::int64_t at_us) {
  if (whole.awake_us == 0) return add(connection, slot_of(at_us), instance_id, whole);
  const auto until = [&whole](std::int64_t part, std::int64_t awake_us) {
    return proportion(part, awake_us, whole.awake_us);
  };
  const std::int64_t begin_us = std::max<std::int64_t>(0, at_us - whole.awake_us);
  std::int64_t done_us = 0;
  for (std::int64_t slot = slot_of(begin_us); done_us < whole.awake_us; slot += kQuarterUs) {
    // The last quarter takes what is left: an instance older than 1970 is nobody's.
    const bool last = slot + kQuarterUs >= at_us;
    const std::int64_t end_us = last ? whole.awake_us : slot + kQuarterUs - begin_us;
    const Delta part{end_us - done_us, until(whole.waking_us, end_us) - until(whole.waking_us, done_us),
                     until(whole.busy_us, end_us) - until(whole.busy_us, done_us)};
    TRY_STATUS(add(connection, slot, instance_id, part));
    done_us = end_us;
  }
  return {};
}

}  // namespace

Status Store::begin_span(const SpanEvent& event, std::int64_t at_us) {
  TRY(Statement insert,
      connection_.prepare("INSERT INTO instance_spans (instance_id, deployment_id, requested_us)"
                          " SELECT instance_id, deployment_id, ?2 FROM start_intents WHERE instance_id = ?1"
                          " ON CONFLICT (instance_id) DO NOTHING"));
  TRY_STATUS(insert.bind(1, event.instance_id).bind(2, at_us).run());
  if (connection_.changes() > 0) return {};
  TRY(Statement select, connection_.prepare("SELECT 1 FROM instance_spans WHERE instance_id = ?1"));
  TRY(const bool exists, select.bind(1, event.instance_id).step());
  if (!exists) return make_error(Code::kNotFound, "ledger: no intent for instance " + event.instance_id);
  return {};
}

// Before the phase itself is written: what went by until kReady was waking.
Status Store::advance_span(const SpanProgress& p, std::int64_t at_us) {
  Delta delta;
  {
    TRY(Statement select,
        connection_.prepare("SELECT alive_us, busy_us, ready_after_us IS NULL, down_us IS NULL FROM instance_spans"
                            " WHERE instance_id = ?1"));
    TRY(const bool row, select.bind(1, p.instance_id).step());
    if (!row) return {};  // whoever writes the phase says so
    const bool is_up = select.integer(3) != 0;
    delta.awake_us = is_up ? std::max<std::int64_t>(0, p.alive_us - select.integer(0)) : 0;
    delta.busy_us = std::max<std::int64_t>(0, p.busy_us - select.integer(1));
    if (select.integer(2) != 0) delta.waking_us = delta.awake_us;
  }
  if (delta.awake_us == 0 && delta.busy_us == 0) return {};
  TRY_STATUS(spread(connection_, p.instance_id, delta, at_us));
  TRY(Statement update, connection_.prepare("UPDATE instance_spans SET alive_us = alive_us + ?2,"
                                            " busy_us = busy_us + ?3 WHERE instance_id = ?1"));
  return update.bind(1, p.instance_id).bind(2, delta.awake_us).bind(3, delta.busy_us).run();
}

Status Store::write(const SpanEvent& event, std::int64_t at_us) {
  // coalesce: what a phase's time is was decided the first time it was written.
  constexpr std::array<const char*, 6> kSql = {
      nullptr,
      "UPDATE instance_spans SET up_us = coalesce(up_us, ?2), up_after_us = coalesce(up_after_us, ?3)"
      " WHERE instance_id = ?1 AND ?4 = ?4",
      "UPDATE instance_spans SET ready_us = coalesce(ready_us, ?2), ready_after_us = coalesce(ready_after_us, ?3)"
      " WHERE instance_id = ?1 AND ?4 = ?4",
      "UPDATE instance_spans SET drain_us = coalesce(drain_us, ?2), drain_after_us = coalesce(drain_after_us, ?3),"
      " reason = iif(reason = '', ?4, reason) WHERE instance_id = ?1",
      // The exit of a crashed one may know more than the end of its channel did.
      "UPDATE instance_spans SET down_us = coalesce(down_us, ?2), down_after_us = coalesce(down_after_us, ?3),"
      " reason = iif(reason = '' OR ?4 = 'out_of_memory', ?4, reason) WHERE instance_id = ?1",
      "UPDATE instance_spans SET confirmed_us = coalesce(confirmed_us, ?2),"
      " confirmed_after_us = coalesce(confirmed_after_us, ?3) WHERE instance_id = ?1 AND ?4 = ?4",
  };
  if (event.phase == SpanPhase::kRequested) return begin_span(event, at_us);
  if (event.phase != SpanPhase::kConfirmed) {
    TRY_STATUS(advance_span({event.instance_id, event.since_request_us, 0}, at_us));
  }
  crashpoint("ledger.mid_span");
  TRY(Statement update, connection_.prepare(kSql.at(static_cast<std::size_t>(event.phase))));
  update.bind(1, event.instance_id).bind(2, at_us).bind(3, event.since_request_us).bind(4, event.reason);
  TRY_STATUS(update.run());
  if (connection_.changes() == 0) return make_error(Code::kNotFound, "ledger: no span " + event.instance_id);
  return {};
}

Status Store::write(const std::vector<SpanProgress>& progress, std::int64_t at_us) {
  for (const SpanProgress& p : progress) TRY_STATUS(advance_span(p, at_us));
  return {};
}

}  // namespace dormouse::ledger
