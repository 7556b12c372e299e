// Counters and histograms in Prometheus's text format, by hand (the ledger is the source, these are a view). Labels
// come from fixed sets (route patterns, states, deployment names), so the number of series is bounded. Threads: the
// loop's.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "base/clock.h"
#include "gateway/call.h"

namespace dormouse::gateway {

// Cumulative buckets in seconds, Prometheus's way.
class Histogram {
 public:
  void observe(double seconds);
  // Appends NAME_bucket{LABELS,le=..}, NAME_sum, NAME_count. labels: `a="b"` or empty.
  void write(std::string& out, const std::string& name, const std::string& labels) const;

 private:
  // From a wake out of the page cache (tens of ms) to a load from a slow disk (minutes).
  static constexpr std::array<double, 14> kBounds{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120};
  std::array<std::uint64_t, kBounds.size() + 1> counts_{};
  double sum_ = 0;
  std::uint64_t total_ = 0;
};

// What the fleet looks like now, handed in at scrape time.
struct MetricsSnapshot {
  struct Deployment {
    std::string name;
    std::string state;
    std::int64_t running = 0;
    std::int64_t waiting = 0;
    std::uint64_t wakes = 0;
    std::map<std::string, int> instances_by_state;
  };
  std::vector<Deployment> deployments;
  std::int64_t ledger_queued = 0;
  std::int64_t ledger_unsettled = 0;
  bool ledger_writable = true;
  std::int64_t connections = 0;
  std::int64_t resident_bytes = 0;
  double uptime_s = 0;
};

class Metrics {
 public:
  // Every request, once, after its end.
  void count_request(const Call& call, Nanoseconds took);
  void count_ignored_fields(std::size_t count) { ignored_fields_ += count; }
  void count_retry() { ++retries_; }
  [[nodiscard]] std::string write(const MetricsSnapshot& now) const;

 private:
  struct PerDeployment {
    std::uint64_t prompt_tokens = 0;
    std::uint64_t generation_tokens = 0;
    std::uint64_t cold_requests = 0;
    Histogram wake_wait;
    Histogram first_token;
    Histogram duration;
  };
  std::map<std::tuple<std::string, std::string, int>, std::uint64_t> requests_;  // route, method, status
  std::map<std::string, std::uint64_t> errors_;                                  // by code
  std::map<std::string, PerDeployment> deployments_;
  std::uint64_t ignored_fields_ = 0;
  std::uint64_t retries_ = 0;
};

}  // namespace dormouse::gateway
