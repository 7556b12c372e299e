// What was used, by day, hour, hour of the week, key or deployment: sums of quarters of an hour, put together here.
// No GROUP BY: the rows come in the order of their key and are added up as they pass, which needs no sorter.
#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "ledger/latency.h"
#include "ledger/quarter.h"
#include "ledger/reports/select.h"

namespace dormouse::ledger {
namespace {

constexpr std::int64_t kMaxRows = 10'000;

using GroupKey = std::pair<std::int64_t, std::string>;

// Requests by latency bucket.
struct Histogram {
  std::vector<std::int64_t> counts;

  void add(std::int64_t bucket, std::int64_t requests) {
    const auto at = static_cast<std::size_t>(std::clamp<std::int64_t>(bucket, 0, 511));
    if (at >= counts.size()) counts.resize(at + 1, 0);
    counts[at] += requests;
  }
  [[nodiscard]] std::int64_t quantile(double q, std::int64_t total) const {
    const auto rank = std::max<std::int64_t>(1, static_cast<std::int64_t>(std::ceil(q * static_cast<double>(total))));
    std::int64_t before = 0;
    for (std::size_t bucket = 0; bucket < counts.size(); ++bucket) {
      if (before + counts[bucket] < rank) {
        before += counts[bucket];
        continue;
      }
      const std::int64_t begin = bucket == 0 ? 0 : latency_bucket_end_us(static_cast<std::int64_t>(bucket) - 1);
      const std::int64_t width = latency_bucket_end_us(static_cast<std::int64_t>(bucket)) - begin;
      const double part = static_cast<double>(rank - before) / static_cast<double>(counts[bucket]);
      return begin + static_cast<std::int64_t>(part * static_cast<double>(width));
    }
    return 0;
  }
  [[nodiscard]] LatencySummary summary() const {
    LatencySummary out;
    for (const std::int64_t count : counts) out.requests += count;
    if (out.requests == 0) return out;
    out.p50_us = quantile(0.50, out.requests);
    out.p95_us = quantile(0.95, out.requests);
    out.p99_us = quantile(0.99, out.requests);
    return out;
  }
};

// The report as it grows: rows by group, and which group a quarter belongs to.
class Groups {
 public:
  Groups(const UsageQuery& query, std::map<std::int64_t, std::string> names) : query_(query), names_(std::move(names)) {
    for (const auto& [id, name] : names_) known_.insert(name);
  }

  UsageRow& row(std::int64_t slot_us, std::int64_t deployment_id, const std::string& key_id) {
    return row_named(slot_us, name_of(deployment_id), key_id);
  }
  // Names that nobody ever deployed are one group: a stranger must not make rows.
  UsageRow& row_named(std::int64_t slot_us, const std::string& deployment, const std::string& key_id) {
    switch (query_.by) {
      case UsageBy::kDay:
      case UsageBy::kHour:
      case UsageBy::kWeekdayHour: return at({bucket_of(slot_us), {}});
      case UsageBy::kKey: return at({0, key_id});
      case UsageBy::kDeployment: return at({0, known_.contains(deployment) ? deployment : std::string()});
    }
    return total;
  }
  [[nodiscard]] const std::string& name_of(std::int64_t deployment_id) const {
    static const std::string none;
    const auto found = names_.find(deployment_id);
    return found == names_.end() ? none : found->second;
  }
  [[nodiscard]] bool wants(const std::string& deployment, const std::string& key_id) const {
    return (!query_.deployment.has_value() || deployment == *query_.deployment) &&
           (!query_.key_id.has_value() || key_id == *query_.key_id);
  }
  [[nodiscard]] bool wants_deployment(std::int64_t deployment_id) const {
    return !query_.deployment.has_value() || name_of(deployment_id) == *query_.deployment;
  }
  // Instances and latencies know no keys.
  [[nodiscard]] bool by_keys() const { return query_.by == UsageBy::kKey || query_.key_id.has_value(); }
  [[nodiscard]] bool in_time_order() const { return query_.by == UsageBy::kDay || query_.by == UsageBy::kHour; }

