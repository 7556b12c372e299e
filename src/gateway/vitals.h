// How the machine and the instances on it are, as last sampled (vitals_sampler.h): values for /metrics, `ps` and the
// admin API. What could not be read is absent, never 0.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace dormouse::gateway {

// Of one instance on this machine: its process and all its descendants.
struct InstanceVitals {
  std::string deployment;
  std::optional<double> cpu_cores;  // mean over the last period: 1.5 = one and a half cores
  std::optional<std::int64_t> resident_bytes;
};

struct GpuVitals {
  int index = 0;
  std::string name;
  double busy = 0;  // 0 to 1: the share of time in which a kernel ran, whoever's
  std::int64_t memory_used_bytes = 0;
  std::int64_t memory_total_bytes = 0;
};

struct Vitals {
  std::map<std::string, InstanceVitals> instances;  // by instance id
  int machine_cores = 0;                            // 0: nothing has been sampled
  std::optional<double> machine_cpu;                // 0 to 1, of all cores
  std::optional<std::int64_t> memory_available_bytes;
  std::optional<std::int64_t> cgroup_memory_bytes;  // of the control group we run in
  std::optional<double> cpu_pressure;               // 0 to 1: share of the last 10 s in which something waited (PSI)
  std::optional<double> memory_pressure;
  std::vector<GpuVitals> gpus;  // of NVML; empty: none, or no driver
};

}  // namespace dormouse::gateway
