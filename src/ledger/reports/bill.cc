// A month's bill: instances' time and fees are the total; what requests computed and what waking took are parts of it,
// and the rest was waiting. Written so that the parts are the total by construction.
#include <map>
#include <utility>

#include "ledger/reports/select.h"
#include "ledger/reports/span_costs.h"

namespace dormouse::ledger {
namespace {

// Lines and unpriced time as they grow.
struct Draft {
  const BillQuery& query;
  Month month;
  std::map<std::int64_t, std::string> names;
  std::map<std::pair<std::string, std::string>, BillLine> lines;  // deployment, currency
  std::map<std::string, UnpricedTime> unpriced;
  std::map<std::string, BillLine*> line_of_instance;

  [[nodiscard]] bool wants(const std::string& deployment) const {
    return !query.deployment.has_value() || *query.deployment == deployment;
  }
  BillLine& line(const std::string& deployment, const std::string& currency) {
    BillLine& out = lines[{deployment, currency}];
    out.deployment = deployment;
    out.currency = currency;
    return out;
  }
  UnpricedTime& without_price(const std::string& deployment) {
    UnpricedTime& out = unpriced[deployment];
    out.deployment = deployment;
    return out;
  }
};

BillPrice& price_in(BillLine& line, const Price& price) {
  for (BillPrice& known : line.prices) {
    if (known.price.version == price.version) return known;
  }
  BillPrice& out = line.prices.emplace_back();
  out.price = price;
  return out;
}

void add_span(Draft& draft, const SpanCost& span) {
  const std::string& name = draft.names[span.deployment_id];
  if (!draft.wants(name)) return;
  const auto [month, begin_us, end_us] = draft.month;
  const auto within = [&](std::int64_t length_us) {
    return span.before(end_us, length_us) - span.before(begin_us, length_us);
  };
  const auto worth = [&](std::int64_t length_us) {
    return span.worth_until(end_us, length_us) - span.worth_until(begin_us, length_us);
  };
  if (!span.price.has_value()) {
    const std::int64_t awake_us = within(span.awake_us);
    if (awake_us > 0) draft.without_price(name).awake_us += awake_us;
    return;
  }
  BillLine& line = draft.line(name, span.price->currency);
  draft.line_of_instance[span.instance_id] = &line;
  BillPrice& price = price_in(line, *span.price);
  price.awake_us += within(span.awake_us);
  line.idle_us += within(span.awake_us) - within(span.waking_us);  // busy time is subtracted below
  line.waking_us += within(span.waking_us);
  line.waking_micros += worth(span.waking_us);
  if (!span.is_hourly()) return;
  const std::int64_t micros = worth(span.paid_us());
  price.total_micros += micros;
  line.total_micros += micros;
}

Status add_fees(Connection& connection, Draft& draft) {
  TRY(const std::vector<MonthFee> fees, select_fees(connection, draft.month.name));
  for (const MonthFee& fee : fees) {
    const std::string& name = draft.names[fee.deployment_id];
    if (!draft.wants(name)) continue;
    BillLine& line = draft.line(name, fee.price.currency);
    price_in(line, fee.price).total_micros += fee.micros;
    line.total_micros += fee.micros;
    line.fee_micros += fee.micros;
  }
  return {};
}

Status add_busy_time(Connection& connection, Draft& draft) {
  TRY(const auto busy, select_busy(connection, draft.month.begin_us, draft.month.end_us));
  for (const auto& [instance_id, busy_us] : busy) {
    const auto found = draft.line_of_instance.find(instance_id);
    if (found == draft.line_of_instance.end()) continue;
    found->second->busy_us += busy_us;
    found->second->idle_us -= busy_us;
  }
  return {};
}

// By deployment, key and currency: what requests that settled in the month cost, and who was billed for it.
Status add_requests(Connection& connection, Draft& draft) {
  TRY(Statement select,
      connection.prepare("SELECT deployment_id, key_id, currency, requests, input_tokens, output_tokens, cost_micros,"
                         " micros, unpriced FROM usage_quarters WHERE slot_us >= ?1 AND slot_us < ?2"));
  select.bind(1, draft.month.begin_us).bind(2, draft.month.end_us);
  std::map<std::pair<BillLine*, std::string>, BillKey> keys;
  while (true) {
    TRY(const bool more, select.step());
    if (!more) break;
    const std::string& name = draft.names[select.integer(0)];
    if (!draft.wants(name)) continue;
    const std::string currency = select.text(2);
    if (currency.empty()) {
      if (select.integer(3) > 0) draft.without_price(name).requests += select.integer(3);
      continue;
    }
    BillLine& line = draft.line(name, currency);
    BillKey& key = keys[{&line, select.text(1)}];
    line.requests += select.integer(3);
    line.input_tokens += select.integer(4);
    line.output_tokens += select.integer(5);
    line.busy_micros += select.integer(6);
    line.not_billed_micros += select.integer(6) - select.integer(7);
    key.requests += select.integer(3);
    key.cost_micros += select.integer(6);
    key.micros += select.integer(7);
  }
  for (auto& [at, key] : keys) {
    key.key_id = at.second;
    at.first->keys.push_back(std::move(key));
  }
  return {};
}

}  // namespace

Result<Bill> select_bill(Connection& connection, const BillQuery& query) {
  TRY(Month month, month_of(query));
  TRY(auto names, select_names(connection));
  Draft draft{query, std::move(month), std::move(names), {}, {}, {}};
  TRY(const std::vector<SpanCost> spans, select_span_costs(connection, draft.month.begin_us, draft.month.end_us));
  for (const SpanCost& span : spans) add_span(draft, span);
  TRY_STATUS(add_fees(connection, draft));
  TRY_STATUS(add_busy_time(connection, draft));
  TRY_STATUS(add_requests(connection, draft));
  Bill out;
  out.month = draft.month.name;
  out.time_zone = query.zone.name();
  out.begin_us = draft.month.begin_us;
  out.end_us = draft.month.end_us;
  for (auto& [key, line] : draft.lines) {
    line.idle_micros = line.total_micros - line.busy_micros - line.waking_micros;
    out.lines.push_back(std::move(line));
  }
  for (auto& [name, time] : draft.unpriced) out.unpriced.push_back(std::move(time));
  return out;
}

}  // namespace dormouse::ledger
