#include "kernels/cuda/gpu_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace dormouse::cuda {
namespace {

constexpr int kMostNameBytes = 256;

Result<int> attribute(const driver::Api& api, driver::Gpu gpu, int which) {
  int value = 0;
  const int code = api.gpu_attribute(&value, which, gpu);
  if (code != driver::kSuccess) return driver::make_driver_error(api, code, "asking for a GPU's attributes");
  return value;
}

Result<DeviceInfo> look_at(const driver::Api& api, int ordinal) {
  driver::Gpu gpu = 0;
  char name[kMostNameBytes] = {};
  std::size_t bytes = 0;
  int code = api.gpu(&gpu, ordinal);
  if (code == driver::kSuccess) code = api.gpu_name(name, kMostNameBytes, gpu);
  if (code == driver::kSuccess) code = api.gpu_bytes(&bytes, gpu);
  if (code != driver::kSuccess) return driver::make_driver_error(api, code, "asking for a GPU");
  DeviceInfo out;
  out.name = name;
  out.total_bytes = bytes;
  TRY(out.compute_major, attribute(api, gpu, driver::kComputeMajor));
  TRY(out.compute_minor, attribute(api, gpu, driver::kComputeMinor));
  TRY(out.multiprocessors, attribute(api, gpu, driver::kMultiprocessors));
  TRY(const int l2_bytes, attribute(api, gpu, driver::kL2Bytes));
  TRY(const int shared_bytes, attribute(api, gpu, driver::kSharedBytesPerBlockOptIn));
  TRY(const int together, attribute(api, gpu, driver::kCooperativeLaunch));
  out.runs_together = together != 0;
  out.l2_bytes = static_cast<std::uint64_t>(l2_bytes);
  out.shared_bytes_per_block = static_cast<std::size_t>(shared_bytes);
  return out;
}

}  // namespace

Result<std::vector<DeviceInfo>> list_gpus_with(const driver::Api& api) {
  int count = 0;
  if (const int code = api.gpu_count(&count); code != driver::kSuccess) {
    return driver::make_driver_error(api, code, "counting GPUs");
  }
  std::vector<DeviceInfo> out;
  for (int i = 0; i < count; ++i) {
    TRY(DeviceInfo gpu, look_at(api, i));
    out.push_back(std::move(gpu));
  }
  return out;
}

Result<GpuList> list_gpus() {
  TRY(const driver::Api api, driver::load());
  GpuList out;
  if (const int code = api.driver_version(&out.driver_version); code != driver::kSuccess) {
    return driver::make_driver_error(api, code, "asking for the driver's version");
  }
  TRY(out.gpus, list_gpus_with(api));
  return out;
}

bool has_code_for(std::span<const int> archs, const DeviceInfo& gpu) {
  return std::any_of(archs.begin(), archs.end(),
                     [&gpu](int arch) { return arch / 10 == gpu.compute_major && arch % 10 <= gpu.compute_minor; });
}

std::string arch_words(std::span<const int> archs) {
  if (archs.empty()) return "none";
  std::string out;
  for (const int arch : archs) out += fmt::format("{}{}.{}", out.empty() ? "" : ", ", arch / 10, arch % 10);
  return out;
}

}  // namespace dormouse::cuda
