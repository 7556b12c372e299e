// Metrics::write: the counters and the state of the fleet as Prometheus's text.
#include <algorithm>
#include <array>

#include "gateway/metrics.h"

namespace dormouse::gateway {
namespace {

constexpr std::array<std::string_view, 8> kStates{"asleep",   "starting", "loading", "ready",
                                                  "draining", "stopping", "backoff", "failed"};
constexpr std::array<std::string_view, 4> kReasons{"stop", "length", "abort", "error"};

double seconds(Nanoseconds d) {
  return static_cast<double>(d.count()) / 1e9;
}

std::string_view status_class(int status) {
  constexpr std::array<std::string_view, 6> kClasses{"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
  const int hundreds = status / 100;
  return hundreds >= 1 && hundreds <= 5 ? kClasses[static_cast<std::size_t>(hundreds)] : kClasses[0];
}

double money(std::int64_t micros) {
  return static_cast<double>(micros) / 1e6;
}

}  // namespace

std::string Metrics::write(const MetricsSnapshot& now) const {
  Exposition out;
  write_http(out);
  write_vllm(out, now);
  write_requests(out);
  write_life(out, now);
  write_awake(out, now);
  write_cost(out, now);
  write_speed(out, now);
  write_vitals(out, now.vitals);
  write_gateway(out, now);
  return out.take();
}

void Metrics::write_http(Exposition& out) const {
  out.family("dormouse_http_requests_total", "counter", "Finished requests by route, method and status.");
  for (const auto& [key, count] : requests_) {
    const auto& [route, method, status] = key;
    out.sample({{"route", route}, {"method", method}, {"status", fmt::format("{}", status)}}, count);
  }
  std::map<std::tuple<std::string_view, std::string_view, std::string_view>, std::uint64_t> classes;
  for (const auto& [key, count] : requests_) {
    const auto& [route, method, status] = key;
    classes[{route, method, status_class(status)}] += count;
  }
  out.family("http_requests_total", "counter", "Finished requests, with the labels vLLM gives them.");
  for (const auto& [key, count] : classes) {
    const auto& [handler, method, status] = key;
    out.sample({{"handler", handler}, {"method", method}, {"status", status}}, count);
  }
  out.family("dormouse_errors_total", "counter", "Requests that ended in an error, by code.");
  for (const auto& [code, count] : errors_) out.sample({{"code", code}}, count);
}

void Metrics::write_vllm(Exposition& out, const MetricsSnapshot& now) const {
  using Snapshot = MetricsSnapshot::Deployment;
  const auto state = [&](std::string_view name, std::string_view help, auto value) {
    out.family(name, "gauge", help);
    for (const Snapshot& d : now.deployments) out.sample({{"model_name", d.status.name}}, value(d));
  };
  const auto counter = [&](std::string_view name, std::string_view help, auto value) {
    out.family(name, "counter", help);
    for (const auto& [name_, d] : deployments_) out.sample({{"model_name", name_}}, value(d));
  };
  const auto histogram = [&](std::string_view name, std::string_view help, auto member) {
    out.family(name, "histogram", help);
    for (const auto& [name_, d] : deployments_) out.histogram({{"model_name", name_}}, d.*member);
  };
  using D = PerDeployment;
  state("vllm:num_requests_running", "Requests on an instance.", [](const Snapshot& d) { return d.status.running; });
  state("vllm:num_requests_waiting", "Requests held for an instance, a sleeping one too.",
        [](const Snapshot& d) { return d.status.waiting; });
  counter("vllm:prompt_tokens_total", "Prompt tokens billed.", [](const D& d) { return d.prompt_tokens; });
  counter("vllm:generation_tokens_total", "Generated tokens billed.", [](const D& d) { return d.generation_tokens; });
  counter("vllm:prefix_cache_queries_total", "Prompt tokens looked up in the prefix cache.",
          [](const D& d) { return d.prompt_tokens; });
  counter("vllm:prefix_cache_hits_total", "And found there, as instances report it.",
          [](const D& d) { return d.cached_tokens; });
  out.family("vllm:request_success_total", "counter", "Requests by how they ended.");
  for (const auto& [name, d] : deployments_) {
    for (const std::string_view reason : kReasons) {
      const auto found = d.finished.find(std::string(reason));
      out.sample({{"model_name", name}, {"finished_reason", reason}}, found == d.finished.end() ? 0 : found->second);
    }
  }
  histogram("vllm:time_to_first_token_seconds", "Accepted to first token, waking included.", &D::vllm_first_token);
  histogram("vllm:inter_token_latency_seconds", "Between tokens.", &D::vllm_inter_token);
  histogram("vllm:time_per_output_token_seconds", "The older name of inter_token_latency.", &D::vllm_inter_token);
  histogram("vllm:request_time_per_output_token_seconds", "Mean between a request's tokens.", &D::vllm_per_token);
  histogram("vllm:e2e_request_latency_seconds", "Accepted to last byte.", &D::vllm_latency);
  histogram("vllm:request_queue_time_seconds", "Accepted to sent to an instance, waking included.", &D::vllm_queue);
  histogram("vllm:request_decode_time_seconds", "First token to last.", &D::vllm_decode);
  histogram("vllm:request_prompt_tokens", "Prompt tokens of a request.", &D::vllm_prompt_tokens);
  histogram("vllm:request_generation_tokens", "Generated tokens of a request.", &D::vllm_generation_tokens);
}

void Metrics::write_requests(Exposition& out) const {
  const auto counter = [&](std::string_view name, std::string_view help, auto value) {
    out.family(name, "counter", help);
    for (const auto& [name_, d] : deployments_) out.sample({{"deployment", name_}}, value(d));
  };
  const auto histogram = [&](std::string_view name, std::string_view help, auto member) {
    out.family(name, "histogram", help);
    for (const auto& [name_, d] : deployments_) out.histogram({{"deployment", name_}}, d.*member);
  };
  using D = PerDeployment;
  counter("dormouse_prompt_tokens_total", "Prompt tokens billed.", [](const D& d) { return d.prompt_tokens; });
  counter("dormouse_generation_tokens_total", "Generated tokens billed.",
          [](const D& d) { return d.generation_tokens; });
  counter("dormouse_cold_requests_total", "Requests that met a sleeping or waking instance.",
          [](const D& d) { return d.cold_requests; });
  histogram("dormouse_wake_wait_seconds", "How long cold requests waited for a ready instance.", &D::wake_wait);
  histogram("dormouse_time_to_first_token_seconds", "From accepted to the first token.", &D::first_token);
  histogram("dormouse_request_seconds", "From accepted to the last byte.", &D::duration);
  histogram("dormouse_wake_seconds", "From asked for to ready, of an instance.", &D::wake);
}

void Metrics::write_life(Exposition& out, const MetricsSnapshot& now) const {
  out.family("dormouse_deployment_state", "gauge", "1 for the state a deployment is in, 0 for the others.");
  for (const auto& d : now.deployments) {
    for (const std::string_view state : kStates) {
      out.sample({{"deployment", d.status.name}, {"state", state}}, d.status.state == state ? 1 : 0);
    }
  }
  out.family("dormouse_instances", "gauge", "Instances by state; a sleeping deployment has none.");
  for (const auto& d : now.deployments) {
    std::map<std::string, int> by_state;
    for (const fleet::InstanceStatus& instance : d.status.instances) ++by_state[instance.state];
    for (const auto& [state, count] : by_state) out.sample({{"deployment", d.status.name}, {"state", state}}, count);
  }
  const auto state = [&](std::string_view name, std::string_view type, std::string_view help, auto value) {
    out.family(name, type, help);
    for (const auto& d : now.deployments) out.sample({{"deployment", d.status.name}}, value(d));
  };
  using Snapshot = MetricsSnapshot::Deployment;
  state("dormouse_requests_running", "gauge", "Requests on an instance now.",
        [](const Snapshot& d) { return d.status.running; });
  state("dormouse_requests_waiting", "gauge", "Requests held for a waking instance now.",
        [](const Snapshot& d) { return d.status.waiting; });
  state("dormouse_wakes_total", "counter", "Starts that became ready since the gateway started.",
        [](const Snapshot& d) { return d.status.wakes; });
  state("dormouse_consecutive_failures", "gauge", "Starts that failed, since the last that did not.",
        [](const Snapshot& d) { return d.status.consecutive_failures; });
  state("dormouse_idle_timeout_seconds", "gauge", "How long it stays awake after its last request.",
        [](const Snapshot& d) { return d.idle_timeout_s; });
  out.family("dormouse_awake_reason", "gauge", "1 for why a deployment is awake; absent while it is not.");
  for (const auto& d : now.deployments) {
    if (!d.status.awake_because.empty()) {
      out.sample({{"deployment", d.status.name}, {"reason", d.status.awake_because}}, 1);
    }
  }
}

fleet::AwakeTime Metrics::awake_of(const fleet::DeploymentStatus& status) const {
  const auto found = deployments_.find(status.name);
  fleet::AwakeTime out = found == deployments_.end() ? fleet::AwakeTime{} : found->second.ended;
  for (const fleet::InstanceStatus& instance : status.instances) out += instance.awake;
  return out;
}

void Metrics::write_awake(Exposition& out, const MetricsSnapshot& now) const {
  out.family("dormouse_instance_awake_seconds_total", "counter", "Time of instances, by what they did with it.");
  for (const auto& d : now.deployments) {
    const fleet::AwakeTime awake = awake_of(d.status);
    out.sample({{"deployment", d.status.name}, {"state", "busy"}}, seconds(awake.busy));
    out.sample({{"deployment", d.status.name}, {"state", "waking"}}, seconds(awake.waking));
    out.sample({{"deployment", d.status.name}, {"state", "idle"}}, seconds(awake.idle));
  }
  out.family("dormouse_instance_wakes_total", "counter", "Instances that became ready, by why they were started.");
  for (const auto& [name, d] : deployments_) {
    for (const auto& [cause, count] : d.wakes) out.sample({{"deployment", name}, {"reason", cause}}, count);
  }
}

// A price that is not known is absent: 0 would be read as free.
void Metrics::write_cost(Exposition& out, const MetricsSnapshot& now) const {
  out.family("dormouse_instance_hourly_cost", "gauge", "What an hour of one instance costs, asleep or not.");
  for (const auto& d : now.deployments) {
    if (!d.price.has_value()) continue;
    out.sample({{"deployment", d.status.name}, {"currency", d.price->currency}}, money(d.price->micros));
  }
  out.family("llm_total_hourly_cost", "gauge", "What the instances that are up cost an hour, now.");
  for (const auto& d : now.deployments) {
    if (!d.price.has_value()) continue;
    out.sample({{"model_name", d.status.name}, {"currency", d.price->currency}},
               money(d.price->micros) * static_cast<double>(d.status.instances.size()));
  }
  out.family("dormouse_instance_cost_total", "counter",
             "Awake time by the hour's price, before increments round it up.");
  for (const auto& d : now.deployments) {
    if (!d.price.has_value()) continue;
    const fleet::AwakeTime awake = awake_of(d.status);
    out.sample({{"deployment", d.status.name}, {"currency", d.price->currency}},
               money(d.price->micros) * seconds(awake.waking + awake.busy + awake.idle) / 3600);
  }
  out.family("dormouse_billed_cost_total", "counter", "What requests were charged, refunds not taken off.");
  for (const auto& [name, d] : deployments_) {
    for (const auto& [currency, micros] : d.charged_micros) {
      out.sample({{"deployment", name}, {"currency", currency}}, money(micros));
    }
  }
}

void Metrics::write_speed(Exposition& out, const MetricsSnapshot& now) {
  out.family("dormouse_stream_tokens_per_second", "gauge", "Speed of one stream, of the last five minutes' answers.");
  for (const auto& d : now.deployments) {
    if (d.speed.measured.has_value()) out.sample({{"deployment", d.status.name}}, *d.speed.measured);
  }
  out.family("dormouse_expected_tokens_per_second", "gauge", "And what it should be, as told or learned.");
  for (const auto& d : now.deployments) {
    if (d.speed.expected.has_value()) out.sample({{"deployment", d.status.name}}, *d.speed.expected);
  }
  out.family("dormouse_degraded", "gauge", "1 while it has been slower than two thirds of that for five minutes.");
  for (const auto& d : now.deployments) out.sample({{"deployment", d.status.name}}, d.speed.is_degraded ? 1 : 0);
}

// Sampled while something is awake; absent else, and where the system does not tell.
void Metrics::write_vitals(Exposition& out, const Vitals& vitals) {
  const auto gauge = [&out](std::string_view name, const auto& value, std::string_view help) {
    if (value.has_value()) out.single(name, "gauge", *value, help);
  };
  out.family("dormouse_instance_cpu_cores", "gauge", "Cores that an instance's processes keep busy.");
  for (const auto& [id, instance] : vitals.instances) {
    if (instance.cpu_cores.has_value()) {
      out.sample({{"deployment", instance.deployment}, {"instance_id", id}}, *instance.cpu_cores);
    }
  }
  out.family("dormouse_instance_resident_bytes", "gauge", "Resident memory of an instance's processes.");
  for (const auto& [id, instance] : vitals.instances) {
    if (instance.resident_bytes.has_value()) {
      out.sample({{"deployment", instance.deployment}, {"instance_id", id}}, *instance.resident_bytes);
    }
  }
  if (vitals.machine_cores > 0) {
    out.single("dormouse_machine_cores", "gauge", vitals.machine_cores, "Cores of this machine.");
  }
  gauge("dormouse_machine_cpu_ratio", vitals.machine_cpu, "Share of all cores that is busy, whoever's work.");
  gauge("dormouse_machine_memory_available_bytes", vitals.memory_available_bytes, "As /proc/meminfo has it.");
  gauge("dormouse_cgroup_memory_bytes", vitals.cgroup_memory_bytes, "Memory of the gateway's control group.");
  gauge("dormouse_cpu_pressure_ratio", vitals.cpu_pressure,
        "Share of the last 10 s in which something waited for CPU.");
  gauge("dormouse_memory_pressure_ratio", vitals.memory_pressure, "And for memory.");
  if (vitals.gpus.empty()) return;
  const auto each = [&](std::string_view name, std::string_view help, auto value) {
    out.family(name, "gauge", help);
    for (const GpuVitals& g : vitals.gpus) {
      out.sample({{"gpu", fmt::format("{}", g.index)}, {"name", g.name}}, value(g));
    }
  };
  each("dormouse_gpu_utilization_ratio", "Share of time in which a kernel ran, whoever's.",
       [](const GpuVitals& g) { return g.busy; });
  each("dormouse_gpu_memory_used_bytes", "Memory in use, whoever's.",
       [](const GpuVitals& g) { return g.memory_used_bytes; });
  each("dormouse_gpu_memory_total_bytes", "Memory there is.", [](const GpuVitals& g) { return g.memory_total_bytes; });
}

void Metrics::write_gateway(Exposition& out, const MetricsSnapshot& now) const {
  out.single("dormouse_ignored_fields_total", "counter", ignored_fields_, "Unknown request fields that were ignored.");
  out.single("dormouse_retries_total", "counter", retries_, "Requests sent a second time after a worker was lost.");
  out.single("dormouse_ledger_writable", "gauge", now.ledger_writable ? 1 : 0, "1 when the last commit succeeded.");
  out.single("dormouse_ledger_queued", "gauge", now.ledger_queued, "Commands waiting for a commit.");
  out.single("dormouse_ledger_unsettled", "gauge", now.ledger_unsettled, "Settlements held in memory.");
  out.single("dormouse_connections", "gauge", now.connections, "Open client connections.");
  out.single("process_resident_memory_bytes", "gauge", now.resident_bytes, "Resident memory of the gateway.");
  out.single("dormouse_uptime_seconds", "gauge", now.uptime_s, "Seconds since start.");
}

}  // namespace dormouse::gateway
