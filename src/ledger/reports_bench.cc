// How long the reports of a month take, and how large the file is: argument 1 is the number of requests (default 10
// million), argument 2 the directory for the file (default: the current one), which is deleted afterwards.
// The month is November 2026: 3 deployments, 20 keys, 2 instances at a time, 1 % errors, refusals in every minute.
// Entries are inserted as the store writes them, in their order, with the sums it would have kept.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <tuple>

#include "base/ids.h"
#include "base/log.h"
#include "ledger/latency.h"
#include "ledger/migrations.h"
#include "ledger/quarter.h"
#include "ledger/reports/select.h"
#include "ledger/store.h"

namespace dormouse::ledger {
namespace {

constexpr std::int64_t kHourUs = 4 * kQuarterUs;
constexpr std::int64_t kDayUs = 24 * kHourUs;
constexpr int kDeployments = 3;
constexpr int kKeys = 20;

double seconds(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void must(const Status& status) {
  if (status.has_value()) return;
  fmt::print(stderr, "{}\n", status.error().message);
  std::exit(1);
}

class Month {
 public:
  Month(Connection& connection, std::int64_t begin_us) : connection_(connection), begin_us_(begin_us) {}

  void fill(std::int64_t requests) {
    must(connection_.execute("PRAGMA synchronous=OFF; PRAGMA foreign_keys=OFF; PRAGMA cache_size=-200000; BEGIN"));
    fill_instances();
    fill_refusals();
    for (std::int64_t i = 0; i < requests; ++i) {
      add_request(begin_us_ + 30 * kDayUs / requests * i, i);
      if (i % 100'000 == 99'999) must(connection_.execute("COMMIT; BEGIN"));
    }
    write_sums();
    must(connection_.execute("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)"));
  }

 private:
  struct Sums {
    std::array<std::int64_t, 8> values{};  // requests, failed, input, output, ttft, duration, busy_ns, micros
  };

  void fill_instances() {
    must(
        connection_.execute("INSERT INTO price_versions VALUES (1, 't4', 'hourly', 'CNY', 1800000, 3600000000,"
                            " 1000000, 'bench', 1)"));
    for (int d = 1; d <= kDeployments; ++d) {
      must(connection_.execute(fmt::format(
          "INSERT INTO deployments (id, name, image, model_path, driver, runtime, exposure, idle_timeout_ms,"
          " min_instances, max_instances, source, created_us, changed_us) VALUES ({}, 'd{}', 'qwen3-4b:q4_k_m',"
          " '', 'process', 'builtin', 'private', 600000, 0, 2, 'api', 1, 1)",
          d, d)));
      for (int n = 0; n < 60; ++n) {  // every 12 hours a new one, 11 hours long
        const std::int64_t at = begin_us_ + n * 12 * kHourUs;
        const std::string id = make_uuid_v7({at + d});
        instances_[{d, n}] = id;
        must(connection_.execute(
            fmt::format("INSERT INTO start_intents VALUES ('{}', {}, 'process', '', {}, 'request', {},"
                        " 1)",
                        id, d, n + 1, at)));
        must(connection_.execute(fmt::format(
            "INSERT INTO instance_spans (instance_id, deployment_id, requested_us, ready_us, down_us, ready_after_us,"
            " down_after_us, alive_us) VALUES ('{}', {}, {}, {}, {}, 5000000, {}, {})",
            id, d, at, at + 5'000'000, at + 11 * kHourUs, 11 * kHourUs, 11 * kHourUs)));
        for (std::int64_t slot = at; slot < at + 11 * kHourUs; slot += kQuarterUs) {
          must(connection_.execute(fmt::format("INSERT INTO instance_quarters VALUES ({}, '{}', {}, {}, {})", slot, id,
                                               kQuarterUs, slot == at ? 5'000'000 : 0, kQuarterUs / 3)));
        }
      }
    }
  }
  void fill_refusals() {
    for (std::int64_t minute = 0; minute < 30 * 24 * 60; ++minute) {
      must(
          connection_.execute(fmt::format("INSERT INTO refusal_minutes VALUES ({}, 'key_{:012}', 'd1',"
                                          " 'rate_limit_requests', {})",
                                          begin_us_ + minute * 60'000'000, minute % kKeys, 1 + minute % 5)));
    }
  }

  void add_request(std::int64_t at, std::int64_t i) {
    const int deployment = static_cast<int>(random_() % kDeployments) + 1;
    const std::string key = fmt::format("key_{:012}", random_() % kKeys);
    const std::string id = make_uuid_v7({at});
    const bool failed = random_() % 100 == 0;
    const auto duration = static_cast<std::int64_t>(latency_(random_));
    const std::int64_t ttft = duration / 10 + 1;
    const auto output = static_cast<std::int64_t>(random_() % 500);
    const std::int64_t micros = duration / 2000;
    Statement reserve = connection_
                            .prepare(
                                "INSERT INTO request_entries (request_id, kind, at_us, deployment_id, key_id,"
                                " client_request_id, dialect, input_tokens, output_tokens, price_version, micros,"
                                " currency) VALUES (?1, 'reserve', ?2, ?3, ?4, '', 'openai', 800, 500, 1, 900, 'CNY')")
                            .value();
    must(reserve.bind(1, id).bind(2, at).bind(3, std::int64_t{deployment}).bind(4, key).run());
    Statement settle = connection_
                           .prepare(
                               "INSERT INTO request_entries (request_id, kind, at_us, deployment_id, instance_id,"
                               " key_id, dialect, input_tokens, cached_tokens, output_tokens, produced_tokens,"
                               " outcome, error_code, error_kind, finish_reason, http_status, queue_us, ttft_us,"
                               " duration_us, busy_ns, price_version, cost_micros, micros, currency) VALUES (?1,"
                               " 'settle', ?2, ?3, ?4, ?5, 'openai', 300, 100, ?6, ?6, ?7, ?8, ?8, 'stop', 200, 1000,"
                               " ?9, ?10, ?11, 1, ?12, ?12, 'CNY')")
                           .value();
    const auto half_day = static_cast<int>((at - begin_us_) / (12 * kHourUs));
    settle.bind(1, id).bind(2, at + duration).bind(3, std::int64_t{deployment});
    settle.bind(4, instances_[{deployment, half_day}]).bind(5, key).bind(6, output);
    settle.bind(7, failed ? "failed" : "ok").bind(8, failed ? "timeout" : "").bind(9, ttft).bind(10, duration);
    must(settle.bind(11, duration * 500).bind(12, micros).run());
    const std::int64_t slot = slot_of(at + duration);
    Sums& sums = usage_[{slot, deployment, key}];
    const std::array<std::int64_t, 8> values = {1, failed ? 1 : 0, 300, output, ttft, duration, duration * 500, micros};
    for (std::size_t n = 0; n < values.size(); ++n) sums.values.at(n) += values.at(n);
    ++latency_counts_[{slot, deployment, 0, latency_bucket(duration)}];
    ++latency_counts_[{slot, deployment, 1, latency_bucket(ttft)}];
    if (failed) ++errors_[{slot, deployment, key, i % 4}];
  }

  void write_sums() {
    for (const auto& [at, sums] : usage_) {
      const auto& v = sums.values;
      must(connection_.execute(fmt::format(
          "INSERT INTO usage_quarters (slot_us, deployment_id, key_id, currency, requests, failed, input_tokens,"
          " output_tokens, ttft_us, first_tokens, duration_us, busy_ns, cost_micros, micros) VALUES ({}, {}, '{}', "
          "'CNY',"
          " {}, {}, {}, {}, {}, {}, {}, {}, {}, {})",
          std::get<0>(at), std::get<1>(at), std::get<2>(at), v[0], v[1], v[2], v[3], v[4], v[0], v[5], v[6], v[7],
          v[7])));
    }
    for (const auto& [at, count] : latency_counts_) {
      must(connection_.execute(fmt::format("INSERT INTO latency_quarters VALUES ({}, {}, '{}', {}, {})",
                                           std::get<0>(at), std::get<1>(at), std::get<2>(at) == 0 ? "duration" : "ttft",
                                           std::get<3>(at), count)));
    }
    constexpr std::array<const char*, 4> kKinds = {"timeout", "oom", "worker_crashed", "queue_timeout"};
    for (const auto& [at, count] : errors_) {
      must(connection_.execute(fmt::format(
          "INSERT INTO error_quarters VALUES ({}, {}, '{}', '{}', {}, {})", std::get<0>(at), std::get<1>(at),
          std::get<2>(at), kKinds.at(static_cast<std::size_t>(std::get<3>(at))), count, std::get<0>(at))));
    }
  }

  Connection& connection_;
  const std::int64_t begin_us_;
  std::mt19937_64 random_{42};
  std::lognormal_distribution<double> latency_{14.0, 1.0};  // median 1.2 s
  std::map<std::pair<int, int>, std::string> instances_;
  std::map<std::tuple<std::int64_t, int, std::string>, Sums> usage_;
  std::map<std::tuple<std::int64_t, int, int, std::int64_t>, std::int64_t> latency_counts_;
  std::map<std::tuple<std::int64_t, int, std::string, std::int64_t>, std::int64_t> errors_;
};

template <typename T>
std::size_t rows_of(const Result<T>& result) {
  if (!result.has_value()) {
    fmt::print(stderr, "{}\n", result.error().message);
    std::exit(1);
  }
  if constexpr (requires { result->rows; }) return result->rows.size();
  if constexpr (requires { result->lines; }) return result->lines.size();
  if constexpr (requires { result->requests; }) return result->requests.size();
  if constexpr (requires { result->size(); }) return result->size();
}

// Wall time twice, and what of the second was this thread's CPU: the rest is what else the machine did.
template <typename Report>
void measure(const char* name, const Report& report) {
  std::size_t rows = 0;
  const double first = seconds([&] { rows = rows_of(report()); });
  const std::clock_t cpu = std::clock();
  const double second = seconds([&] { rows = rows_of(report()); });
  const double cpu_s = static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC;
  fmt::print("| {:<34} | {:>7} | {:>8.3f} | {:>8.3f} | {:>8.3f} |\n", name, rows, first, second, cpu_s);
}

void measure_reports(const std::string& path, std::int64_t begin_us) {
  Connection connection = Connection::open(path, Access::kReadOnly).value();
  fmt::print("| {:<34} | {:>7} | {:>8} | {:>8} | {:>8} |\n|---|---|---|---|---|\n", "report of the month", "rows",
             "first s", "again s", "CPU s");
  UsageQuery usage;
  usage.begin_us = begin_us;
  usage.end_us = begin_us + 30 * kDayUs;
  usage.zone = TimeZone::load("Asia/Shanghai").value();
  const std::array<std::pair<const char*, UsageBy>, 5> groupings = {{{"usage --by day", UsageBy::kDay},
                                                                     {"usage --by hour", UsageBy::kHour},
                                                                     {"usage --by weekday-hour", UsageBy::kWeekdayHour},
                                                                     {"usage --by key", UsageBy::kKey},
                                                                     {"usage --by deployment", UsageBy::kDeployment}}};
  for (const auto& [name, by] : groupings) {
    usage.by = by;
    measure(name, [&] { return select_usage(connection, usage); });
  }
  usage.by = UsageBy::kDay;
  usage.key_id = "key_000000000007";
  measure("usage --by day --key K", [&] { return select_usage(connection, usage); });
  ErrorQuery errors;
  errors.begin_us = usage.begin_us;
  errors.end_us = usage.end_us;
  measure("usage --by error: errors", [&] { return select_errors(connection, errors); });
  measure("usage --by error: refusals", [&] { return select_refusals(connection, errors); });
  BillQuery bill;
  bill.year = 2026;
  bill.month = 11;
  bill.zone = usage.zone;
  measure("bill", [&] { return select_bill(connection, bill); });
  measure("bill --format focus-csv", [&] { return select_focus(connection, bill); });
  WorkloadQuery workload;
  workload.deployment = "d1";
  workload.begin_us = usage.begin_us;
  workload.end_us = usage.begin_us + kDayUs;
  measure("workload of d1, a day", [&] { return select_workload(connection, workload); });
  workload.end_us = usage.end_us;
  measure("workload of d1", [&] { return select_workload(connection, workload); });
  RequestQuery requests;
  measure("requests, a page of 100", [&] { return select_requests(connection, requests); });
  requests.outcome = "open";
  measure("requests, 50,000 looked at", [&] { return select_requests(connection, requests); });
}

// The steps that take one day out, each its own commit.
void measure_retention(const std::string& path, std::int64_t begin_us) {
  Store store = Store::open(path, {begin_us + 31 * kDayUs}, 0).value();
  const TimeZone zone = TimeZone::load("Asia/Shanghai").value();
  auto cursor = std::make_shared<CompactCursor>();
  std::array<std::vector<double>, CompactCursor::kEnd> times;
  while (!cursor->is_done()) {
    std::vector<double>& of_table = times.at(static_cast<std::size_t>(cursor->table));
    of_table.push_back(seconds([&] {
      must(store.begin());
      must(store.apply(Compact{begin_us + kDayUs, zone, cursor}, {begin_us + 31 * kDayUs}));
      must(store.commit({begin_us + 31 * kDayUs}, 0));
    }));
  }
  constexpr std::array<const char*, CompactCursor::kEnd> kNames = {"request_entries", "refusal_minutes",
                                                                   "usage_quarters",  "latency_quarters",
                                                                   "error_quarters",  "instance_quarters"};
  fmt::print("\n| retention of a day, steps | steps | median ms | p99 ms | longest ms |\n|---|---|---|---|---|\n");
  for (std::size_t table = 0; table < times.size(); ++table) {
    std::vector<double>& t = times.at(table);
    std::sort(t.begin(), t.end());
    fmt::print("| {} | {} | {:.1f} | {:.1f} | {:.1f} |\n", kNames.at(table), t.size(), t[t.size() / 2] * 1e3,
               t[t.size() * 99 / 100] * 1e3, t.back() * 1e3);
  }
}

int run(int argc, char** argv) {
  set_log_level(LogLevel::kError);
  std::int64_t requests = 10'000'000;
  if (argc > 1) std::from_chars(argv[1], argv[1] + std::string_view(argv[1]).size(), requests);
  std::string directory = (argc > 2 ? std::string(argv[2]) : std::string(".")) + "/reports_bench_XXXXXX";
  if (::mkdtemp(directory.data()) == nullptr) return 1;
  const std::string path = directory + "/ledger.db";
  const std::int64_t begin_us = TimeZone::load("Asia/Shanghai").value().first({.year = 2026, .month = 11}).us;
  {
    Connection connection = Connection::open(path, Access::kReadWrite).value();
    static_cast<void>(migrate(connection, all_migrations(), 1).value());
    const double took = seconds([&] { Month(connection, begin_us).fill(requests); });
    fmt::print("{} requests in {:.0f} s, file {:.2f} GB ({:.0f} bytes a request)\n\n", requests, took,
               static_cast<double>(std::filesystem::file_size(path)) / 1e9,
               static_cast<double>(std::filesystem::file_size(path)) / static_cast<double>(requests));
  }
  measure_reports(path, begin_us);
  measure_retention(path, begin_us);
  std::filesystem::remove_all(directory);
  return 0;
}

}  // namespace
}  // namespace dormouse::ledger

int main(int argc, char** argv) {
  return dormouse::ledger::run(argc, argv);
}
