// What `doctor` says of this machine's GPUs and of this program's kernels. Makes no context: takes no device memory.
// Threads: any.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/device_paths.h"
#include "kernels/cuda/device.h"

namespace dormouse::engine {

struct GpuReport {
  struct Gpu {
    std::string name;
    std::string compute;  // "9.0"
    std::uint64_t memory_bytes = 0;
    bool has_kernels = false;         // this program holds code for it
    bool is_tested = false;           // that code has run on a card of its kind...
    bool is_sampling_tested = false;  // ...also what finds the likeliest tokens, which is younger
    std::string untested_paths;       // names of DevicePaths that have not; empty: all have
  };
  std::string kernels_for;  // "7.5, 8.0"; "none": a build without CUDA
  std::string driver;       // "13.0", the newest CUDA that it knows; empty: none
  std::string problem;      // why there are no GPUs; empty: there are
  std::vector<Gpu> gpus;
};

[[nodiscard]] GpuReport look_at_gpus();
// Also of the emulation, whose tests run with every build.
[[nodiscard]] bool is_sampling_tested(const cuda::DeviceInfo& device);
[[nodiscard]] DevicePaths tested_paths(const cuda::DeviceInfo& device);

}  // namespace dormouse::engine
