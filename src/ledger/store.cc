#include "ledger/store.h"

#include <algorithm>
#include <array>
#include <type_traits>

#include "base/crashpoint.h"
#include "base/money.h"
#include "ledger/migrations.h"

namespace dormouse::ledger {
namespace {

constexpr std::size_t kMaxNameBytes = 256;
constexpr std::size_t kMaxRulesBytes = 1 << 20;
constexpr std::int64_t kClockJumpUs = 5'000'000;

std::string_view to_string(Source source) {
  switch (source) {
    case Source::kFile: return "file";
    case Source::kApi: return "api";
    case Source::kDemo: return "demo";
  }
  return "api";
}

Source source_of(std::string_view text) {
  if (text == "file") return Source::kFile;
  return text == "demo" ? Source::kDemo : Source::kApi;
}

Status invalid(std::string message) {
  return make_error(Code::kInvalidArgument, "ledger: " + std::move(message));
}

bool is_identifier(std::string_view id) {
  return !id.empty() && id.size() <= kMaxNameBytes;
}

Status check(const Deployment& d) {
  if (!is_identifier(d.name)) return invalid("a deployment's name has 1 to 256 bytes");
  if (d.rules.empty() || d.rules.size() > kMaxRulesBytes) {
    return invalid("deployment " + d.name + ": its rules have 1 byte to 1 MiB");
  }
  if (d.idle_timeout_ms < 0 || d.min_instances < 0 || d.max_instances < d.min_instances) {
    return invalid("deployment " + d.name + ": want idle_timeout >= 0 and 0 <= min <= max");
  }
  return {};
}

Status check(const RemoveDeployment&) {
  return {};
}

Status check(const StartIntent& i) {
  if (!is_identifier(i.instance_id)) return invalid("intent without an instance");
  if (i.epoch == 0 || i.epoch > INT64_MAX) return invalid("intent of " + i.instance_id + " without an epoch");
  return {};
}

Status check(const SpanEvent& e) {
  if (!is_identifier(e.instance_id)) return invalid("span event without an instance");
  if (e.since_request_us < 0) return invalid("span event before its request: " + e.instance_id);
  return {};
}

Status check(const std::vector<SpanProgress>& progress) {
  for (const SpanProgress& p : progress) {
    if (p.alive_us < 0 || p.busy_us < 0) return invalid("span progress below zero");
  }
  return {};
}

Status check(const Reservation& r) {
  if (!is_identifier(r.request_id)) return invalid("reservation without a request id");
  if (r.input_tokens < 0 || r.output_tokens < 0) return invalid("reservation below zero");
  return {};
}

Status check(const Checkpoint& c) {
  if (c.input_tokens < 0 || c.cached_tokens < 0 || c.output_tokens < 0) return invalid("checkpoint below zero");
  return {};
}

Status check(const Settlement& s) {
  if (!is_identifier(s.request_id)) return invalid("settlement without a request id");
  const std::array counts = {s.input_tokens,      s.cached_tokens, s.output_tokens,    s.reasoning_tokens,
                             s.produced_tokens,   s.queue_us,      s.wake_wait_us,     s.ttft_us,
                             s.duration_us,       s.busy_ns,       s.delivered_tokens, s.cost_micros.value_or(0),
                             s.micros.value_or(0)};
  if (std::any_of(counts.begin(), counts.end(), [](std::int64_t n) { return n < 0; })) {
    return invalid("settlement of " + s.request_id + " below zero");
  }
  if ((s.micros.has_value() || s.cost_micros.has_value()) && !is_currency(s.currency)) {
    return invalid("settlement of " + s.request_id + ": money without a currency");
  }
  return {};
}

Status check(const Closing& c) {
  if (!is_identifier(c.request_id)) return invalid("closing without a request id");
  return {};
}

Status check(const PutPrice& put) {
  const Price& p = put.price;
  if (put.version == nullptr) return invalid("a price's version goes nowhere");
  if (!is_currency(p.currency)) return invalid("price of " + p.instance_type + ": '" + p.currency + "' is no currency");
  if (p.billing != "hourly" && p.billing != "monthly") return invalid("price of " + p.instance_type + ": billing");
  if (p.period_micros < 0 || p.period_us <= 0 || p.increment_us <= 0) {
    return invalid("price of " + p.instance_type + ": want a price >= 0, period and increment > 0");
  }
  return {};
}

Status check(const Fee& fee) {
  if (!is_currency(fee.currency) || fee.micros < 0) return invalid("fee of " + fee.deployment + ": its money");
  if (fee.month.size() != 7) return invalid("fee of " + fee.deployment + ": '" + fee.month + "' is no month");
  return {};
}

Status check(const std::vector<RefusalCount>& refusals) {
  for (const RefusalCount& r : refusals) {
    if (r.requests < 0 || r.minute_us < 0) return invalid("refusals below zero");
    if (r.key_id.size() > kMaxNameBytes || r.deployment.size() > kMaxNameBytes || r.reason.size() > kMaxNameBytes) {
      return invalid("refusals with a name over 256 bytes");
    }
  }
  return {};
}

Status check(const AdviceRecord& a) {
  if (!is_identifier(a.deployment)) return invalid("advice without a deployment");
  if (a.period_begin_us < 0 || a.period_end_us <= a.period_begin_us) {
    return invalid("advice for " + a.deployment + ": its period is none");
  }
  if (a.body.empty() || a.body.size() > kMaxRulesBytes) {
    return invalid("advice for " + a.deployment + ": its body has 1 byte to 1 MiB");
  }
  if ((a.paid_micros.has_value() || a.best_micros.has_value()) && !is_currency(a.currency)) {
    return invalid("advice for " + a.deployment + ": money without a currency");
  }
  return {};
}

Status check(const Compact& wish) {
  if (wish.cursor == nullptr || wish.before_us < 0) return invalid("retention without a beginning");
  return {};
}

}  // namespace

std::string_view to_string(Outcome outcome) {
  switch (outcome) {
    case Outcome::kOk: return "ok";
    case Outcome::kClientGone: return "client_gone";
    case Outcome::kFailed: return "failed";
    case Outcome::kInterrupted: return "interrupted";
  }
  return "failed";
}

Outcome outcome_of(std::string_view text) {
  if (text == "ok") return Outcome::kOk;
  if (text == "client_gone") return Outcome::kClientGone;
  return text == "interrupted" ? Outcome::kInterrupted : Outcome::kFailed;
}

Status validate(const Body& body) {
  return std::visit([](const auto& value) { return check(value); }, body);
}

bool must_land(const Body& body) {
  return std::holds_alternative<Settlement>(body) || std::holds_alternative<SpanEvent>(body) ||
         std::holds_alternative<Closing>(body);
}

bool is_lazy(const Body& body) {
  const auto* const closing = std::get_if<Closing>(&body);
  return closing != nullptr && closing->written;
}

bool is_fatal(const Error& error) {
  return error.code == Code::kUnavailable || error.code == Code::kDataLoss || error.code == Code::kInternal ||
         error.code == Code::kPermissionDenied;
}

Result<Store> Store::open(const std::string& path, WallTime now, std::int64_t check_bytes) {
  TRY(Connection connection, Connection::open(path, Access::kReadWrite));
  Store store(std::move(connection));
  TRY(const std::int64_t bytes,
      store.connection_.query_integer("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"));
  store.checked_ = bytes <= check_bytes;
  if (store.checked_) TRY_STATUS(check_integrity(store.connection_));
  TRY(const std::int64_t applied, migrate(store.connection_, all_migrations(), now.us));
  store.recovery_.migrations_applied = applied;
  TRY(store.last_wall_us_, store.connection_.query_integer("SELECT last_wall_us FROM ledger_state"));
  Status status = store.recover(now);
  if (!status.has_value()) {
    store.rollback();
    return std::move(status).error();
  }
  return store;
}

Status check_integrity(Connection& connection) {
  // quick_check: every page's structure and every row's CHECKs, but not each index against its table; 2.1 s of CPU for
  // a million requests.
  TRY(Statement statement, connection.prepare("PRAGMA quick_check(1)"));
  TRY(const bool row, statement.step());
  if (!row || statement.text(0) != "ok") {
    return make_error(Code::kDataLoss, "ledger: damaged: " + (row ? statement.text(0) : std::string("no answer")));
  }
  return {};
}

// What the last process left open is over. Spans: at the last time the ledger was written, which record_progress keeps
// within 10 s of the truth; but those of machines that may have outlived it stay open: their end is not known yet.
Status Store::recover(WallTime now) {
  TRY_STATUS(begin());
  TRY_STATUS(recover_requests());
  crashpoint("ledger.mid_recovery");
  TRY(Statement close,
      connection_.prepare("UPDATE instance_spans SET down_us = max(?1, requested_us), down_after_us = alive_us,"
                          " reason = 'gateway_lost' WHERE down_us IS NULL AND (drain_us IS NOT NULL OR"
                          " (SELECT driver FROM start_intents AS i WHERE i.instance_id = instance_spans.instance_id)"
                          " = ?2)"));
  TRY_STATUS(close.bind(1, last_wall_us_).bind(2, kChildDriver).run());
  recovery_.closed_spans = connection_.changes();
  TRY(recovery_.survivors, survivors(now));
  if (recovery_.interrupted_requests + recovery_.unclosed_requests + recovery_.closed_spans > 0) {
    TRY_STATUS(audit("recovery", "requests=" + std::to_string(recovery_.interrupted_requests) +
                                     " unclosed=" + std::to_string(recovery_.unclosed_requests) +
                                     " spans=" + std::to_string(recovery_.closed_spans)));
  }
  TRY_STATUS(connection_.execute("COMMIT"));
  crashpoint("ledger.after_recovery");
  return {};
}

Result<std::vector<Survivor>> Store::survivors(WallTime now) {
  TRY(Statement select,
      connection_.prepare("SELECT i.instance_id, d.name, i.driver, i.lease_sha256, i.epoch, i.cause, s.up_us,"
                          " s.ready_us, max(s.alive_us, ?1 - s.requested_us), s.busy_us, i.price_version,"
                          " p.period_micros, p.period_us, p.currency FROM instance_spans AS s"
                          " JOIN start_intents AS i ON i.instance_id = s.instance_id"
                          " JOIN deployments AS d ON d.id = i.deployment_id"
                          " LEFT JOIN price_versions AS p ON p.version = i.price_version"
                          " WHERE s.down_us IS NULL ORDER BY i.epoch"));
  select.bind(1, now.us);
  std::vector<Survivor> out;
  while (true) {
    TRY(const bool row, select.step());
    if (!row) return out;
    Survivor& s = out.emplace_back();
    s.intent.instance_id = select.text(0);
    s.intent.deployment = select.text(1);
    s.intent.driver = select.text(2);
    s.intent.lease_sha256 = select.text(3);
    s.intent.epoch = static_cast<std::uint64_t>(select.integer(4));
    s.intent.cause = select.text(5);
    if (select.optional_integer(6).has_value()) s.phase = SpanPhase::kUp;
    if (select.optional_integer(7).has_value()) s.phase = SpanPhase::kReady;
    s.alive_us = select.integer(8);
    s.busy_us = select.integer(9);
    s.intent.price_version = select.optional_integer(10);
    if (!select.is_null(11)) s.price = TimePrice{select.integer(11), select.integer(12) * 1'000, select.text(13)};
    s.unwatched_us = std::clamp<std::int64_t>(now.us - last_wall_us_, 0, s.alive_us);
  }
}

Status Store::audit(std::string_view kind, const std::string& detail) {
  TRY(Statement insert, connection_.prepare("INSERT INTO audit_events (at_us, kind, detail) VALUES (?1, ?2, ?3)"));
  return insert.bind(1, last_wall_us_).bind(2, kind).bind(3, detail).run();
}

std::int64_t Store::clamp(WallTime at) {
  last_wall_us_ = std::max(last_wall_us_, at.us);
  return last_wall_us_;
}

Status Store::begin() {
  return connection_.execute("BEGIN IMMEDIATE");
}

Status Store::apply(const Body& body, WallTime at) {
  const std::int64_t at_us = clamp(at);
  return std::visit([this, at_us](const auto& value) { return write(value, at_us); }, body);
}

Status Store::commit(WallTime now, std::int64_t jump_us) {
  const std::int64_t at_us = clamp(now);
  if (jump_us > kClockJumpUs || jump_us < -kClockJumpUs) {
    TRY_STATUS(audit("clock_jump", "us=" + std::to_string(jump_us)));
  }
  TRY(Statement update, connection_.prepare("UPDATE ledger_state SET last_wall_us = ?1"));
  TRY_STATUS(update.bind(1, at_us).run());
  crashpoint("ledger.before_commit");
  return connection_.execute("COMMIT");
}

void Store::rollback() noexcept {
  connection_.rollback();
}

void Store::checkpoint_wal() noexcept {
  // A failure leaves the WAL for the next start: nothing is lost.
  static_cast<void>(connection_.execute("PRAGMA wal_checkpoint(TRUNCATE)"));
}

Result<std::int64_t> Store::deployment_id(const std::string& name) {
  TRY(Statement select, connection_.prepare("SELECT id FROM deployments WHERE name = ?1 AND removed_us IS NULL"));
  TRY(const bool row, select.bind(1, name).step());
  if (!row) return make_error(Code::kNotFound, "ledger: no deployment '" + name + "'");
  return select.integer(0);
}

Status Store::write(const Deployment& d, std::int64_t at_us) {
  TRY(Statement upsert,
      connection_.prepare("INSERT INTO deployments (name, image, model_path, driver, runtime, exposure,"
                          " idle_timeout_ms, min_instances, max_instances, source, created_us, changed_us, rules)"
                          " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11, ?12)"
                          " ON CONFLICT (name) WHERE removed_us IS NULL DO UPDATE SET"
                          " image = ?2, model_path = ?3, driver = ?4, runtime = ?5, exposure = ?6,"
                          " idle_timeout_ms = ?7, min_instances = ?8, max_instances = ?9, source = ?10,"
                          " changed_us = ?11, rules = ?12"));
  upsert.bind(1, d.name).bind(2, d.image).bind(3, d.model_path).bind(4, d.driver).bind(5, d.runtime);
  upsert.bind(6, d.exposure).bind(7, d.idle_timeout_ms).bind(8, d.min_instances).bind(9, d.max_instances);
  return upsert.bind(10, to_string(d.source)).bind(11, at_us).bind(12, d.rules).run();
}

Status Store::write(const RemoveDeployment& removal, std::int64_t at_us) {
  TRY(Statement update,
      connection_.prepare("UPDATE deployments SET removed_us = ?2 WHERE name = ?1 AND removed_us IS NULL"));
  TRY_STATUS(update.bind(1, removal.name).bind(2, at_us).run());
  if (connection_.changes() == 0) return make_error(Code::kNotFound, "ledger: no deployment '" + removal.name + "'");
  return {};
}

Status Store::write(const StartIntent& i, std::int64_t at_us) {
  TRY(const std::int64_t id, deployment_id(i.deployment));
  TRY(Statement insert,
      connection_.prepare("INSERT INTO start_intents (instance_id, deployment_id, driver, lease_sha256, epoch, cause,"
                          " at_us, price_version) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"));
  insert.bind(1, i.instance_id).bind(2, id).bind(3, i.driver).bind(4, i.lease_sha256);
  insert.bind(5, static_cast<std::int64_t>(i.epoch)).bind(6, i.cause).bind(7, at_us);
  return insert.bind_optional(8, i.price_version).run();
}

Result<std::vector<Deployment>> Store::deployments() {
  return select_deployments(connection_);
}

Result<std::vector<Deployment>> select_deployments(Connection& connection) {
  TRY(Statement select,
      connection.prepare("SELECT name, image, model_path, driver, runtime, exposure, idle_timeout_ms, min_instances,"
                         " max_instances, source, (SELECT coalesce(max(epoch), 0) FROM start_intents WHERE"
                         " deployment_id IN (SELECT id FROM deployments AS d WHERE d.name = deployments.name)), rules"
                         " FROM deployments WHERE removed_us IS NULL ORDER BY name"));
  std::vector<Deployment> out;
  while (true) {
    TRY(const bool row, select.step());
    if (!row) return out;
    Deployment& d = out.emplace_back();
    d.name = select.text(0);
    d.image = select.text(1);
    d.model_path = select.text(2);
    d.driver = select.text(3);
    d.runtime = select.text(4);
    d.exposure = select.text(5);
    d.idle_timeout_ms = select.integer(6);
    d.min_instances = select.integer(7);
    d.max_instances = select.integer(8);
    d.source = source_of(select.text(9));
    d.last_epoch = static_cast<std::uint64_t>(select.integer(10));
    d.rules = select.text(11);
  }
}

}  // namespace dormouse::ledger
