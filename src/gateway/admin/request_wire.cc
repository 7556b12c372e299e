// Requests one by one.
#include <boost/json.hpp>
#include <utility>

#include "gateway/admin/json_reader.h"
#include "gateway/admin/report_wire.h"

namespace dormouse::gateway {
namespace {

namespace json = boost::json;

std::string_view outcome_name(ledger::Outcome outcome) {
  switch (outcome) {
    case ledger::Outcome::kOk: return "ok";
    case ledger::Outcome::kClientGone: return "client_gone";
    case ledger::Outcome::kFailed: return "failed";
    case ledger::Outcome::kInterrupted: return "interrupted";
  }
  return "";
}

json::value money(const std::optional<std::int64_t>& micros) {
  return micros.has_value() ? json::value(*micros) : json::value(nullptr);
}

std::optional<std::int64_t> read_money(const JsonReader& r, std::string_view key) {
  if (!r.maybe_number(key).has_value()) return std::nullopt;
  return r.whole(key);
}

json::object row_json(const ledger::RequestRow& row) {
  const ledger::Settlement& s = row.settlement;
  return {{"request_id", row.request_id},
          {"deployment", row.deployment},
          {"key_id", row.key_id},
          {"dialect", row.dialect},
          {"at_us", row.at_us},
          {"settled", row.settled},
          {"outcome", row.settled ? outcome_name(s.outcome) : "open"},
          {"error_code", s.error_code},
          {"error_kind", s.error_kind},
          {"finish_reason", s.finish_reason},
          {"http_status", s.http_status},
          {"input_tokens", s.input_tokens},
          {"cached_tokens", s.cached_tokens},
          {"output_tokens", s.output_tokens},
          {"reasoning_tokens", s.reasoning_tokens},
          {"produced_tokens", s.produced_tokens},
          {"queue_us", s.queue_us},
          {"wake_wait_us", s.wake_wait_us},
          {"ttft_us", s.ttft_us},
          {"duration_us", s.duration_us},
          {"busy_ns", s.busy_ns},
          {"instance_id", s.instance_id.value_or("")},
          {"price_version", money(s.price_version)},
          {"cost_micros", money(s.cost_micros)},
          {"billed_micros", money(s.micros)},
          {"currency", s.currency},
          {"refunded", row.refunded},
          {"refunded_tokens", row.refunded_tokens},
          {"refunded_micros", money(row.refunded_micros)}};
}

ledger::RequestRow read_row(const json::object& object) {
  const JsonReader r(object);
  ledger::RequestRow row;
  row.request_id = r.text("request_id");
  row.deployment = r.text("deployment");
  row.key_id = r.text("key_id");
  row.dialect = r.text("dialect");
  row.at_us = r.whole("at_us");
  row.settled = r.truth("settled");
  ledger::Settlement& s = row.settlement;
  const std::string outcome = r.text("outcome");
  for (const ledger::Outcome o :
       {ledger::Outcome::kOk, ledger::Outcome::kClientGone, ledger::Outcome::kFailed, ledger::Outcome::kInterrupted}) {
    if (outcome == outcome_name(o)) s.outcome = o;
  }
  s.request_id = row.request_id;
  s.error_code = r.text("error_code");
  s.error_kind = r.text("error_kind");
  s.finish_reason = r.text("finish_reason");
  s.http_status = r.whole("http_status");
  s.input_tokens = r.whole("input_tokens");
  s.cached_tokens = r.whole("cached_tokens");
  s.output_tokens = r.whole("output_tokens");
  s.reasoning_tokens = r.whole("reasoning_tokens");
  s.produced_tokens = r.whole("produced_tokens");
  s.queue_us = r.whole("queue_us");
  s.wake_wait_us = r.whole("wake_wait_us");
  s.ttft_us = r.whole("ttft_us");
  s.duration_us = r.whole("duration_us");
  s.busy_ns = r.whole("busy_ns");
  if (std::string instance = r.text("instance_id"); !instance.empty()) s.instance_id = std::move(instance);
  s.price_version = read_money(r, "price_version");
  s.cost_micros = read_money(r, "cost_micros");
  s.micros = read_money(r, "billed_micros");
  s.currency = r.text("currency");
  row.refunded = r.truth("refunded");
  row.refunded_tokens = r.whole("refunded_tokens");
  row.refunded_micros = read_money(r, "refunded_micros");
  return row;
}

}  // namespace

std::string requests_json(const ledger::RequestPage& page) {
  json::array rows;
  for (const ledger::RequestRow& row : page.rows) rows.push_back(row_json(row));
  return json::serialize(json::object{{"rows", std::move(rows)},
                                      {"next", page.next.empty() ? json::value(nullptr) : json::value(page.next)}});
}

Result<ledger::RequestPage> parse_requests(std::string_view text) {
  TRY(const json::value root, parse_json_object(text));
  const JsonReader r(root.get_object());
  ledger::RequestPage out;
  for (const json::object* item : r.objects("rows")) out.rows.push_back(read_row(*item));
  out.next = r.text("next");
  return out;
}

}  // namespace dormouse::gateway
