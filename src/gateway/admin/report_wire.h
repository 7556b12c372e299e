// Reports as the admin API says them: JSON that the CLI and the console read, CSV for spreadsheets. Server and CLI
// share one definition. Times are ISO 8601 in the report's zone and microseconds; money is micro-units in JSON and
// decimals in CSV. No I/O.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time_zone.h"
#include "ledger/report_records.h"

namespace dormouse::gateway {

// What was asked, which every answer repeats.
struct ReportHeader {
  std::string by;  // day, hour, weekday-hour, key, deployment
  std::string time_zone;
  std::int64_t begin_us = 0;  // 0: since ever
  std::int64_t end_us = 0;    // now at the latest
};
struct UsageView {
  ReportHeader header;
  ledger::UsageReport report;
};
[[nodiscard]] std::string usage_json(const UsageView& view, const TimeZone& zone);
// A row for every currency of a group; all but the first carry money alone, so that columns may be added up.
[[nodiscard]] std::string usage_csv(const UsageView& view, const TimeZone& zone);
[[nodiscard]] Result<UsageView> parse_usage(std::string_view json);  // kDataLoss

struct ErrorsView {
  ReportHeader header;
  std::vector<ledger::ErrorRow> errors;
  std::vector<ledger::ErrorRow> refusals;
};
[[nodiscard]] std::string errors_json(const ErrorsView& view, const TimeZone& zone);
[[nodiscard]] std::string errors_csv(const ErrorsView& view, const TimeZone& zone);
[[nodiscard]] Result<ErrorsView> parse_errors(std::string_view json);  // kDataLoss

struct BillView {
  ledger::Bill bill;
  bool so_far = false;  // the month is not over
};
[[nodiscard]] std::string bill_json(const BillView& view, const TimeZone& zone);
// `kind`: total, price or key; a total's parts are its own, prices and keys explain them.
[[nodiscard]] std::string bill_csv(const BillView& view);
[[nodiscard]] Result<BillView> parse_bill(std::string_view json);  // kDataLoss

// FOCUS 1.2 (focus.finops.org): a header and a row for every charge.
[[nodiscard]] std::string focus_csv(const std::vector<ledger::FocusCharge>& charges, const ledger::Bill& bill);

[[nodiscard]] std::string requests_json(const ledger::RequestPage& page);
[[nodiscard]] Result<ledger::RequestPage> parse_requests(std::string_view json);  // kDataLoss

}  // namespace dormouse::gateway
