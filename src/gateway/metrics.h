// What /metrics counts, over the life of this process (the ledger is the source of every bill, this is a view): vLLM's
// names where vLLM has one and we know the value, so that existing boards and autoscalers work; OpenCost's for prices;
// dormouse_* for life and cost. docs/metrics.md lists them. Labels come from fixed sets (route patterns, states, codes,
// deployment names), so the number of series is bounded. Reading them wakes nothing. Threads: the loop's.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "fleet/supervisor.h"
#include "gateway/advice.h"
#include "gateway/call.h"
#include "gateway/exposition.h"
#include "gateway/last_minute.h"
#include "gateway/speed_note.h"
#include "gateway/vitals.h"

namespace dormouse::gateway {

// What is so now, handed in at scrape time.
struct MetricsSnapshot {
  struct Deployment {
    fleet::DeploymentStatus status;
    double idle_timeout_s = 0;
    std::optional<HourPrice> price;  // nullopt: not known, and then nothing is said of cost
    SpeedView speed;
  };
  std::vector<Deployment> deployments;
  Vitals vitals;
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
  // Of a running answer: so many tokens came, so long after the ones before.
  void count_tokens(const std::string& deployment, std::int64_t tokens, Nanoseconds since_last);
  // Of a running answer, the first ones included.
  void note_tokens(const std::string& deployment, std::int64_t tokens, MonoTime sent, MonoTime now) {
    minutes_[deployment].add_tokens(tokens, sent, now);
  }
  [[nodiscard]] LastMinute::Work last_minute(const std::string& deployment, MonoTime now) const;
  void count_ignored_fields(std::size_t count) { ignored_fields_ += count; }
  void count_retry() { ++retries_; }
  void count_wake(const std::string& deployment, const std::string& cause, const fleet::WakeStages& stages);
  void count_end(const std::string& deployment, const fleet::AwakeTime& awake);
  // Forgets what was counted for deployments that are no more: names must not pile up.
  void keep_only(const std::set<std::string>& deployments);
  [[nodiscard]] std::string write(const MetricsSnapshot& now) const;

  // Told of each request after its end, beside the counters.
  void set_on_finished(std::function<void(const Call&)> on_finished) { on_finished_ = std::move(on_finished); }

 private:
  friend class Answering;
  struct PerDeployment {
    PerDeployment();
    std::uint64_t prompt_tokens = 0;
    std::uint64_t cached_tokens = 0;
    std::uint64_t generation_tokens = 0;
    std::uint64_t cold_requests = 0;
    std::map<std::string, std::uint64_t> finished;  // by reason: stop length abort error
    Histogram wake_wait;
    Histogram first_token;
    Histogram duration;
    // vLLM's, with vLLM's bounds.
    Histogram vllm_first_token;
    Histogram vllm_inter_token;
    Histogram vllm_per_token;
    Histogram vllm_latency;
    Histogram vllm_queue;
    Histogram vllm_decode;
    Histogram vllm_prompt_tokens;
    Histogram vllm_generation_tokens;
    // Of instances.
    std::map<std::string, std::uint64_t> wakes;  // by cause
    Histogram wake;
    fleet::AwakeTime ended;                              // of instances that are no more
    std::map<std::string, std::int64_t> charged_micros;  // by currency
  };

  // Never called where there is no price: 0 would be a lie.
  void count_charge(const std::string& deployment, std::int64_t micros, const std::string& currency);
  void write_http(Exposition& out) const;
  void write_vllm(Exposition& out, const MetricsSnapshot& now) const;
  void write_requests(Exposition& out) const;
  void write_life(Exposition& out, const MetricsSnapshot& now) const;
  void write_awake(Exposition& out, const MetricsSnapshot& now) const;
  void write_cost(Exposition& out, const MetricsSnapshot& now) const;
  static void write_speed(Exposition& out, const MetricsSnapshot& now);
  static void write_vitals(Exposition& out, const Vitals& vitals);
  void write_gateway(Exposition& out, const MetricsSnapshot& now) const;
  [[nodiscard]] fleet::AwakeTime awake_of(const fleet::DeploymentStatus& status) const;

  std::map<std::tuple<std::string, std::string, int>, std::uint64_t> requests_;  // route, method, status
  std::map<std::string, std::uint64_t> errors_;                                  // by code
  std::map<std::string, PerDeployment> deployments_;
  std::map<std::string, LastMinute> minutes_;         // by deployment
  std::map<std::string, std::set<Call*>> answering_;  // by deployment
  std::uint64_t ignored_fields_ = 0;
  std::uint64_t retries_ = 0;
  std::function<void(const Call&)> on_finished_;
};

// Stands for one answer of a deployment while it is made: keeps Call::together of all that run beside it.
class Answering {
 public:
  // call.deployment is set.
  Answering(Metrics& metrics, Call& call);
  ~Answering();
  Answering(const Answering&) = delete;
  Answering& operator=(const Answering&) = delete;

 private:
  Metrics& metrics_;
  Call& call_;
};

}  // namespace dormouse::gateway
