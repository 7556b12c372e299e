#include "gateway/metrics.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace dormouse::gateway {
namespace {

// From a wake out of the page cache (tens of ms) to a load from a slow disk (minutes).
constexpr std::array<double, 14> kWaits{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120};
// vLLM's own bounds, of v0.8 and later: a quantile computed over both sorts of servers must not jump.
constexpr std::array<double, 22> kFirstToken{0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75,
                                             1,     2.5,   5,    7.5,  10,   20,   40,   80,  160,  640, 2560};
constexpr std::array<double, 19> kPerToken{0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5,
                                           0.75, 1,     2.5,  5,     7.5, 10,   20,  40,  80};
constexpr std::array<double, 21> kLatency{0.3, 0.5, 0.8, 1,  1.5, 2,   2.5, 5,   10,   15,  20,
                                          30,  40,  50,  60, 120, 240, 480, 960, 1920, 7680};
constexpr std::array<double, 15> kTokens{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000};

double seconds(Nanoseconds d) {
  return static_cast<double>(d.count()) / 1e9;
}

// A method is the client's word: only known ones become a label.
std::string method_label(std::string_view method) {
  for (const std::string_view known : {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"}) {
    if (method == known) return std::string(known);
  }
  return "other";
}

// vLLM's words for how a request ended.
std::string reason_label(const Call& call) {
  if (call.stop.reason() == StopReason::kClientGone) return "abort";
  if (!call.error_code.empty()) return "error";
  return call.finish_reason == "length" ? "length" : "stop";
}

}  // namespace

Metrics::PerDeployment::PerDeployment()
    : wake_wait(kWaits),
      first_token(kWaits),
      duration(kWaits),
      vllm_first_token(kFirstToken),
      vllm_inter_token(kPerToken),
      vllm_per_token(kPerToken),
      vllm_latency(kLatency),
      vllm_queue(kLatency),
      vllm_decode(kLatency),
      vllm_prompt_tokens(kTokens),
      vllm_generation_tokens(kTokens),
      wake(kWaits) {}

void Metrics::count_request(const Call& call, Nanoseconds took) {
  const std::string route = call.route != nullptr ? call.route->pattern : std::string("unknown");
  ++requests_[{route, method_label(call.request().method), call.status}];
  if (!call.error_code.empty()) ++errors_[call.error_code];
  if (on_finished_) on_finished_(call);
  if (call.deployment.empty()) return;
  minutes_[call.deployment].add_request(call.accepted + took);
  PerDeployment& d = deployments_[call.deployment];
  d.prompt_tokens += static_cast<std::uint64_t>(call.prompt_tokens);
  d.cached_tokens += static_cast<std::uint64_t>(std::min(call.cached_tokens, call.prompt_tokens));
  d.generation_tokens += static_cast<std::uint64_t>(call.completion_tokens);
  if (call.charge.has_value()) count_charge(call.deployment, call.charge->micros, call.charge->currency);
  ++d.finished[reason_label(call)];
  d.duration.observe(seconds(took));
  d.vllm_latency.observe(seconds(took));
  d.vllm_queue.observe(seconds(call.queue_wait));
  if (call.wake_wait.count() > 0) {
    ++d.cold_requests;
    d.wake_wait.observe(seconds(call.wake_wait));
  }
  if (call.first_token.count() <= 0) return;
  d.first_token.observe(seconds(call.first_token));
  d.vllm_first_token.observe(seconds(call.first_token));
  d.vllm_decode.observe(seconds(call.decode_time));
  d.vllm_prompt_tokens.observe(static_cast<double>(call.prompt_tokens));
  d.vllm_generation_tokens.observe(static_cast<double>(call.completion_tokens));
  if (call.completion_tokens > 1) {
    d.vllm_per_token.observe(seconds(call.decode_time) / static_cast<double>(call.completion_tokens - 1));
  }
}

void Metrics::count_tokens(const std::string& deployment, std::int64_t tokens, Nanoseconds since_last) {
  // Several that came as one (speculation, a batched write) count as that many even steps.
  const std::int64_t steps = std::max<std::int64_t>(1, tokens);
  deployments_[deployment].vllm_inter_token.observe(seconds(since_last) / static_cast<double>(steps),
                                                    static_cast<std::uint64_t>(steps));
}

LastMinute::Work Metrics::last_minute(const std::string& deployment, MonoTime now) const {
  const auto found = minutes_.find(deployment);
  return found == minutes_.end() ? LastMinute::Work{} : found->second.until(now);
}

void Metrics::count_wake(const std::string& deployment, const std::string& cause, const fleet::WakeStages& stages) {
  PerDeployment& d = deployments_[deployment];
  ++d.wakes[cause];
  d.wake.observe(seconds(stages.whole()));
}

void Metrics::count_end(const std::string& deployment, const fleet::AwakeTime& awake) {
  deployments_[deployment].ended += awake;
}

void Metrics::count_charge(const std::string& deployment, std::int64_t micros, const std::string& currency) {
  deployments_[deployment].charged_micros[currency] += micros;
}

void Metrics::keep_only(const std::set<std::string>& deployments) {
  std::erase_if(deployments_, [&deployments](const auto& entry) { return !deployments.contains(entry.first); });
  std::erase_if(minutes_, [&deployments](const auto& entry) { return !deployments.contains(entry.first); });
}

Answering::Answering(Metrics& metrics, Call& call) : metrics_(metrics), call_(call) {
  std::set<Call*>& all = metrics_.answering_[call_.deployment];
  all.insert(&call_);
  const auto now = static_cast<std::int64_t>(all.size());
  for (Call* other : all) other->together = std::max(other->together, now);
}

Answering::~Answering() {
  const auto found = metrics_.answering_.find(call_.deployment);
  if (found == metrics_.answering_.end()) return;
  found->second.erase(&call_);
  if (found->second.empty()) metrics_.answering_.erase(found);
}

}  // namespace dormouse::gateway
