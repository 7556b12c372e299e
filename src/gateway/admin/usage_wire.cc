// Usage, errors and refusals.
#include <array>
#include <boost/json.hpp>
#include <utility>

#include "gateway/admin/csv.h"
#include "gateway/admin/json_reader.h"
#include "gateway/admin/report_wire.h"

namespace dormouse::gateway {
namespace {

namespace json = boost::json;
using ledger::UsageRow;

struct Count {
  const char* name;
  std::int64_t UsageRow::*member;
};
constexpr std::array<Count, 12> kCounts = {{{"requests", &UsageRow::requests},
                                            {"failed", &UsageRow::failed},
                                            {"client_gone", &UsageRow::client_gone},
                                            {"cold_requests", &UsageRow::cold_requests},
                                            {"refused", &UsageRow::refused},
                                            {"refunds", &UsageRow::refunds},
                                            {"unpriced", &UsageRow::unpriced},
                                            {"input_tokens", &UsageRow::input_tokens},
                                            {"cached_tokens", &UsageRow::cached_tokens},
                                            {"output_tokens", &UsageRow::output_tokens},
                                            {"reasoning_tokens", &UsageRow::reasoning_tokens},
                                            {"produced_tokens", &UsageRow::produced_tokens}}};
// Sums of microseconds; "_us" in JSON, "_s" in CSV.
constexpr std::array<Count, 8> kTimes = {{{"queue", &UsageRow::queue_us},
                                          {"wake_wait", &UsageRow::wake_wait_us},
                                          {"duration_sum", &UsageRow::duration_us},
                                          {"ttft_sum", &UsageRow::ttft_us},
                                          {"request_busy", &UsageRow::request_busy_us},
                                          {"waking", &UsageRow::waking_us},
                                          {"busy", &UsageRow::busy_us},
                                          {"idle", &UsageRow::idle_us}}};

json::value moment(std::int64_t us, const TimeZone& zone) {
  return us <= 0 ? json::value(nullptr) : json::value(zone.iso({us}));
}

void write_header(json::object& out, const ReportHeader& header, const TimeZone& zone) {
  out["by"] = header.by;
  out["time_zone"] = header.time_zone;
  out["begin"] = moment(header.begin_us, zone);
  out["end"] = moment(header.end_us, zone);
  out["begin_us"] = header.begin_us;
  out["end_us"] = header.end_us;
}

ReportHeader read_header(const JsonReader& r) {
  return {.by = r.text("by"),
          .time_zone = r.text("time_zone"),
          .begin_us = r.whole("begin_us"),
          .end_us = r.whole("end_us")};
}

json::value latency_json(const std::optional<ledger::LatencySummary>& latency, std::int64_t sum_us) {
  if (!latency.has_value() || latency->requests == 0) return nullptr;
  return json::object{{"requests", latency->requests},
                      {"mean_us", sum_us / latency->requests},
                      {"p50_us", latency->p50_us},
                      {"p95_us", latency->p95_us},
                      {"p99_us", latency->p99_us}};
}

std::optional<ledger::LatencySummary> read_latency(const json::object* object) {
  if (object == nullptr) return std::nullopt;
  const JsonReader r(*object);
  return ledger::LatencySummary{r.whole("requests"), r.whole("p50_us"), r.whole("p95_us"), r.whole("p99_us")};
}

json::object row_json(const UsageRow& row, const TimeZone& zone) {
  json::object out;
  out["time"] = moment(row.bucket_us, zone);
  out["bucket_us"] = row.bucket_us;
  out["weekday"] = row.weekday;
  out["hour"] = row.hour;
  out["deployment"] = row.deployment;
  out["key_id"] = row.key_id;
  for (const Count& count : kCounts) out[count.name] = row.*count.member;
  for (const Count& time : kTimes) out[std::string(time.name) + "_us"] = row.*time.member;
  out["first_tokens"] = row.first_tokens;
  out["wakes"] = row.wakes;
  out["duration"] = latency_json(row.duration, row.duration_us);
  out["ttft"] = latency_json(row.ttft, row.ttft_us);
  json::array money;
  for (const ledger::MoneySum& sum : row.money) {
    money.push_back(
        json::object{{"currency", sum.currency}, {"cost_micros", sum.cost_micros}, {"billed_micros", sum.micros}});
  }
  out["money"] = std::move(money);
  return out;
}

UsageRow read_row(const json::object& object) {
  const JsonReader r(object);
  UsageRow out;
  out.bucket_us = r.whole("bucket_us");
  out.weekday = static_cast<int>(r.whole("weekday"));
  out.hour = static_cast<int>(r.whole("hour"));
  out.deployment = r.text("deployment");
  out.key_id = r.text("key_id");
  for (const Count& count : kCounts) out.*count.member = r.whole(count.name);
  for (const Count& time : kTimes) out.*time.member = r.whole(std::string(time.name) + "_us");
  out.first_tokens = r.whole("first_tokens");
  out.wakes = r.whole("wakes");
  out.duration = read_latency(r.object("duration"));
  out.ttft = read_latency(r.object("ttft"));
  for (const json::object* item : r.objects("money")) {
    const JsonReader m(*item);
    out.money.push_back({m.text("currency"), m.whole("cost_micros"), m.whole("billed_micros")});
  }
  return out;
}

void latency_cells(Csv& csv, const std::optional<ledger::LatencySummary>& latency, std::int64_t sum_us) {
  if (!latency.has_value() || latency->requests == 0) {
    csv.empty().empty().empty().empty();
    return;
  }
  csv.micros(sum_us / latency->requests).micros(latency->p50_us).micros(latency->p95_us).micros(latency->p99_us);
}

void label_cells(Csv& csv, const UsageRow& row, const std::string& by, const TimeZone& zone) {
  if (by == "key") {
    csv.text(row.key_id);
  } else if (by == "deployment") {
    csv.text(row.deployment);
  } else if (by == "weekday-hour") {
    csv.number(row.weekday + 1).number(row.hour);  // ISO 8601: Monday is 1
  } else {
    csv.text(zone.iso({row.bucket_us}));
  }
}

void csv_row(Csv& csv, const UsageRow& row, const std::string& by, const TimeZone& zone) {
  label_cells(csv, row, by, zone);
  for (const Count& count : kCounts) csv.number(row.*count.member);
  for (const Count& time : kTimes) csv.micros(row.*time.member);
  csv.number(row.wakes);
  latency_cells(csv, row.duration, row.duration_us);
  latency_cells(csv, row.ttft, row.ttft_us);
  for (std::size_t i = 0; i < row.money.size(); ++i) {
    if (i > 0) {
      csv.end_row();
      label_cells(csv, row, by, zone);
      for (std::size_t j = 0; j < kCounts.size() + kTimes.size() + 9; ++j) csv.empty();
    }
    csv.text(row.money[i].currency).micros(row.money[i].cost_micros).micros(row.money[i].micros);
  }
  if (row.money.empty()) csv.empty().empty().empty();
  csv.end_row();
}

json::array error_rows(const std::vector<ledger::ErrorRow>& rows, const TimeZone& zone) {
  json::array out;
  for (const ledger::ErrorRow& row : rows) {
    out.push_back(json::object{{"kind", row.kind},
                               {"deployment", row.deployment},
                               {"requests", row.requests},
                               {"last", moment(row.last_us, zone)},
                               {"last_us", row.last_us}});
  }
  return out;
}

std::vector<ledger::ErrorRow> read_errors(const JsonReader& r, std::string_view key) {
  std::vector<ledger::ErrorRow> out;
  for (const json::object* item : r.objects(key)) {
    const JsonReader e(*item);
    out.push_back({e.text("kind"), e.text("deployment"), e.whole("requests"), e.whole("last_us")});
  }
  return out;
}

}  // namespace

std::string usage_json(const UsageView& view, const TimeZone& zone) {
  json::object out;
  write_header(out, view.header, zone);
  json::array rows;
  for (const UsageRow& row : view.report.rows) rows.push_back(row_json(row, zone));
  out["rows"] = std::move(rows);
  out["total"] = row_json(view.report.total, zone);
  return json::serialize(out);
}

std::string usage_csv(const UsageView& view, const TimeZone& zone) {
  Csv csv;
  const std::string& by = view.header.by;
  if (by == "weekday-hour") {
    csv.text("weekday").text("hour");
  } else {
    csv.text(by == "day" || by == "hour" ? "time" : by);
  }
  for (const Count& count : kCounts) csv.text(count.name);
  for (const Count& time : kTimes) csv.text(std::string(time.name) + "_s");
  csv.text("wakes");
  for (const char* what : {"duration", "ttft"}) {
    for (const char* figure : {"mean", "p50", "p95", "p99"}) csv.text(std::string(what) + "_" + figure + "_s");
  }
  csv.text("currency").text("cost").text("billed").end_row();
  for (const UsageRow& row : view.report.rows) csv_row(csv, row, by, zone);
  return csv.str();
}

Result<UsageView> parse_usage(std::string_view text) {
  TRY(const json::value root, parse_json_object(text));
  const JsonReader r(root.get_object());
  UsageView out;
  out.header = read_header(r);
  for (const json::object* item : r.objects("rows")) out.report.rows.push_back(read_row(*item));
  if (const json::object* const total = r.object("total")) out.report.total = read_row(*total);
  return out;
}

std::string errors_json(const ErrorsView& view, const TimeZone& zone) {
  json::object out;
  write_header(out, view.header, zone);
  out["errors"] = error_rows(view.errors, zone);
  out["refusals"] = error_rows(view.refusals, zone);
  return json::serialize(out);
}

std::string errors_csv(const ErrorsView& view, const TimeZone& zone) {
  Csv csv;
  csv.text("what").text("kind").text("deployment").text("requests").text("last").end_row();
  const std::array<std::pair<const char*, const std::vector<ledger::ErrorRow>*>, 2> parts = {
      {{"error", &view.errors}, {"refusal", &view.refusals}}};
  for (const auto& [what, rows] : parts) {
    for (const ledger::ErrorRow& row : *rows) {
      csv.text(what).text(row.kind).text(row.deployment).number(row.requests).text(zone.iso({row.last_us})).end_row();
    }
  }
  return csv.str();
}

Result<ErrorsView> parse_errors(std::string_view text) {
  TRY(const json::value root, parse_json_object(text));
  const JsonReader r(root.get_object());
  ErrorsView out;
  out.header = read_header(r);
  out.errors = read_errors(r, "errors");
  out.refusals = read_errors(r, "refusals");
  return out;
}

}  // namespace dormouse::gateway
