// How many threads may run at once here: the affinity mask and the cgroup's CPU quota (v2 cpu.max, v1 cfs quota), each
// ancestor included. A pool with more threads than the quota pays for every spin with a throttled period: 45 times
// slower in a peer's report (engine-notes 0.7).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace dormouse::engine {

struct CpuBudget {
  std::int32_t affinity = 1;    // CPUs this process may use
  std::optional<double> quota;  // CPUs' worth of time; none: unlimited

  // min(affinity, ceil(quota)), at least 1.
  [[nodiscard]] std::int32_t threads() const;
};

[[nodiscard]] CpuBudget read_cpu_budget();

// The quota that applies to a process whose /proc/self/cgroup reads `membership`, with cgroup file systems below `root`
// ("/sys/fs/cgroup"). The smallest on the way to the root wins. Unreadable or malformed files count as no limit.
[[nodiscard]] std::optional<double> read_cpu_quota(const std::string& root, const std::string& membership);

}  // namespace dormouse::engine
