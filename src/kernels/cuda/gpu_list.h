// Which GPUs this machine has, asked without making a context on any: takes none of their memory. Threads: any.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/driver_api.h"

namespace dormouse::cuda {

struct GpuList {
  int driver_version = 0;  // 1000 * major + 10 * minor of the newest CUDA that the driver knows
  std::vector<DeviceInfo> gpus;
};

// Errors: kNotFound (no driver, no GPU: says which), kInternal.
[[nodiscard]] Result<GpuList> list_gpus();
// Of a driver that runs. Errors: kInternal.
[[nodiscard]] Result<std::vector<DeviceInfo>> list_gpus_with(const driver::Api& api);

// Machine code for x.y runs on x.z, z >= y, and on nothing else; we ship no PTX that could be compiled for others.
// archs: 10 * major + minor.
[[nodiscard]] bool has_code_for(std::span<const int> archs, const DeviceInfo& gpu);
// "7.5, 8.0"; "none"
[[nodiscard]] std::string arch_words(std::span<const int> archs);

}  // namespace dormouse::cuda