  std::vector<UsageRow> finish();

  UsageRow total;

 private:
  UsageRow& at(GroupKey key) {
    if (last_ != nullptr && last_key_ == key) return *last_;
    const auto [found, fresh] = rows_.try_emplace(key);
    if (fresh) label(found->second, key);
    last_key_ = std::move(key);
    last_ = &found->second;
    return *last_;
  }
  void label(UsageRow& row, const GroupKey& key) const {
    if (in_time_order()) row.bucket_us = key.first;
    if (query_.by == UsageBy::kWeekdayHour) {
      row.weekday = static_cast<int>(key.first / 24);
      row.hour = static_cast<int>(key.first % 24);
    }
    if (query_.by == UsageBy::kKey) row.key_id = key.second;
    if (query_.by == UsageBy::kDeployment) row.deployment = key.second;
    if (query_.deployment.has_value()) row.deployment = *query_.deployment;
    if (query_.key_id.has_value()) row.key_id = *query_.key_id;
  }
  std::int64_t bucket_of(std::int64_t slot_us) {
    if (slot_us == last_slot_us_) return last_bucket_;
    last_slot_us_ = slot_us;
    const CivilTime local = query_.zone.local({slot_us});
    if (query_.by == UsageBy::kDay) {
      // Most slots lie in the day of the one before.
      if (slot_us < day_begin_us_ || slot_us >= day_end_us_) {
        day_begin_us_ = query_.zone.day_begin({slot_us}).us;
        day_end_us_ = query_.zone.first({.year = local.year, .month = local.month, .day = local.day + 1}).us;
      }
      last_bucket_ = day_begin_us_;
    } else if (query_.by == UsageBy::kHour) {
      last_bucket_ = slot_us - (local.minute * std::int64_t{60} + local.second) * 1'000'000;
    } else {
      last_bucket_ = weekday_of(local) * std::int64_t{24} + local.hour;
    }
    return last_bucket_;
  }

