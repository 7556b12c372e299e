#include "engine/gpu_report.h"

#include <algorithm>
#include <array>

#include "engine/placement.h"
#include "kernels/cuda/gpu_list.h"
#include "kernels/cuda/kernel_images.h"

namespace dormouse::engine {
namespace {

// Architectures, 10 * major + minor, on whose cards the tests have run (docs/cuda.md says which card and when).
constexpr std::array<int, 1> kTested{90};
// Those on which top_of_parts and top_tokens have: only there are they used without --device-sampling on.
constexpr std::array<int, 1> kSamplingTested{90};
// The same of DevicePaths: what has run where.
struct TestedPath {
  bool DevicePaths::*path;
  int arch;
};
constexpr std::array<TestedPath, 0> kPathsTested{};

int arch_of(const cuda::DeviceInfo& device) {
  return 10 * device.compute_major + device.compute_minor;
}

std::string untested_paths(const cuda::DeviceInfo& device) {
  const DevicePaths tested = tested_paths(device);
  DevicePaths rest;
  for (const DevicePathName& one : kDevicePaths) rest.*one.path = !(tested.*one.path);
  return rest == DevicePaths{} ? "" : names_of(rest);
}

std::string version(int major, int minor) {
  return std::to_string(major) + "." + std::to_string(minor);
}

}  // namespace

bool is_sampling_tested(const cuda::DeviceInfo& device) {
  return device.is_emulated || std::ranges::count(kSamplingTested, arch_of(device)) > 0;
}

DevicePaths tested_paths(const cuda::DeviceInfo& device) {
  DevicePaths out;
  for (const DevicePathName& one : kDevicePaths) {
    out.*one.path = device.is_emulated || std::ranges::any_of(kPathsTested, [&](const TestedPath& tested) {
                      return tested.path == one.path && tested.arch == arch_of(device);
                    });
  }
  return out;
}

GpuReport look_at_gpus() {
  GpuReport out;
  out.kernels_for = cuda::arch_words(cuda::kernel_archs());
  const Result<cuda::GpuList> list = cuda::list_gpus();
  if (!list.has_value()) {
    out.problem = list.error().message;
    return out;
  }
  out.driver = version(list->driver_version / 1000, list->driver_version % 1000 / 10);
  for (const cuda::DeviceInfo& gpu : list->gpus) {
    out.gpus.push_back({.name = gpu.name,
                        .compute = version(gpu.compute_major, gpu.compute_minor),
                        .memory_bytes = gpu.total_bytes,
                        .has_kernels = cuda::has_code_for(cuda::kernel_archs(), gpu),
                        .is_tested = std::ranges::count(kTested, arch_of(gpu)) > 0,
                        .is_sampling_tested = is_sampling_tested(gpu),
                        .untested_paths = untested_paths(gpu)});
  }
  if (out.gpus.empty()) out.problem = "the NVIDIA driver finds no GPU";
  return out;
}

}  // namespace dormouse::engine
