// The month's bill and its hourly charges.
#include <fmt/format.h>

#include <array>
#include <boost/json.hpp>
#include <map>
#include <utility>

#include "base/money.h"
#include "gateway/admin/csv.h"
#include "gateway/admin/json_reader.h"
#include "gateway/admin/report_wire.h"

namespace dormouse::gateway {
namespace {

namespace json = boost::json;
using ledger::BillLine;

struct Whole {
  const char* name;
  std::int64_t BillLine::*member;
};
constexpr std::array<Whole, 12> kWholes = {{{"total_micros", &BillLine::total_micros},
                                            {"fee_micros", &BillLine::fee_micros},
                                            {"busy_micros", &BillLine::busy_micros},
                                            {"waking_micros", &BillLine::waking_micros},
                                            {"idle_micros", &BillLine::idle_micros},
                                            {"not_billed_micros", &BillLine::not_billed_micros},
                                            {"busy_us", &BillLine::busy_us},
                                            {"waking_us", &BillLine::waking_us},
                                            {"idle_us", &BillLine::idle_us},
                                            {"requests", &BillLine::requests},
                                            {"input_tokens", &BillLine::input_tokens},
                                            {"output_tokens", &BillLine::output_tokens}}};

json::object price_json(const ledger::BillPrice& p) {
  return {{"version", p.price.version},     {"instance_type", p.price.instance_type},
          {"billing", p.price.billing},     {"period_micros", p.price.period_micros},
          {"period_us", p.price.period_us}, {"increment_us", p.price.increment_us},
          {"source", p.price.source},       {"awake_us", p.awake_us},
          {"total_micros", p.total_micros}};
}

json::object line_json(const BillLine& line) {
  json::object out{{"deployment", line.deployment}, {"currency", line.currency}};
  for (const Whole& whole : kWholes) out[whole.name] = line.*whole.member;
  json::array prices;
  for (const ledger::BillPrice& price : line.prices) prices.push_back(price_json(price));
  out["prices"] = std::move(prices);
  json::array keys;
  for (const ledger::BillKey& key : line.keys) {
    keys.push_back(json::object{{"key_id", key.key_id},
                                {"requests", key.requests},
                                {"cost_micros", key.cost_micros},
                                {"billed_micros", key.micros}});
  }
  out["keys"] = std::move(keys);
  return out;
}

BillLine read_line(const json::object& object) {
  const JsonReader r(object);
  BillLine out;
  out.deployment = r.text("deployment");
  out.currency = r.text("currency");
  for (const Whole& whole : kWholes) out.*whole.member = r.whole(whole.name);
  for (const json::object* item : r.objects("prices")) {
    const JsonReader p(*item);
    ledger::BillPrice& price = out.prices.emplace_back();
    price.price.version = p.whole("version");
    price.price.instance_type = p.text("instance_type");
    price.price.billing = p.text("billing");
    price.price.currency = out.currency;
    price.price.period_micros = p.whole("period_micros");
    price.price.period_us = p.whole("period_us");
    price.price.increment_us = p.whole("increment_us");
    price.price.source = p.text("source");
    price.awake_us = p.whole("awake_us");
    price.total_micros = p.whole("total_micros");
  }
  for (const json::object* item : r.objects("keys")) {
    const JsonReader k(*item);
    out.keys.push_back({k.text("key_id"), k.whole("requests"), k.whole("cost_micros"), k.whole("billed_micros")});
  }
  return out;
}

// Sums over deployments, one a currency.
std::map<std::string, BillLine> totals_of(const ledger::Bill& bill) {
  std::map<std::string, BillLine> out;
  for (const BillLine& line : bill.lines) {
    BillLine& sum = out[line.currency];
    for (const Whole& whole : kWholes) sum.*whole.member += line.*whole.member;
  }
  return out;
}

}  // namespace

std::string bill_json(const BillView& view, const TimeZone& zone) {
  const ledger::Bill& bill = view.bill;
  json::object out{{"month", bill.month},
                   {"time_zone", bill.time_zone},
                   {"begin", zone.iso({bill.begin_us})},
                   {"end", zone.iso({bill.end_us})},
                   {"begin_us", bill.begin_us},
                   {"end_us", bill.end_us},
                   {"so_far", view.so_far}};
  json::array lines;
  for (const BillLine& line : bill.lines) lines.push_back(line_json(line));
  out["lines"] = std::move(lines);
  json::array totals;
  for (const auto& [currency, sum] : totals_of(bill)) {
    json::object total{{"currency", currency}};
    for (const Whole& whole : kWholes) total[whole.name] = sum.*whole.member;
    totals.push_back(std::move(total));
  }
  out["totals"] = std::move(totals);
  json::array unpriced;
  for (const ledger::UnpricedTime& time : bill.unpriced) {
    unpriced.push_back(
        json::object{{"deployment", time.deployment}, {"awake_us", time.awake_us}, {"requests", time.requests}});
  }
  out["unpriced"] = std::move(unpriced);
  return json::serialize(out);
}

Result<BillView> parse_bill(std::string_view text) {
  TRY(const json::value root, parse_json_object(text));
  const JsonReader r(root.get_object());
  BillView out;
  out.bill.month = r.text("month");
  out.bill.time_zone = r.text("time_zone");
  out.bill.begin_us = r.whole("begin_us");
  out.bill.end_us = r.whole("end_us");
  out.so_far = r.truth("so_far");
  for (const json::object* item : r.objects("lines")) out.bill.lines.push_back(read_line(*item));
  for (const json::object* item : r.objects("unpriced")) {
    const JsonReader u(*item);
    out.bill.unpriced.push_back({u.text("deployment"), u.whole("awake_us"), u.whole("requests")});
  }
  return out;
}

std::string bill_csv(const BillView& view) {
  Csv csv;
  for (const char* name :
       {"month", "kind", "deployment", "currency", "instance_type", "price_version", "key", "requests", "total", "fee",
        "busy", "waking", "idle", "billed", "not_billed", "awake_s", "busy_s", "waking_s", "idle_s"}) {
    csv.text(name);
  }
  csv.end_row();
  const auto begin = [&](const char* kind, const BillLine& line) {
    csv.text(view.bill.month).text(kind).text(line.deployment).text(line.currency);
  };
  for (const BillLine& line : view.bill.lines) {
    begin("total", line);
    csv.empty().empty().empty().number(line.requests).micros(line.total_micros).micros(line.fee_micros);
    csv.micros(line.busy_micros).micros(line.waking_micros).micros(line.idle_micros);
    csv.micros(line.busy_micros - line.not_billed_micros).micros(line.not_billed_micros);
    csv.micros(line.busy_us + line.waking_us + line.idle_us);
    csv.micros(line.busy_us).micros(line.waking_us).micros(line.idle_us).end_row();
    for (const ledger::BillPrice& price : line.prices) {
      begin("price", line);
      csv.text(price.price.instance_type).number(price.price.version).empty().empty().micros(price.total_micros);
      csv.empty().empty().empty().empty().empty().empty().micros(price.awake_us).empty().empty().empty().end_row();
    }
    for (const ledger::BillKey& key : line.keys) {
      begin("key", line);
      csv.empty().empty().text(key.key_id).number(key.requests).empty().empty().micros(key.cost_micros);
      csv.empty().empty().micros(key.micros).micros(key.cost_micros - key.micros);
      csv.empty().empty().empty().empty().end_row();
    }
  }
  return csv.str();
}

}  // namespace dormouse::gateway
