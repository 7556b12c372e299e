#include "gateway/metrics.h"

#include <fmt/format.h>

#include <string_view>

namespace dormouse::gateway {
namespace {

void declare(std::string& out, std::string_view name, std::string_view type, std::string_view help) {
  out += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

void gauge(std::string& out, std::string_view name, double value, std::string_view help) {
  declare(out, name, "gauge", help);
  out += fmt::format("{} {}\n", name, value);
}

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

}  // namespace

void Histogram::observe(double value) {
  std::size_t bucket = 0;
  while (bucket < kBounds.size() && value > kBounds[bucket]) ++bucket;
  ++counts_[bucket];
  sum_ += value;
  ++total_;
}

void Histogram::write(std::string& out, const std::string& name, const std::string& labels) const {
  const std::string separator = labels.empty() ? "" : ",";
  std::uint64_t cumulative = 0;
  for (std::size_t i = 0; i < kBounds.size(); ++i) {
    cumulative += counts_[i];
    out += fmt::format("{}_bucket{{{}{}le=\"{}\"}} {}\n", name, labels, separator, kBounds[i], cumulative);
  }
  out += fmt::format("{}_bucket{{{}{}le=\"+Inf\"}} {}\n", name, labels, separator, total_);
  out += fmt::format("{}_sum{{{}}} {}\n{}_count{{{}}} {}\n", name, labels, sum_, name, labels, total_);
}

void Metrics::count_request(const Call& call, Nanoseconds took) {
  const std::string route = call.route != nullptr ? call.route->pattern : std::string("unknown");
  ++requests_[{route, method_label(call.request().method), call.status}];
  if (!call.error_code.empty()) ++errors_[call.error_code];
  if (call.deployment.empty()) return;
  PerDeployment& d = deployments_[call.deployment];
  d.prompt_tokens += static_cast<std::uint64_t>(call.prompt_tokens);
  d.generation_tokens += static_cast<std::uint64_t>(call.completion_tokens);
  d.duration.observe(seconds(took));
  if (call.wake_wait.count() > 0) {
    ++d.cold_requests;
    d.wake_wait.observe(seconds(call.wake_wait));
  }
  if (call.first_token.count() > 0) d.first_token.observe(seconds(call.first_token));
}

std::string Metrics::write(const MetricsSnapshot& now) const {
  std::string out;
  declare(out, "dormouse_http_requests_total", "counter", "Finished requests by route, method and status.");
  for (const auto& [key, count] : requests_) {
    const auto& [route, method, status] = key;
    out += fmt::format("dormouse_http_requests_total{{route=\"{}\",method=\"{}\",status=\"{}\"}} {}\n", route, method,
                       status, count);
  }
  declare(out, "dormouse_errors_total", "counter", "Requests that ended in an error, by code.");
  for (const auto& [code, count] : errors_)
    out += fmt::format("dormouse_errors_total{{code=\"{}\"}} {}\n", code, count);

  declare(out, "dormouse_prompt_tokens_total", "counter", "Prompt tokens billed.");
  declare(out, "dormouse_generation_tokens_total", "counter", "Generated tokens billed.");
  declare(out, "dormouse_cold_requests_total", "counter", "Requests that met a sleeping or waking instance.");
  for (const auto& [name, d] : deployments_) {
    const std::string labels = fmt::format("deployment=\"{}\"", name);
    out += fmt::format("dormouse_prompt_tokens_total{{{}}} {}\n", labels, d.prompt_tokens);
    out += fmt::format("dormouse_generation_tokens_total{{{}}} {}\n", labels, d.generation_tokens);
    out += fmt::format("dormouse_cold_requests_total{{{}}} {}\n", labels, d.cold_requests);
  }
  declare(out, "dormouse_wake_wait_seconds", "histogram", "How long cold requests waited for a ready instance.");
  declare(out, "dormouse_time_to_first_token_seconds", "histogram", "From accepted to the first token.");
  declare(out, "dormouse_request_seconds", "histogram", "From accepted to the last byte.");
  for (const auto& [name, d] : deployments_) {
    const std::string labels = fmt::format("deployment=\"{}\"", name);
    d.wake_wait.write(out, "dormouse_wake_wait_seconds", labels);
    d.first_token.write(out, "dormouse_time_to_first_token_seconds", labels);
    d.duration.write(out, "dormouse_request_seconds", labels);
  }

  declare(out, "dormouse_instances", "gauge", "Instances by state; a sleeping deployment has none.");
  declare(out, "dormouse_requests_running", "gauge", "Requests on an instance now.");
  declare(out, "dormouse_requests_waiting", "gauge", "Requests held for a waking instance now.");
  declare(out, "dormouse_wakes_total", "counter", "Starts that became ready since the gateway started.");
  for (const MetricsSnapshot::Deployment& d : now.deployments) {
    for (const auto& [state, count] : d.instances_by_state) {
      out += fmt::format("dormouse_instances{{deployment=\"{}\",state=\"{}\"}} {}\n", d.name, state, count);
    }
    out += fmt::format("dormouse_requests_running{{deployment=\"{}\"}} {}\n", d.name, d.running);
    out += fmt::format("dormouse_requests_waiting{{deployment=\"{}\"}} {}\n", d.name, d.waiting);
    out += fmt::format("dormouse_wakes_total{{deployment=\"{}\"}} {}\n", d.name, d.wakes);
  }
  declare(out, "dormouse_ignored_fields_total", "counter", "Unknown request fields that were ignored.");
  out += fmt::format("dormouse_ignored_fields_total {}\n", ignored_fields_);
  declare(out, "dormouse_retries_total", "counter", "Requests sent a second time after a worker was lost.");
  out += fmt::format("dormouse_retries_total {}\n", retries_);
  gauge(out, "dormouse_ledger_writable", now.ledger_writable ? 1 : 0, "1 when the last commit succeeded.");
  gauge(out, "dormouse_ledger_queued", static_cast<double>(now.ledger_queued), "Commands waiting for a commit.");
  gauge(out, "dormouse_ledger_unsettled", static_cast<double>(now.ledger_unsettled), "Settlements held in memory.");
  gauge(out, "dormouse_connections", static_cast<double>(now.connections), "Open client connections.");
  gauge(out, "process_resident_memory_bytes", static_cast<double>(now.resident_bytes), "Resident memory.");
  gauge(out, "dormouse_uptime_seconds", now.uptime_s, "Seconds since start.");
  return out;
}

}  // namespace dormouse::gateway
