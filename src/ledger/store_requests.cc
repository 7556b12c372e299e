// A request's entries and the sums kept beside them, all in one transaction: whoever reads a sum reads what the rows
// say.
#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "base/crashpoint.h"
#include "base/money.h"
#include "ledger/latency.h"
#include "ledger/quarter.h"
#include "ledger/store.h"

namespace dormouse::ledger {
namespace {

constexpr std::size_t kMaxClientRequestIdBytes = 128;

// What an entry adds to its quarter.
struct Sums {
  std::int64_t deployment_id = 0;
  std::string key_id;
  std::string currency;
  std::array<std::int64_t, 19> values{};
};

// In the order of usage_quarters' columns behind the key.
enum SumColumn : std::size_t {
  kRequests,
  kFailed,
  kClientGone,
  kCold,
  kUnpriced,
  kInput,
  kCached,
  kOutput,
  kReasoning,
  kProduced,
  kQueue,
  kWakeWait,
  kTtft,
  kFirstTokens,
  kDuration,
  kBusy,
  kCost,
  kMicros,
  kRefunds,
};

Status add(Connection& connection, std::int64_t at_us, const Sums& sums) {
  TRY(Statement upsert,
      connection.prepare(
          "INSERT INTO usage_quarters VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16,"
          " ?17, ?18, ?19, ?20, ?21, ?22, ?23) ON CONFLICT DO UPDATE SET requests = requests + ?5, failed = failed + "
          "?6,"
          " client_gone = client_gone + ?7, cold = cold + ?8, unpriced = unpriced + ?9,"
          " input_tokens = input_tokens + ?10, cached_tokens = cached_tokens + ?11,"
          " output_tokens = output_tokens + ?12, reasoning_tokens = reasoning_tokens + ?13,"
          " produced_tokens = produced_tokens + ?14, queue_us = queue_us + ?15, wake_wait_us = wake_wait_us + ?16,"
          " ttft_us = ttft_us + ?17, first_tokens = first_tokens + ?18, duration_us = duration_us + ?19,"
          " busy_ns = busy_ns + ?20, cost_micros = cost_micros + ?21, micros = micros + ?22,"
          " refunds = refunds + ?23"));
  upsert.bind(1, slot_of(at_us)).bind(2, sums.deployment_id).bind(3, sums.key_id).bind(4, sums.currency);
  for (std::size_t i = 0; i < sums.values.size(); ++i) upsert.bind(static_cast<int>(i) + 5, sums.values.at(i));
  return upsert.run();
}

Sums sums_of(const Settlement& s) {
  Sums out;
  out.currency = s.currency;
  auto& v = out.values;
  v[kRequests] = 1;
  v[kFailed] = s.outcome == Outcome::kFailed || s.outcome == Outcome::kInterrupted ? 1 : 0;
  v[kClientGone] = s.outcome == Outcome::kClientGone ? 1 : 0;
  v[kCold] = s.wake_wait_us > 0 ? 1 : 0;
  v[kUnpriced] = s.cost_micros.has_value() || s.micros.has_value() ? 0 : 1;
  v[kInput] = s.input_tokens;
  v[kCached] = s.cached_tokens;
  v[kOutput] = s.output_tokens;
  v[kReasoning] = s.reasoning_tokens;
  v[kProduced] = s.produced_tokens;
  v[kQueue] = s.queue_us;
  v[kWakeWait] = s.wake_wait_us;
  v[kTtft] = s.ttft_us;
  v[kFirstTokens] = s.ttft_us > 0 ? 1 : 0;
  v[kDuration] = s.duration_us;
  v[kBusy] = s.busy_ns;
  v[kCost] = s.cost_micros.value_or(0);
  v[kMicros] = s.micros.value_or(0);
  return out;
}

Status count_latency(Connection& connection, std::int64_t at_us, std::int64_t deployment_id, std::string_view what,
                     std::int64_t us) {
  TRY(Statement upsert, connection.prepare("INSERT INTO latency_quarters VALUES (?1, ?2, ?3, ?4, 1)"
                                           " ON CONFLICT DO UPDATE SET requests = requests + 1"));
  return upsert.bind(1, slot_of(at_us)).bind(2, deployment_id).bind(3, what).bind(4, latency_bucket(us)).run();
}

std::string_view kind_of(const Settlement& s) {
  if (!s.error_kind.empty()) return s.error_kind;
  if (s.outcome == Outcome::kClientGone) return "cancelled";
  return s.error_code.empty() ? std::string_view("unknown") : std::string_view(s.error_code);
}

Status count_error(Connection& connection, std::int64_t at_us, std::int64_t deployment_id, const std::string& key_id,
                   const Settlement& s) {
  TRY(Statement upsert,
      connection.prepare("INSERT INTO error_quarters VALUES (?1, ?2, ?3, ?4, 1, ?5)"
                         " ON CONFLICT DO UPDATE SET requests = requests + 1, last_us = max(last_us, ?5)"));
  upsert.bind(1, slot_of(at_us)).bind(2, deployment_id).bind(3, key_id).bind(4, kind_of(s)).bind(5, at_us);
  return upsert.run();
}

}  // namespace

Status Store::write(const Reservation& r, std::int64_t at_us) {
  crashpoint("ledger.before_reserve");
  TRY(const std::int64_t id, deployment_id(r.deployment));
  if (r.idempotency.has_value()) {
    TRY(const bool claimed, claim(r, at_us));
    if (!claimed) return make_error(Code::kAlreadyExists, "ledger: the idempotency key stands for another request");
  }
  TRY(Statement entry,
      connection_.prepare("INSERT INTO request_entries (request_id, kind, at_us, deployment_id, key_id,"
                          " client_request_id, dialect, input_tokens, output_tokens, price_version, micros, currency)"
                          " VALUES (?1, 'reserve', ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"));
  const std::string_view client_id = std::string_view(r.client_request_id).substr(0, kMaxClientRequestIdBytes);
  entry.bind(1, r.request_id).bind(2, at_us).bind(3, id).bind_optional(4, r.key_id).bind(5, client_id);
  entry.bind(6, r.dialect).bind(7, r.input_tokens).bind(8, r.output_tokens).bind_optional(9, r.price_version);
  TRY_STATUS(entry.bind_optional(10, r.micros).bind(11, r.currency).run());
  crashpoint("ledger.mid_reserve");
  TRY(Statement open,
      connection_.prepare("INSERT INTO open_requests (request_id, deployment_id, key_id, dialect, reserved_us)"
                          " VALUES (?1, ?2, ?3, ?4, ?5)"));
  return open.bind(1, r.request_id).bind(2, id).bind_optional(3, r.key_id).bind(4, r.dialect).bind(5, at_us).run();
}

Status Store::write(const Checkpoint& c, std::int64_t /*at_us*/) {
  crashpoint("ledger.before_checkpoint");
  TRY(Statement update,
      connection_.prepare("UPDATE open_requests SET input_tokens = max(input_tokens, ?2),"
                          " cached_tokens = max(cached_tokens, ?3), output_tokens = max(output_tokens, ?4),"
                          " reasoning_tokens = max(reasoning_tokens, ?5), produced_tokens = max(produced_tokens, ?6),"
                          " micros = max(coalesce(micros, ?7), ?7), price_version = coalesce(?8, price_version),"
                          " currency = iif(?9 = '', currency, ?9) WHERE request_id = ?1 AND state = 'running'"));
  update.bind(1, c.request_id).bind(2, c.input_tokens).bind(3, c.cached_tokens).bind(4, c.output_tokens);
  update.bind(5, c.reasoning_tokens).bind(6, c.produced_tokens).bind_optional(7, c.micros);
  TRY_STATUS(update.bind_optional(8, c.price_version).bind(9, c.currency).run());
  if (connection_.changes() == 0) return make_error(Code::kNotFound, "ledger: request is not open: " + c.request_id);
  return {};
}

Result<Store::OpenRow> Store::open_row(const std::string& request_id) {
  TRY(Statement select, connection_.prepare("SELECT deployment_id, key_id, state, output_tokens FROM open_requests"
                                            " WHERE request_id = ?1"));
  TRY(const bool row, select.bind(1, request_id).step());
  if (!row) return make_error(Code::kNotFound, "ledger: request is not open: " + request_id);
  OpenRow out;
  out.deployment_id = select.integer(0);
  out.key_id = select.text(1);
  out.is_closing = select.text(2) == "closing";
  out.delivered_tokens = select.integer(3);
  return out;
}

Status Store::insert_settlement(const Settlement& s, std::int64_t at_us) {
  TRY(Statement entry,
      connection_.prepare("INSERT INTO request_entries (request_id, kind, at_us, deployment_id, instance_id, key_id,"
                          " dialect, input_tokens, cached_tokens, output_tokens, reasoning_tokens, produced_tokens,"
                          " outcome, error_code, error_kind, finish_reason, http_status, queue_us, wake_wait_us,"
                          " ttft_us, duration_us, busy_ns, price_version, cost_micros, micros, currency)"
                          " SELECT request_id, 'settle', ?2, deployment_id,"
                          " (SELECT instance_id FROM instance_spans WHERE instance_id = ?3), key_id, dialect,"
                          " ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22"
                          " FROM open_requests WHERE request_id = ?1"));
  entry.bind(1, s.request_id).bind(2, at_us).bind_optional(3, s.instance_id).bind(4, s.input_tokens);
  entry.bind(5, s.cached_tokens).bind(6, s.output_tokens).bind(7, s.reasoning_tokens).bind(8, s.produced_tokens);
  entry.bind(9, to_string(s.outcome)).bind(10, s.error_code);
  entry.bind(11, s.outcome == Outcome::kOk ? std::string_view() : kind_of(s)).bind(12, s.finish_reason);
  entry.bind(13, s.http_status).bind(14, s.queue_us).bind(15, s.wake_wait_us).bind(16, s.ttft_us);
  entry.bind(17, s.duration_us).bind(18, s.busy_ns).bind_optional(19, s.price_version);
  return entry.bind_optional(20, s.cost_micros).bind_optional(21, s.micros).bind(22, s.currency).run();
}

Status Store::write(const Settlement& s, std::int64_t at_us) {
  crashpoint("ledger.before_settle");
  Result<OpenRow> found = open_row(s.request_id);
  if (!found.has_value() && is_fatal(found.error())) return std::move(found).error();
  if (!found.has_value() || found->is_closing) {
    TRY(Statement select,
        connection_.prepare("SELECT 1 FROM request_entries WHERE request_id = ?1 AND kind = 'settle'"));
    TRY(const bool settled, select.bind(1, s.request_id).step());
    return settled ? make_error(Code::kAlreadyExists, "ledger: settled before: " + s.request_id)
                   : make_error(Code::kNotFound, "ledger: no reservation: " + s.request_id);
  }
  const OpenRow& open = *found;
  TRY_STATUS(insert_settlement(s, at_us));
  crashpoint("ledger.mid_settle");
  Sums sums = sums_of(s);
  sums.deployment_id = open.deployment_id;
  sums.key_id = open.key_id;
  TRY_STATUS(add(connection_, at_us, sums));
  TRY_STATUS(count_latency(connection_, at_us, open.deployment_id, "duration", s.duration_us));
  if (s.ttft_us > 0) TRY_STATUS(count_latency(connection_, at_us, open.deployment_id, "ttft", s.ttft_us));
  if (s.outcome != Outcome::kOk) TRY_STATUS(count_error(connection_, at_us, open.deployment_id, open.key_id, s));
  crashpoint("ledger.after_rollup");
  if (!s.closing_follows) return close_row(s.request_id);
  TRY(Statement update, connection_.prepare("UPDATE open_requests SET state = 'closing', output_tokens = ?2"
                                            " WHERE request_id = ?1"));
  return update.bind(1, s.request_id).bind(2, std::min(s.delivered_tokens, s.output_tokens)).run();
}

Status Store::close_row(const std::string& request_id) {
  TRY(Statement close, connection_.prepare("DELETE FROM open_requests WHERE request_id = ?1"));
  return close.bind(1, request_id).run();
}

Status Store::write(const Closing& c, std::int64_t at_us) {
  crashpoint("ledger.before_closing");
  TRY(const OpenRow open, open_row(c.request_id));
  if (!open.is_closing) return make_error(Code::kInvalidArgument, "ledger: not settled: " + c.request_id);
  if (!c.written) TRY_STATUS(refund(c.request_id, open, at_us));
  TRY_STATUS(close_row(c.request_id));
  crashpoint("ledger.after_closing");
  return {};
}

// One entry with what the closing bytes would have brought; the prompt too, if they were all there was.
Status Store::refund(const std::string& request_id, const OpenRow& open, std::int64_t at_us) {
  crashpoint("ledger.before_refund");
  TRY(Statement select,
      connection_.prepare("SELECT input_tokens, cached_tokens, output_tokens, reasoning_tokens, micros, currency"
                          " FROM request_entries WHERE request_id = ?1 AND kind = 'settle'"));
  TRY(const bool row, select.bind(1, request_id).step());
  if (!row) return make_error(Code::kDataLoss, "ledger: closing without a settlement: " + request_id);
  const bool all = open.delivered_tokens == 0;
  const std::int64_t output = select.integer(2);
  const std::int64_t output_back = output - open.delivered_tokens;
  const std::int64_t input_back = all ? select.integer(0) : 0;
  const std::int64_t cached_back = all ? select.integer(1) : 0;
  const std::int64_t reasoning_back = std::min(select.integer(3), output_back);
  std::optional<std::int64_t> micros_back = select.optional_integer(4);
  if (micros_back.has_value() && !all) *micros_back -= proportion(*micros_back, open.delivered_tokens, output);
  if (output_back == 0 && input_back == 0 && micros_back.value_or(0) == 0) return {};
  Sums sums;
  sums.deployment_id = open.deployment_id;
  sums.key_id = open.key_id;
  sums.currency = select.text(5);
  sums.values[kInput] = -input_back;
  sums.values[kCached] = -cached_back;
  sums.values[kOutput] = -output_back;
  sums.values[kReasoning] = -reasoning_back;
  sums.values[kMicros] = -micros_back.value_or(0);
  sums.values[kRefunds] = 1;
  TRY(Statement entry,
      connection_.prepare("INSERT INTO request_entries (request_id, kind, at_us, deployment_id, key_id, input_tokens,"
                          " cached_tokens, output_tokens, reasoning_tokens, micros, currency)"
                          " SELECT request_id, 'refund', ?2, deployment_id, key_id, ?3, ?4, ?5, ?6, ?7, ?8"
                          " FROM open_requests WHERE request_id = ?1"));
  entry.bind(1, request_id).bind(2, at_us).bind(3, input_back).bind(4, cached_back).bind(5, output_back);
  TRY_STATUS(entry.bind(6, reasoning_back).bind_optional(7, micros_back).bind(8, sums.currency).run());
  crashpoint("ledger.mid_refund");
  return add(connection_, at_us, sums);
}

// What the last process left open: running requests end at their last checkpoint, or nothing (requirement R-27); of
// settled ones whose closing bytes may not have left, those are given back.
Status Store::recover_requests() {
  std::vector<Settlement> running;
  std::vector<std::string> closing;
  {
    TRY(Statement select,
        connection_.prepare("SELECT request_id, state, input_tokens, cached_tokens, output_tokens, reasoning_tokens,"
                            " produced_tokens, micros, currency, price_version FROM open_requests"));
    while (true) {
      TRY(const bool row, select.step());
      if (!row) break;
      if (select.text(1) == "closing") {
        closing.push_back(select.text(0));
        continue;
      }
      Settlement& s = running.emplace_back();
      s.request_id = select.text(0);
      s.outcome = Outcome::kInterrupted;
      s.error_code = "gateway_lost";
      s.http_status = 0;
      s.input_tokens = select.integer(2);
      s.cached_tokens = select.integer(3);
      s.output_tokens = select.integer(4);
      s.reasoning_tokens = select.integer(5);
      s.produced_tokens = select.integer(6);
      s.micros = select.optional_integer(7);
      s.cost_micros = s.micros;
      s.currency = select.text(8);
      s.price_version = select.optional_integer(9);
    }
  }
  for (const Settlement& s : running) TRY_STATUS(write(s, last_wall_us_));
  for (const std::string& id : closing) TRY_STATUS(write(Closing{id, false}, last_wall_us_));
  recovery_.interrupted_requests = static_cast<std::int64_t>(running.size());
  recovery_.unclosed_requests = static_cast<std::int64_t>(closing.size());
  return {};
}

}  // namespace dormouse::ledger
