// Reads Vitals from the system: /proc, the control group, pressure, NVML. Only what is awake is looked at, and nothing
// is looked at while all sleep. Reading may take milliseconds (NVML's start a second): not on the loop.
// Threads: one at a time.
#pragma once

#include <sys/types.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "gateway/nvml.h"
#include "gateway/vitals.h"

namespace dormouse::gateway {

struct VitalsSources {
  std::string proc = "/proc";
  std::string cgroup = "/sys/fs/cgroup";
  std::string nvml = "libnvidia-ml.so.1";
};

struct SampledInstance {
  std::string instance_id;
  std::string deployment;
  pid_t pid = 0;  // of a process on this machine
};

class VitalsSampler {
 public:
  VitalsSampler(const Clock& clock, VitalsSources sources) : clock_(clock), sources_(std::move(sources)) {}

  // CPU use is of the time since the call before; the first of an instance has none.
  Vitals sample(const std::vector<SampledInstance>& instances);
  // Nothing is awake: lets go of NVML, which keeps a GPU's driver loaded, and of what was counted.
  void rest();

 private:
  struct CpuTicks {
    std::uint64_t busy = 0;
    std::uint64_t all = 0;
  };
  struct Counted {
    std::uint64_t ticks = 0;
    MonoTime at;
  };
  void read_machine(Vitals& out);
  void read_instances(const std::vector<SampledInstance>& instances, Vitals& out);
  [[nodiscard]] std::optional<std::int64_t> cgroup_memory() const;
  [[nodiscard]] std::optional<double> pressure(const std::string& of) const;

  const Clock& clock_;
  const VitalsSources sources_;
  std::unique_ptr<Nvml> nvml_;
  bool has_tried_nvml_ = false;
  std::optional<CpuTicks> machine_;
  std::map<std::string, Counted> counted_;  // by instance id
};

}  // namespace dormouse::gateway
