#include "worker/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace dormouse::worker {
namespace {

// vLLM's bounds, thinned: dashboards interpolate.
constexpr std::array<double, 14> kFirstToken = {0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160};
constexpr std::array<double, 12> kInterToken = {0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.4, 0.8, 2, 5};
constexpr std::array<double, 12> kTotal = {0.3, 0.5, 1, 2, 5, 10, 20, 40, 60, 120, 300, 600};
constexpr std::array<double, 14> kTokens = {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 50000};
// Clients choose field names: a table of them must not grow for ever.
constexpr std::size_t kMaxIgnoredNames = 64;

// Backslash, quote and newline are what the text format wants escaped.
std::string label(std::string_view value) {
  std::string out;
  for (const char c : value) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n')
      out += "\\n";
    else
      out += c;
  }
  return out;
}

template <typename T>
void sample(std::string& out, std::string_view name, std::string_view labels, T value) {
  fmt::format_to(std::back_inserter(out), "{}{{{}}} {}\n", name, labels, value);
}
template <typename T>
void single(std::string& out, std::string_view name, std::string_view type, std::string_view labels, T value) {
  fmt::format_to(std::back_inserter(out), "# TYPE {} {}\n", name, type);
  sample(out, name, labels, value);
}

}  // namespace

void Histogram::observe(double value) {
  const auto bound = std::lower_bound(bounds_.begin(), bounds_.end(), value);
  counts_[static_cast<std::size_t>(bound - bounds_.begin())] += 1;
  sum_ += value;
}

void Histogram::write(std::string& out, std::string_view name, std::string_view labels) const {
  fmt::format_to(std::back_inserter(out), "# TYPE {} histogram\n", name);
  std::uint64_t cumulative = 0;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    cumulative += counts_[i];
    const std::string bound = i < bounds_.size() ? fmt::format("{}", bounds_[i]) : "+Inf";
    fmt::format_to(std::back_inserter(out), "{}_bucket{{{},le=\"{}\"}} {}\n", name, labels, bound, cumulative);
  }
  fmt::format_to(std::back_inserter(out), "{0}_sum{{{1}}} {2}\n{0}_count{{{1}}} {3}\n", name, labels, sum_, cumulative);
}

Metrics::Metrics()
    : first_token_(kFirstToken),
      inter_token_(kInterToken),
      total_(kTotal),
      prompt_tokens_(kTokens),
      generated_tokens_(kTokens) {}

void Metrics::count_finished(const Finished& request) {
  finished_[std::string(request.reason)] += 1;
  if (request.first_token_s >= 0) first_token_.observe(request.first_token_s);
  total_.observe(request.total_s);
  prompt_tokens_.observe(static_cast<double>(request.prompt_tokens));
  generated_tokens_.observe(static_cast<double>(request.generated_tokens));
}

void Metrics::count_http(std::string_view handler, std::string_view method, int status) {
  http_[fmt::format("handler=\"{}\",method=\"{}\",status=\"{}xx\"", handler, method, status / 100)] += 1;
}

void Metrics::count_ignored_field(std::string_view name) {
  std::string key(name.substr(0, 64));
  if (!ignored_.contains(key) && ignored_.size() >= kMaxIgnoredNames) key = "(other)";
  ignored_[key] += 1;
}

std::string Metrics::write(std::string_view model, const EngineSnapshot& engine) const {
  const std::string labels = fmt::format("model_name=\"{}\"", label(model));
  std::string out;
  single(out, "vllm:num_requests_running", "gauge", labels, engine.running);
  single(out, "vllm:num_requests_waiting", "gauge", labels, engine.waiting);
  const double used = engine.kv_pages == 0 ? 0.0
                                           : static_cast<double>(engine.kv_pages - engine.kv_pages_free) /
                                                 static_cast<double>(engine.kv_pages);
  single(out, "vllm:kv_cache_usage_perc", "gauge", labels, used);
  single(out, "vllm:prompt_tokens_total", "counter", labels, engine.prompt_tokens);
  single(out, "vllm:generation_tokens_total", "counter", labels, engine.generated_tokens);
  single(out, "vllm:num_preemptions_total", "counter", labels, engine.preemptions);
  single(out, "vllm:prefix_cache_queries_total", "counter", labels, engine.prefix_queries);
  single(out, "vllm:prefix_cache_hits_total", "counter", labels, engine.prefix_hits);
  single(out, "vllm:spec_decode_num_draft_tokens_total", "counter", labels, engine.draft_tokens);
  single(out, "vllm:spec_decode_num_accepted_tokens_total", "counter", labels, engine.accepted_tokens);
  out += "# TYPE vllm:request_success_total counter\n";
  for (const auto& [reason, count] : finished_) {
    sample(out, "vllm:request_success_total", fmt::format("{},finished_reason=\"{}\"", labels, reason), count);
  }
  first_token_.write(out, "vllm:time_to_first_token_seconds", labels);
  inter_token_.write(out, "vllm:inter_token_latency_seconds", labels);
  total_.write(out, "vllm:e2e_request_latency_seconds", labels);
  prompt_tokens_.write(out, "vllm:request_prompt_tokens", labels);
  generated_tokens_.write(out, "vllm:request_generation_tokens", labels);
  out += "# TYPE http_requests_total counter\n";
  for (const auto& [set, count] : http_) sample(out, "http_requests_total", set, count);
  out += "# TYPE dormouse_errors_total counter\n";
  for (const auto& [code, count] : errors_) {
    sample(out, "dormouse_errors_total", fmt::format("{},code=\"{}\"", labels, code), count);
  }
  out += "# TYPE dormouse_ignored_fields_total counter\n";
  for (const auto& [field, count] : ignored_) {
    sample(out, "dormouse_ignored_fields_total", fmt::format("{},field=\"{}\"", labels, label(field)), count);
  }
  single(out, "dormouse_loop_guard_total", "counter", labels, engine.circles);
  single(out, "dormouse_engine_steps_total", "counter", labels, engine.steps);
  single(out, "dormouse_kv_pages", "gauge", labels, engine.kv_pages);
  single(out, "dormouse_kv_pages_free", "gauge", labels, engine.kv_pages_free);
  single(out, "dormouse_kv_pages_idle", "gauge", labels, engine.kv_pages_idle);
  single(out, "dormouse_prefill_chunk_tokens", "gauge", labels, engine.prefill_chunk);
  single(out, "dormouse_load_seconds", "gauge", labels, load_seconds_);
  return out;
}

}  // namespace dormouse::worker
