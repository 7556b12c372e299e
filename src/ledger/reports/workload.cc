// What was asked of a deployment, request by request, and how its instances came up: what a replay needs.
#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "base/ids.h"
#include "ledger/quarter.h"
#include "ledger/reports/select.h"

namespace dormouse::ledger {
namespace {

// Ids begin with the time they were made at, shortly before the reservation was written.
constexpr std::int64_t kIdSlackUs = 600'000'000;

// Backwards, so that the latest stay: of each request its settlement, then its reservation. By the primary key alone,
// without a look-up a row; texts are compared inside.
constexpr const char* kEntriesSql =
    "SELECT kind = 'settle', at_us, duration_us, queue_us + wake_wait_us, instance_id IS NOT NULL, input_tokens,"
    " output_tokens, error_code IN ('queue_full', 'queue_timeout', 'overloaded'), error_code = 'queue_timeout'"
    " FROM request_entries WHERE request_id >= ?1 AND request_id < ?2 AND kind <> 'refund'"
    " AND deployment_id IN (SELECT id FROM deployments WHERE name = ?3) ORDER BY request_id DESC, kind DESC";

// No id of an earlier time comes after this. '~' is behind every character of an id.
std::string last_bound(std::int64_t at_us) {
  if (at_us > INT64_MAX - kIdSlackUs) return "~";
  return uuid_v7_bound({std::max<std::int64_t>(at_us, 0) + kIdSlackUs});
}

// The most of these half-open stretches that have a moment in common.
std::int64_t most_at_once(std::vector<std::int64_t> begins, std::vector<std::int64_t> ends) {
  std::sort(begins.begin(), begins.end());
  std::sort(ends.begin(), ends.end());
  std::int64_t most = 0;
  std::int64_t running = 0;
  auto end = ends.begin();
  for (const std::int64_t begin : begins) {
    ++running;
    for (; end != ends.end() && *end <= begin; ++end) --running;
    most = std::max(most, running);
  }
  return most;
}

struct Settled {
  std::int64_t waited_us = 0;
  std::int64_t service_us = 0;
  std::int64_t input_tokens = 0;
  std::int64_t output_tokens = 0;
  bool is_refused = false;
  bool is_late = false;
};

Settled read_settlement(const Statement& select) {
  Settled out;
  out.waited_us = select.integer(3);
  const bool has_run = select.integer(4) != 0;
  out.service_us = has_run ? std::max<std::int64_t>(0, select.integer(2) - out.waited_us) : 0;
  out.input_tokens = select.integer(5);
  out.output_tokens = select.integer(6);
  out.is_refused = select.integer(7) != 0;
  out.is_late = select.integer(8) != 0;
  return out;
}

Status add_requests(Connection& connection, const WorkloadQuery& query, MeasuredWorkload& out) {
  TRY(Statement select, connection.prepare(kEntriesSql));
  const std::string first = uuid_v7_bound({std::max(query.begin_us, kIdSlackUs) - kIdSlackUs});
  select.bind(1, first).bind(2, last_bound(query.end_us)).bind(3, query.deployment);
  std::vector<std::int64_t> begins;
  std::vector<std::int64_t> ends;
  std::optional<Settled> settled;
  while (true) {
    TRY(const bool more, select.step());
    if (!more) break;
    if (select.integer(0) != 0) {
      settled = read_settlement(select);
      continue;
    }
    const std::int64_t at_us = select.integer(1);
    const std::optional<Settled> one = std::exchange(settled, std::nullopt);
    if (!one.has_value() || at_us < query.begin_us || at_us >= query.end_us) continue;
    if (one->is_refused) {
      out.refused += one->is_late ? 1 : 0;  // the others are in refusal_minutes as well
      continue;
    }
    if (static_cast<std::int64_t>(out.requests.size()) >= query.max_requests) {
      out.is_cut = true;
      break;
    }
    out.requests.push_back({at_us, one->service_us});
    out.input_tokens += one->input_tokens;
    out.output_tokens += one->output_tokens;
    begins.push_back(at_us + one->waited_us);
    ends.push_back(at_us + one->waited_us + one->service_us);
  }
  std::reverse(out.requests.begin(), out.requests.end());
  const auto by_time = [](const MeasuredRequest& a, const MeasuredRequest& b) { return a.at_us < b.at_us; };
  if (!std::is_sorted(out.requests.begin(), out.requests.end(), by_time)) {
    std::stable_sort(out.requests.begin(), out.requests.end(), by_time);
  }
  out.most_at_once = most_at_once(std::move(begins), std::move(ends));
  return {};
}

Status add_instances(Connection& connection, const WorkloadQuery& query, MeasuredWorkload& out) {
  TRY(Statement select,
      connection.prepare("SELECT requested_us, coalesce(down_us, ?2), ready_after_us FROM instance_spans"
                         " WHERE requested_us < ?2 AND coalesce(down_us, ?2) > ?1"
                         " AND deployment_id IN (SELECT id FROM deployments WHERE name = ?3) ORDER BY requested_us"));
  select.bind(1, query.begin_us).bind(2, query.end_us).bind(3, query.deployment);
  std::vector<std::int64_t> begins;
  std::vector<std::int64_t> ends;
  while (true) {
    TRY(const bool more, select.step());
    if (!more) break;
    begins.push_back(select.integer(0));
    ends.push_back(select.integer(1));
    if (begins.back() < query.begin_us) continue;
    ++out.wakes;
    if (!select.is_null(2)) out.wakes_us.push_back(select.integer(2));
  }
  out.most_instances = most_at_once(std::move(begins), std::move(ends));
  return {};
}

Status add_refusals(Connection& connection, const WorkloadQuery& query, MeasuredWorkload& out) {
  TRY(Statement select,
      connection.prepare("SELECT coalesce(sum(requests), 0) FROM refusal_minutes WHERE minute_us >= ?1"
                         " AND minute_us < ?2 AND deployment = ?3 AND reason IN ('queue_full', 'overloaded')"));
  TRY([[maybe_unused]] const bool row,
      select.bind(1, query.begin_us).bind(2, query.end_us).bind(3, query.deployment).step());
  out.refused += select.integer(0);
  return {};
}

// Retention deletes a day's requests before it merges the day's sums: sums that are older than the oldest entry are of
// requests that are gone.
Status add_limits(Connection& connection, const WorkloadQuery& query, MeasuredWorkload& out) {
  TRY(Statement made, connection.prepare("SELECT coalesce(min(created_us), 0) FROM deployments WHERE name = ?1"));
  TRY([[maybe_unused]] const bool made_row, made.bind(1, query.deployment).step());
  out.made_us = made.integer(0);
  TRY(Statement oldest, connection.prepare("SELECT at_us FROM request_entries WHERE kind = 'reserve'"
                                           " ORDER BY request_id LIMIT 1"));
  TRY(const bool has_entry, oldest.step());
  TRY(Statement slot,
      connection.prepare(
          "SELECT (SELECT min(slot_us) FROM usage_quarters), (SELECT max(slot_us) FROM usage_quarters)"));
  TRY([[maybe_unused]] const bool slot_row, slot.step());
  if (slot.is_null(0)) return {};
  if (has_entry && slot.integer(0) < slot_of(oldest.integer(0))) out.complete_since_us = oldest.integer(0);
  if (!has_entry) out.complete_since_us = slot.integer(1) + kQuarterUs;
  return {};
}

}  // namespace

Result<MeasuredWorkload> select_workload(Connection& connection, const WorkloadQuery& query) {
  MeasuredWorkload out;
  TRY_STATUS(add_requests(connection, query, out));
  TRY_STATUS(add_instances(connection, query, out));
  TRY_STATUS(add_refusals(connection, query, out));
  TRY_STATUS(add_limits(connection, query, out));
  return out;
}

}  // namespace dormouse::ledger
