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
// The same of DevicePaths.
constexpr std::array<int, 0> kOneRowTested{};
constexpr std::array<int, 0> kSharedPrefixesTested{};
constexpr std::array<int, 0> kWholeStepTested{};
constexpr std::array<int, 0> kWideProductsTested{};
constexpr std::array<int, 0> kSmallStacksTested{};

int arch_of(const cuda::DeviceInfo& device) {
  return 10 * device.compute_major + device.compute_minor;
}

std::string version(int major, int minor) {
  return std::to_string(major) + "." + std::to_string(minor);
}

}  // namespace

bool is_sampling_tested(const cuda::DeviceInfo& device) {
  return device.is_emulated || std::ranges::count(kSamplingTested, arch_of(device)) > 0;
}

DevicePaths tested_paths(const cuda::DeviceInfo& device) {
  const auto is_in = [&](const auto& list) {
    return device.is_emulated || std::ranges::count(list, arch_of(device)) > 0;
  };
  return {.one_row = is_in(kOneRowTested),
          .shared_prefixes = is_in(kSharedPrefixesTested),
          .whole_step = is_in(kWholeStepTested),
          .wide_products = is_in(kWideProductsTested),
          .small_stacks = is_in(kSmallStacksTested)};
}

std::string untested_paths(const cuda::DeviceInfo& device) {
  const DevicePaths tested = tested_paths(device);
  const DevicePaths rest = {.one_row = !tested.one_row,
                            .shared_prefixes = !tested.shared_prefixes,
                            .whole_step = !tested.whole_step,
                            .wide_products = !tested.wide_products,
                            .small_stacks = !tested.small_stacks};
  return rest == DevicePaths{} ? "" : names_of(rest);
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