  const UsageQuery& query_;
  const std::map<std::int64_t, std::string> names_;
  std::set<std::string> known_;
  std::map<GroupKey, UsageRow> rows_;
  GroupKey last_key_;
  UsageRow* last_ = nullptr;
  std::int64_t last_slot_us_ = -1;
  std::int64_t last_bucket_ = 0;
  std::int64_t day_begin_us_ = 0;
  std::int64_t day_end_us_ = 0;
};

std::vector<UsageRow> Groups::finish() {
  const auto limit = static_cast<std::size_t>(std::clamp<std::int64_t>(query_.max_rows, 0, kMaxRows));
  std::size_t skip = rows_.size() > limit ? rows_.size() - limit : 0;
  std::vector<UsageRow> out;
  for (auto& [key, row] : rows_) {
    if (skip > 0) {
      --skip;
      continue;
    }
    out.push_back(std::move(row));
  }
  return out;
}

void add_money(UsageRow& row, const std::string& currency, std::int64_t cost_micros, std::int64_t micros) {
  if (currency.empty()) return;
  auto found = std::lower_bound(row.money.begin(), row.money.end(), currency,
                                [](const MoneySum& sum, const std::string& name) { return sum.currency < name; });
  if (found == row.money.end() || found->currency != currency) found = row.money.insert(found, {currency, 0, 0});
  found->cost_micros += cost_micros;
  found->micros += micros;
}

// In the order of the SELECT, behind slot, deployment, key and currency.
constexpr std::array<std::int64_t UsageRow::*, 16> kSums = {
    &UsageRow::requests,         &UsageRow::failed,          &UsageRow::client_gone,   &UsageRow::cold_requests,
    &UsageRow::unpriced,         &UsageRow::input_tokens,    &UsageRow::cached_tokens, &UsageRow::output_tokens,
    &UsageRow::reasoning_tokens, &UsageRow::produced_tokens, &UsageRow::queue_us,      &UsageRow::wake_wait_us,
    &UsageRow::ttft_us,          &UsageRow::first_tokens,    &UsageRow::duration_us,   &UsageRow::refunds};

struct Bounds {
  std::int64_t begin_us;
  std::int64_t end_us;
};

Bounds bounds_of(const UsageQuery& query) {
  const auto down = [](std::int64_t us) { return us == INT64_MAX ? us : slot_of(std::max<std::int64_t>(us, 0)); };
  return {down(query.begin_us), query.end_us == INT64_MAX ? INT64_MAX : down(query.end_us + kQuarterUs - 1)};
}

Status add_requests(Connection& connection, Groups& groups, Bounds bounds) {
  TRY(Statement select,
      connection.prepare("SELECT slot_us, deployment_id, key_id, currency, requests, failed, client_gone, cold,"
                         " unpriced, input_tokens, cached_tokens, output_tokens, reasoning_tokens, produced_tokens,"
                         " queue_us, wake_wait_us, ttft_us, first_tokens, duration_us, refunds, busy_ns, cost_micros,"
                         " micros FROM usage_quarters WHERE slot_us >= ?1 AND slot_us < ?2"));
  select.bind(1, bounds.begin_us).bind(2, bounds.end_us);
  // Nanoseconds are added up before they become microseconds: rounding each quarter would lose some.
  std::map<UsageRow*, std::int64_t> busy_ns;
  std::int64_t total_ns = 0;
  while (true) {
    TRY(const bool more, select.step());
    if (!more) break;
    const std::string key_id = select.text(2);
    const std::int64_t deployment_id = select.integer(1);
    if (!groups.wants(groups.name_of(deployment_id), key_id)) continue;
    UsageRow& row = groups.row(select.integer(0), deployment_id, key_id);
    for (std::size_t i = 0; i < kSums.size(); ++i) {
      const std::int64_t value = select.integer(static_cast<int>(i) + 4);
      row.*kSums.at(i) += value;
      groups.total.*kSums.at(i) += value;
    }
    const std::string currency = select.text(3);
    add_money(row, currency, select.integer(21), select.integer(22));
    add_money(groups.total, currency, select.integer(21), select.integer(22));
    busy_ns[&row] += select.integer(20);
    total_ns += select.integer(20);
  }
  for (const auto& [row, ns] : busy_ns) row->request_busy_us = ns / 1000;
  groups.total.request_busy_us = total_ns / 1000;
  return {};
}

struct Latencies {
  Histogram duration;
  Histogram ttft;
};

void summarise(UsageRow& row, const Latencies& latencies) {
  row.duration = latencies.duration.summary();
  row.ttft = latencies.ttft.summary();
}

Status add_latencies(Connection& connection, Groups& groups, Bounds bounds) {
  TRY(Statement select,
      connection.prepare("SELECT slot_us, deployment_id, what = 'ttft', bucket, requests FROM latency_quarters"
                         " WHERE slot_us >= ?1 AND slot_us < ?2"));
  select.bind(1, bounds.begin_us).bind(2, bounds.end_us);
  std::map<UsageRow*, Latencies> open;
  Latencies whole;
  // Whose counts these are is looked up when slot or deployment change: once in some 80 rows.
  std::pair<std::int64_t, std::int64_t> at{-1, -1};
  Latencies* latencies = nullptr;  // null: not wanted
  const auto look_up = [&] {
    latencies = nullptr;
    if (!groups.wants_deployment(at.second)) return;
    UsageRow& row = groups.row(at.first, at.second, {});
    // Days and hours come one after another: one histogram at a time is enough.
    if (groups.in_time_order() && !open.empty() && open.begin()->first != &row) {
      summarise(*open.begin()->first, open.begin()->second);
      open.clear();
    }
    latencies = &open[&row];
  };
  while (true) {
    TRY(const bool more, select.step());
    if (!more) break;
    const std::pair<std::int64_t, std::int64_t> here{select.integer(0), select.integer(1)};
    if (here != at) {
      at = here;
      look_up();
    }
    if (latencies == nullptr) continue;
    const bool is_ttft = select.integer(2) != 0;
    (is_ttft ? latencies->ttft : latencies->duration).add(select.integer(3), select.integer(4));
    (is_ttft ? whole.ttft : whole.duration).add(select.integer(3), select.integer(4));
  }
  for (const auto& [row, counts] : open) summarise(*row, counts);
  summarise(groups.total, whole);
  return {};
}

Status add_refusals(Connection& connection, Groups& groups, Bounds bounds) {
  TRY(Statement select, connection.prepare("SELECT minute_us, deployment, key_id, requests FROM refusal_minutes"
                                           " WHERE minute_us >= ?1 AND minute_us < ?2"));
  select.bind(1, bounds.begin_us).bind(2, bounds.end_us);
  while (true) {
    TRY(const bool more, select.step());
    if (!more) return {};
    const std::string deployment = select.text(1);
    const std::string key_id = select.text(2);
    if (!groups.wants(deployment, key_id)) continue;
    groups.row_named(slot_of(select.integer(0)), deployment, key_id).refused += select.integer(3);
    groups.total.refused += select.integer(3);
  }
}

Status add_instances(Connection& connection, Groups& groups, Bounds bounds) {
  TRY(Statement select,
      connection.prepare("SELECT q.slot_us, s.deployment_id, q.awake_us, q.waking_us, q.busy_us"
                         " FROM instance_quarters AS q JOIN instance_spans AS s ON s.instance_id = q.instance_id"
                         " WHERE q.slot_us >= ?1 AND q.slot_us < ?2 ORDER BY q.slot_us"));
  select.bind(1, bounds.begin_us).bind(2, bounds.end_us);
  while (true) {
    TRY(const bool more, select.step());
    if (!more) return {};
    const std::int64_t deployment_id = select.integer(1);
    if (!groups.wants_deployment(deployment_id)) continue;
    UsageRow& row = groups.row(select.integer(0), deployment_id, {});
    for (UsageRow* to : {&row, &groups.total}) {
      to->waking_us += select.integer(3);
      to->busy_us += select.integer(4);
      to->idle_us += select.integer(2) - select.integer(3) - select.integer(4);
    }
  }
}

Status add_wakes(Connection& connection, Groups& groups, Bounds bounds) {
  TRY(Statement select, connection.prepare("SELECT requested_us, deployment_id FROM instance_spans"
                                           " WHERE requested_us >= ?1 AND requested_us < ?2 AND ready_us IS NOT NULL"
                                           " ORDER BY requested_us"));
  select.bind(1, bounds.begin_us).bind(2, bounds.end_us);
  while (true) {
    TRY(const bool more, select.step());
    if (!more) return {};
    const std::int64_t deployment_id = select.integer(1);
    if (!groups.wants_deployment(deployment_id)) continue;
    ++groups.row(slot_of(select.integer(0)), deployment_id, {}).wakes;
    ++groups.total.wakes;
  }
}

}  // namespace

Result<UsageReport> select_usage(Connection& connection, const UsageQuery& query) {
  TRY(auto names, select_names(connection));
  Groups groups(query, std::move(names));
  const Bounds bounds = bounds_of(query);
  TRY_STATUS(add_requests(connection, groups, bounds));
  TRY_STATUS(add_refusals(connection, groups, bounds));
  if (!groups.by_keys()) {
    TRY_STATUS(add_latencies(connection, groups, bounds));
    TRY_STATUS(add_instances(connection, groups, bounds));
    TRY_STATUS(add_wakes(connection, groups, bounds));
  }
  if (query.deployment.has_value()) groups.total.deployment = *query.deployment;
  if (query.key_id.has_value()) groups.total.key_id = *query.key_id;
  UsageReport out;
  out.rows = groups.finish();
  out.total = std::move(groups.total);
  return out;
}

Result<std::map<std::int64_t, std::string>> select_names(Connection& connection) {
  TRY(Statement select, connection.prepare("SELECT id, name FROM deployments"));
  std::map<std::int64_t, std::string> out;
  while (true) {
    TRY(const bool more, select.step());
    if (!more) return out;
    out.emplace(select.integer(0), select.text(1));
  }
}

}  // namespace dormouse::ledger
