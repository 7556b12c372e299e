// What a report is asked and what it says, as values. Integers only; money is micro-units of a named currency, and two
// currencies are never added. Periods are half-open, of whole quarters of an hour: [begin, end) is rounded down to
// them. What is older than the retention lies on the first quarter of its day (docs/ledger.md, "Retention").
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/time_zone.h"
#include "ledger/records.h"

namespace dormouse::ledger {

enum class UsageBy { kDay, kHour, kWeekdayHour, kKey, kDeployment };

struct UsageQuery {
  UsageBy by = UsageBy::kDay;
  std::int64_t begin_us = 0;
  std::int64_t end_us = INT64_MAX;
  TimeZone zone;  // where a day begins
  std::optional<std::string> deployment;
  std::optional<std::string> key_id;  // "": requests without a key
  std::int64_t max_rows = 1'000;      // the latest stay; at most 10'000
};

struct MoneySum {
  std::string currency;
  std::int64_t cost_micros = 0;  // what the requests' share of busy time cost
  std::int64_t micros = 0;       // of it billed to keys; refunds subtracted
};

// From counts by eighths of an octave, interpolated: at most 12.5 % from the true value.
struct LatencySummary {
  std::int64_t requests = 0;
  std::int64_t p50_us = 0;
  std::int64_t p95_us = 0;
  std::int64_t p99_us = 0;
};

struct UsageRow {
  std::int64_t bucket_us = 0;  // start of the day or hour, wall; otherwise 0
  int weekday = -1;            // 0 is Monday; -1 but by weekday and hour
  int hour = -1;
  std::string deployment;     // by deployment, or what the query names
  std::string key_id;         // by key, or what the query names
  std::int64_t requests = 0;  // settled
  std::int64_t failed = 0;    // of them kFailed or kInterrupted
  std::int64_t client_gone = 0;
  std::int64_t cold_requests = 0;  // waited for a wake
  std::int64_t unpriced = 0;       // no price was known
  std::int64_t refunds = 0;
  std::int64_t refused = 0;  // turned away; not in `requests`
  std::int64_t input_tokens = 0;
  std::int64_t cached_tokens = 0;
  std::int64_t output_tokens = 0;
  std::int64_t reasoning_tokens = 0;
  std::int64_t produced_tokens = 0;
  // Sums; means are these by requests (ttft: by first_tokens).
  std::int64_t queue_us = 0;
  std::int64_t wake_wait_us = 0;
  std::int64_t ttft_us = 0;
  std::int64_t first_tokens = 0;
  std::int64_t duration_us = 0;
  std::int64_t request_busy_us = 0;  // the requests' shares of busy time
  std::vector<MoneySum> money;       // by currency, ascending; empty: nothing was priced
  // Kept for deployments, not for keys: nullopt in reports by key or of one.
  std::optional<LatencySummary> duration;
  std::optional<LatencySummary> ttft;
  // Of instances: wakes of those asked for in the bucket, time as it was spent; awake = waking + busy + idle.
  std::int64_t wakes = 0;
  std::int64_t waking_us = 0;
  std::int64_t busy_us = 0;
  std::int64_t idle_us = 0;
};

struct UsageReport {
  std::vector<UsageRow> rows;
  UsageRow total;  // of the whole period, also of rows beyond max_rows
};

// What went wrong, or what was turned away.
struct ErrorQuery {
  std::int64_t begin_us = 0;
  std::int64_t end_us = INT64_MAX;
  std::optional<std::string> deployment;
  std::optional<std::string> key_id;
};
struct ErrorRow {
  std::string kind;        // timeout, oom, worker_crashed, ...; of refusals the api code
  std::string deployment;  // of refusals as asked for
  std::int64_t requests = 0;
  std::int64_t last_us = 0;  // of refusals the minute's beginning
};

// Requests one by one, newest first. The only report that reads entries: a page costs at most `kMaxScanned` of them,
// and may therefore hold fewer rows than its limit, even none, and still have a next one.
struct RequestQuery {
  std::int64_t limit = 100;   // at most 10'000
  std::string after;          // RequestPage::next of the page before; empty: the newest
  std::int64_t begin_us = 0;  // of the reservation
  std::int64_t end_us = INT64_MAX;
  std::optional<std::string> deployment;
  std::optional<std::string> key_id;
  std::optional<std::string> outcome;  // ok, client_gone, failed, interrupted or open
};
struct RequestPage {
  std::vector<RequestRow> rows;
  std::string next;  // empty: there is no more
};

struct BillQuery {
  std::int64_t year = 1970;
  int month = 1;
  TimeZone zone;
  std::optional<std::string> deployment;
};

// What was paid at one price.
struct BillPrice {
  Price price;
  std::int64_t awake_us = 0;      // of instances under it, within the month
  std::int64_t total_micros = 0;  // hourly: for their time, increments paid whole; monthly: the fee
};
struct BillKey {
  std::string key_id;
  std::int64_t requests = 0;
  std::int64_t cost_micros = 0;
  std::int64_t micros = 0;
};

// One deployment and currency. To the micro-unit: total = busy + waking + idle, busy = sum of keys' micros +
// not_billed.
struct BillLine {
  std::string deployment;
  std::string currency;
  std::int64_t total_micros = 0;  // of the prices
  std::int64_t fee_micros = 0;    // of total: what was due whether anything ran or not
  std::int64_t busy_micros = 0;   // requests settled in the month
  std::int64_t waking_micros = 0;
  // The rest: waiting, and what increments and fees cost beyond. Below zero when requests settled in this month ran in
  // the one before, or when more instances computed than the fee is for.
  std::int64_t idle_micros = 0;
  std::int64_t not_billed_micros = 0;  // of busy: failed, refunded, undelivered
  std::int64_t waking_us = 0;
  std::int64_t busy_us = 0;
  std::int64_t idle_us = 0;
  std::int64_t requests = 0;
  std::int64_t input_tokens = 0;
  std::int64_t output_tokens = 0;
  std::vector<BillPrice> prices;
  std::vector<BillKey> keys;
};

// Ran without a known price: not in any sum.
struct UnpricedTime {
  std::string deployment;
  std::int64_t awake_us = 0;
  std::int64_t requests = 0;
};

struct Bill {
  std::string month;  // "2026-11"
  std::string time_zone;
  std::int64_t begin_us = 0;
  std::int64_t end_us = 0;
  std::vector<BillLine> lines;  // by deployment, then currency
  std::vector<UnpricedTime> unpriced;
};

// What was asked of a deployment, request by request: for replaying it under other rules.
struct WorkloadQuery {
  std::string deployment;
  std::int64_t begin_us = 0;  // of the reservations; to the microsecond
  std::int64_t end_us = INT64_MAX;
  std::int64_t max_requests = 10'000'000;  // the latest stay
};
// 16 bytes: ten million are 160 MB.
struct MeasuredRequest {
  std::int64_t at_us = 0;       // reserved, wall
  std::int64_t service_us = 0;  // on its instance, without waiting for its turn or a wake; 0: it never got there
};
struct MeasuredWorkload {
  std::vector<MeasuredRequest> requests;  // settled ones that were not turned away, ascending by at_us
  bool is_cut = false;                    // there were earlier ones than max_requests
  std::int64_t input_tokens = 0;          // of `requests`, as billed
  std::int64_t output_tokens = 0;
  std::int64_t most_at_once = 0;       // requests on instances at one time
  std::int64_t refused = 0;            // for want of room: queue full, waited too long, overloaded
  std::int64_t wakes = 0;              // instances asked for in the period
  std::vector<std::int64_t> wakes_us;  // of those that became ready: how long it took, by the boot clock
  std::int64_t most_instances = 0;     // at one time
  std::int64_t made_us = 0;            // when the first deployment of this name was made; 0: there is none
  std::int64_t complete_since_us = 0;  // single requests before it are gone (retention); 0: none are
};

// Advice, and hindsight, as they were kept.
enum class AdviceKind { kWeekly, kRegret };
struct AdviceRecord {
  std::int64_t id = 0;  // these two: filled in by reads
  std::int64_t at_us = 0;
  std::string deployment;
  AdviceKind kind = AdviceKind::kWeekly;
  std::int64_t period_begin_us = 0;
  std::int64_t period_end_us = 0;
  std::string body = "{}";                  // one JSON object: whoever writes it reads it
  std::optional<std::int64_t> paid_micros;  // regret: by the bill; weekly: a month under the rules as they were
  std::optional<std::int64_t> best_micros;
  std::string currency;  // empty: neither is known
};
struct AdviceQuery {
  std::optional<std::string> deployment{};
  std::optional<AdviceKind> kind{};
  std::int64_t max_rows = 100;  // at most 10'000
};

// How far retention has come through the tables; a step moves it.
struct CompactCursor {
  static constexpr int kEnd = 6;
  int table = 0;
  std::int64_t slot_us = 0;
  [[nodiscard]] bool is_done() const { return table >= kEnd; }
};

// What a deployment's time cost up to now, for whoever looks at it all day: a few sums instead of a bill. Each period
// ends now.
struct CostQuery {
  std::string month;          // "2026-11", whose fees count
  std::int64_t month_us = 0;  // these: where the periods begin
  std::int64_t day_us = 0;
  std::int64_t recent_us = 0;
  std::int64_t now_us = 0;
  std::vector<std::int64_t> days_us =
      {};  // where whole days begin, in order; each ends with the next, the last at day_us
};
// One deployment and currency.
struct CostRow {
  std::string deployment;
  std::string currency;
  std::int64_t month_micros = 0;  // time paid by the hour; these three without fees
  std::int64_t day_micros = 0;
  std::int64_t recent_micros = 0;
  std::vector<std::int64_t> whole_day_micros = {};  // of each of days_us
  std::int64_t fee_micros = 0;                      // of the month
  std::int64_t first_us = 0;                        // when its first paid instance was asked for; 0: none ever was
};

// When a deployment computed, woke and waited, as a strip to draw: a moment belongs to what happened last in this order
// on any of its instances. Pieces are whole cells, kStripCells in the period and none shorter than a second; between
// two pieces it slept.
inline constexpr std::int64_t kStripCells = 2'880;  // half a minute each, of a day
struct StripQuery {
  std::string deployment;
  std::int64_t begin_us = 0;
  std::int64_t end_us = 0;  // now, or earlier
};
enum class StripKind { kIdle, kWaking, kBusy };
struct StripPiece {
  std::int64_t begin_us = 0;
  std::int64_t end_us = 0;
  StripKind kind = StripKind::kIdle;
  friend bool operator==(const StripPiece&, const StripPiece&) = default;
};
struct Strip {
  std::vector<StripPiece> pieces;
  std::vector<std::int64_t> requests_us;  // when each came, ascending; the latest 2'000
  std::int64_t complete_since_us = 0;     // requests before it were too many to look at: busy time there reads as idle
};

// The same bill by the hour, for the FinOps exchange format (FOCUS 1.2). Sums of billed_micros and of effective_micros
// are the bill's totals, by currency.
struct FocusCharge {
  enum class Kind { kUsage, kFee, kUnusedFee };
  Kind kind = Kind::kUsage;
  std::int64_t begin_us = 0;  // UTC hours, cut at the month's ends; a fee's is the month
  std::int64_t end_us = 0;
  std::string deployment;
  std::string image;
  std::string instance_id;  // of usage
  Price price;
  std::int64_t billed_micros = 0;     // when it is due: all of a fee on its one row
  std::int64_t effective_micros = 0;  // when it is used: fees spread over the usage they paid for, and what was not
  std::int64_t paid_us = 0;           // increments paid whole
  std::int64_t awake_us = 0;
  std::int64_t waking_us = 0;
  std::int64_t busy_us = 0;
  std::int64_t idle_timeout_ms = 0;
};

}  // namespace dormouse::ledger
