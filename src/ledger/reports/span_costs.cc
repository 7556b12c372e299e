#include "ledger/reports/span_costs.h"

#include <fmt/format.h>

#include <utility>

#include "ledger/report_records.h"

namespace dormouse::ledger {
namespace {

// Columns `from` and the eight behind it: those of price_versions.
Price price_of(const Statement& select, int from) {
  Price out;
  out.version = select.integer(from);
  out.instance_type = select.text(from + 1);
  out.billing = select.text(from + 2);
  out.currency = select.text(from + 3);
  out.period_micros = select.integer(from + 4);
  out.period_us = select.integer(from + 5);
  out.increment_us = select.integer(from + 6);
  out.source = select.text(from + 7);
  return out;
}

}  // namespace

Result<std::vector<SpanCost>> select_span_costs(Connection& connection, std::int64_t begin_us, std::int64_t end_us) {
  TRY(Statement select,
      connection.prepare("SELECT s.instance_id, s.deployment_id, s.requested_us, coalesce(s.down_after_us, s.alive_us),"
                         " coalesce(s.ready_after_us, s.down_after_us, s.alive_us), p.version, p.instance_type,"
                         " p.billing, p.currency, p.period_micros, p.period_us, p.increment_us, p.source"
                         " FROM instance_spans AS s JOIN start_intents AS i ON i.instance_id = s.instance_id"
                         " LEFT JOIN price_versions AS p ON p.version = i.price_version"
                         " WHERE s.requested_us < ?1 ORDER BY s.requested_us"));
  select.bind(1, end_us);
  std::vector<SpanCost> out;
  while (true) {
    TRY(const bool more, select.step());
    if (!more) return out;
    SpanCost span;
    span.begin_us = select.integer(2);
    span.awake_us = select.integer(3);
    if (!select.is_null(5)) span.price = price_of(select, 5);
    if (span.begin_us + span.paid_us() <= begin_us) continue;
    span.instance_id = select.text(0);
    span.deployment_id = select.integer(1);
    span.waking_us = std::min(select.integer(4), span.awake_us);
    out.push_back(std::move(span));
  }
}

Result<Month> month_of(const BillQuery& query) {
  if (query.month < 1 || query.month > 12 || query.year < 1970 || query.year > 2199) {
    return make_error(Code::kInvalidArgument, fmt::format("{}-{:02} is no month", query.year, query.month));
  }
  Month out;
  out.name = fmt::format("{:04}-{:02}", query.year, query.month);
  out.begin_us = query.zone.first({.year = query.year, .month = query.month}).us;
  out.end_us = query.zone.first({.year = query.year, .month = query.month + 1}).us;
  return out;
}

Result<std::vector<MonthFee>> select_fees(Connection& connection, const std::string& month) {
  TRY(Statement select,
      connection.prepare("SELECT f.deployment_id, f.micros, p.version, p.instance_type, p.billing, p.currency,"
                         " p.period_micros, p.period_us, p.increment_us, p.source FROM fees AS f"
                         " JOIN price_versions AS p ON p.version = f.price_version WHERE f.month = ?1"));
  select.bind(1, month);
  std::vector<MonthFee> out;
  while (true) {
    TRY(const bool more, select.step());
    if (!more) return out;
    MonthFee& fee = out.emplace_back();
    fee.deployment_id = select.integer(0);
    fee.micros = select.integer(1);
    fee.price = price_of(select, 2);
  }
}

Result<std::vector<std::pair<std::string, std::int64_t>>> select_busy(Connection& connection, std::int64_t begin_us,
                                                                      std::int64_t end_us) {
  TRY(Statement select, connection.prepare("SELECT instance_id, sum(busy_us) FROM instance_quarters"
                                           " WHERE slot_us >= ?1 AND slot_us < ?2 GROUP BY instance_id"));
  select.bind(1, begin_us).bind(2, end_us);
  std::vector<std::pair<std::string, std::int64_t>> out;
  while (true) {
    TRY(const bool more, select.step());
    if (!more) return out;
    out.emplace_back(select.text(0), select.integer(1));
  }
}

}  // namespace dormouse::ledger
