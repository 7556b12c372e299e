// The SELECTs behind every report: blocking, on whatever connection, which the reader's thread owns.
// Errors of all: kUnavailable, kDataLoss.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "ledger/records.h"
#include "ledger/report_records.h"
#include "ledger/sqlite.h"

namespace dormouse::ledger {

// Cost: one pass over the period's rows of the quarter tables. 10 million requests of a month: docs/ledger.md.
Result<UsageReport> select_usage(Connection& connection, const UsageQuery& query);
Result<std::vector<ErrorRow>> select_errors(Connection& connection, const ErrorQuery& query);
Result<std::vector<ErrorRow>> select_refusals(Connection& connection, const ErrorQuery& query);
Result<RequestPage> select_requests(Connection& connection, const RequestQuery& query);
Result<std::vector<Spend>> select_spend(Connection& connection, std::int64_t begin_us);
Result<std::vector<Span>> select_spans(Connection& connection, const std::string& deployment, std::int64_t max_rows);
// Errors: also kInvalidArgument (no such month).
Result<Bill> select_bill(Connection& connection, const BillQuery& query);
// Cost: one pass over instances' spans and the month's fees; no request is read.
Result<std::vector<CostRow>> select_costs(Connection& connection, const CostQuery& query);
// Cost: one pass over instances' spans, and at most 50'000 requests: 0.2 s. Errors: also kInvalidArgument.
Result<Strip> select_strip(Connection& connection, const StripQuery& query);
// In order of time. Errors: also kTooLarge (more than 200'000 rows).
Result<std::vector<FocusCharge>> select_focus(Connection& connection, const BillQuery& query);
// Cost: one pass over the entries of the period, every deployment's: 0.5 s a million requests.
Result<MeasuredWorkload> select_workload(Connection& connection, const WorkloadQuery& query);
Result<std::vector<AdviceRecord>> select_advice(Connection& connection, const AdviceQuery& query);

// Every deployment there ever was: id -> name.
Result<std::map<std::int64_t, std::string>> select_names(Connection& connection);

}  // namespace dormouse::ledger
