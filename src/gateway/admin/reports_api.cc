// The part of Gateway that answers with reports. A wrong parameter is a 400 that names it; the ledger's reader does the
// work on its own thread.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "gateway/admin/period.h"
#include "gateway/admin/query_string.h"
#include "gateway/admin/report_wire.h"
#include "gateway/error_response.h"
#include "gateway/gateway.h"
#include "gateway/one_shot.h"

namespace dormouse::gateway {
namespace {

constexpr std::int64_t kMaxRows = 10'000;

enum class Format { kJson, kCsv, kFocusCsv };

// What every report is asked with.
struct ReportRequest {
  QueryString query;
  TimeZone zone;
  Format format = Format::kJson;
  std::int64_t begin_us = 0;
  std::int64_t end_us = 0;
};

Error named(const char* parameter, const Error& error) {
  return make_error(error.code, fmt::format("{}: {}", parameter, error.message));
}

Result<Format> format_of(const QueryString& query) {
  const std::string text = query.text("format").value_or("json");
  if (text == "json") return Format::kJson;
  if (text == "csv") return Format::kCsv;
  if (text == "focus-csv") return Format::kFocusCsv;
  return make_error(Code::kInvalidArgument, "format: json, csv or, of a bill, focus-csv");
}

Result<ReportRequest> read_request(const Call& call, const TimeZone& default_zone, WallTime now) {
  TRY(QueryString query, QueryString::parse(call.request().query));
  // Without `until`: what settled this moment counts.
  ReportRequest out{std::move(query), default_zone, Format::kJson, 0, now.us + 1};
  TRY(out.format, format_of(out.query));
  TRY(out.zone, zone_of(out.query, default_zone));
  if (const auto since = out.query.text("since"); since.has_value() && !since->empty()) {
    const Result<WallTime> at = parse_moment(*since, now, out.zone);
    if (!at.has_value()) return named("since", at.error());
    out.begin_us = at->us;
  }
  if (const auto until = out.query.text("until"); until.has_value() && !until->empty()) {
    const Result<WallTime> at = parse_moment(*until, now, out.zone);
    if (!at.has_value()) return named("until", at.error());
    out.end_us = at->us;
  }
  if (out.end_us < out.begin_us) return make_error(Code::kInvalidArgument, "until: it lies before since");
  return out;
}

std::optional<ledger::UsageBy> by_of(const std::string& text) {
  if (text == "day") return ledger::UsageBy::kDay;
  if (text == "hour") return ledger::UsageBy::kHour;
  if (text == "weekday-hour") return ledger::UsageBy::kWeekdayHour;
  if (text == "key") return ledger::UsageBy::kKey;
  if (text == "deployment") return ledger::UsageBy::kDeployment;
  return std::nullopt;
}

ReportHeader header_of(const ReportRequest& request, std::string by) {
  return {std::move(by), request.zone.name(), request.begin_us, request.end_us};
}

Task<void> reply_csv(Call& call, const std::string& body, const std::string& name) {
  http::Response response;
  response.headers.set("content-type", "text/csv; charset=utf-8");
  response.headers.set("content-disposition", fmt::format("attachment; filename=\"dormouse-{}.csv\"", name));
  response.body = body;
  co_await reply(call, std::move(response));
}

ledger::ErrorQuery error_query(const ReportRequest& request) {
  return {request.begin_us, request.end_us, request.query.text("deployment"), request.query.text("key")};
}

Result<ledger::RequestQuery> request_query(const ReportRequest& request) {
  ledger::RequestQuery out;
  TRY(out.limit, request.query.number("limit", 100, {1, kMaxRows}));
  out.after = request.query.text("after").value_or("");
  if (out.after.size() > 64) return make_error(Code::kInvalidArgument, "after: `next` of the page before");
  out.begin_us = request.begin_us;
  out.end_us = request.end_us;
  out.deployment = request.query.text("deployment");
  out.key_id = request.query.text("key");
  out.outcome = request.query.text("outcome");
  constexpr std::array<std::string_view, 5> kOutcomes = {"ok", "client_gone", "failed", "interrupted", "open"};
  if (out.outcome.has_value() && std::find(kOutcomes.begin(), kOutcomes.end(), *out.outcome) == kOutcomes.end()) {
    return make_error(Code::kInvalidArgument, "outcome: ok, client_gone, failed, interrupted or open");
  }
  return out;
}

}  // namespace

Task<void> Gateway::admin_usage(Call& call) {
  const Result<ReportRequest> read = read_request(call, options_.time_zone, services_.clock.wall());
  if (!read.has_value()) {
    co_await reply_failure(call, read.error());
    co_return;
  }
  const ReportRequest& request = *read;
  const std::string by = request.query.text("by").value_or("day");
  const std::optional<ledger::UsageBy> grouping = by_of(by);
  const Result<std::int64_t> limit = request.query.number("limit", 1'000, {1, kMaxRows});
  if (by == "error" && limit.has_value()) {
    co_await report_errors(call);
    co_return;
  }
  if (!grouping.has_value() || !limit.has_value()) {
    const Error error = make_error(Code::kInvalidArgument, "by: day, hour, weekday-hour, key, deployment or error");
    co_await reply_failure(call, limit.has_value() ? error : limit.error());
    co_return;
  }
  ledger::UsageQuery wish;
  wish.by = *grouping;
  wish.begin_us = request.begin_us;
  wish.end_us = request.end_us;
  wish.zone = request.zone;
  wish.deployment = request.query.text("deployment");
  wish.key_id = request.query.text("key");
  wish.max_rows = *limit;
  const OneShot<Result<ledger::UsageReport>> answer(services_.io);
  services_.ledger.usage(std::move(wish), [answer](Result<ledger::UsageReport> got) { answer.set(std::move(got)); });
  Result<ledger::UsageReport> report = co_await answer.get();
  if (!report.has_value()) {
    co_await reply_failure(call, report.error());
    co_return;
  }
  const UsageView view{header_of(request, by), *std::move(report)};
  const bool csv = request.format != Format::kJson;
  const std::string body = csv ? usage_csv(view, request.zone) : usage_json(view, request.zone);
  if (csv) {
    const std::string name = "usage";
    co_await reply_csv(call, body, name);
    co_return;
  }
  co_await reply_json(call, 200, body);
}

// `usage?by=error`, `errors` and `refusals`: the last two are the parts of the first.
Task<void> Gateway::report_errors(Call& call) {
  const Result<ReportRequest> read = read_request(call, options_.time_zone, services_.clock.wall());
  if (!read.has_value()) {
    co_await reply_failure(call, read.error());
    co_return;
  }
  using Rows = Result<std::vector<ledger::ErrorRow>>;
  const OneShot<Rows> first(services_.io);
  const OneShot<Rows> second(services_.io);
  services_.ledger.errors(error_query(*read), [first](Rows got) { first.set(std::move(got)); });
  services_.ledger.refusals(error_query(*read), [second](Rows got) { second.set(std::move(got)); });
  Rows errors = co_await first.get();
  Rows refusals = co_await second.get();
  if (!errors.has_value() || !refusals.has_value()) {
    const Error failure = errors.has_value() ? refusals.error() : errors.error();
    co_await reply_failure(call, failure);
    co_return;
  }
  const std::string path = call.request().path;
  ErrorsView view{header_of(*read, "error"), *std::move(errors), *std::move(refusals)};
  if (path.ends_with("/errors")) view.refusals.clear();
  if (path.ends_with("/refusals")) view.errors.clear();
  if (read->format != Format::kJson) {
    const std::string body = errors_csv(view, read->zone);
    const std::string name = "errors";
    co_await reply_csv(call, body, name);
    co_return;
  }
  const std::string body = errors_json(view, read->zone);
  co_await reply_json(call, 200, body);
}

Task<void> Gateway::admin_bill(Call& call) {
  const WallTime now = services_.clock.wall();
  const Result<ReportRequest> read = read_request(call, options_.time_zone, now);
  if (!read.has_value()) {
    co_await reply_failure(call, read.error());
    co_return;
  }
  const Result<YearMonth> month = parse_month(read->query.text("month").value_or(""), now, read->zone);
  if (!month.has_value()) {
    const Error error = named("month", month.error());
    co_await reply_failure(call, error);
    co_return;
  }
  const ledger::BillQuery wish{month->year, month->month, read->zone, read->query.text("deployment")};
  const OneShot<Result<ledger::Bill>> answer(services_.io);
  services_.ledger.bill(wish, [answer](Result<ledger::Bill> got) { answer.set(std::move(got)); });
  Result<ledger::Bill> bill = co_await answer.get();
  if (!bill.has_value()) {
    co_await reply_failure(call, bill.error());
    co_return;
  }
  const std::string name = "bill-" + bill->month;
  if (read->format == Format::kFocusCsv) {
    using Charges = Result<std::vector<ledger::FocusCharge>>;
    const OneShot<Charges> second(services_.io);
    services_.ledger.focus(wish, [second](Charges got) { second.set(std::move(got)); });
    const Charges charges = co_await second.get();
    if (!charges.has_value()) {
      co_await reply_failure(call, charges.error());
      co_return;
    }
    const std::string body = focus_csv(*charges, *bill);
    co_await reply_csv(call, body, name);
    co_return;
  }
  const bool so_far = now.us < bill->end_us;
  const BillView view{*std::move(bill), so_far};
  const std::string body = read->format == Format::kCsv ? bill_csv(view) : bill_json(view, read->zone);
  if (read->format == Format::kCsv) {
    co_await reply_csv(call, body, name);
    co_return;
  }
  co_await reply_json(call, 200, body);
}

Task<void> Gateway::admin_requests(Call& call) {
  const Result<ReportRequest> read = read_request(call, options_.time_zone, services_.clock.wall());
  if (!read.has_value()) {
    co_await reply_failure(call, read.error());
    co_return;
  }
  const Result<ledger::RequestQuery> wish = request_query(*read);
  if (!wish.has_value()) {
    co_await reply_failure(call, wish.error());
    co_return;
  }
  const OneShot<Result<ledger::RequestPage>> answer(services_.io);
  services_.ledger.request_page(*wish, [answer](Result<ledger::RequestPage> got) { answer.set(std::move(got)); });
  const Result<ledger::RequestPage> page = co_await answer.get();
  if (!page.has_value()) {
    co_await reply_failure(call, page.error());
    co_return;
  }
  const std::string body = requests_json(*page);
  co_await reply_json(call, 200, body);
}

}  // namespace dormouse::gateway
