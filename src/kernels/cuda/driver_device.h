// A card through a driver's functions: what open_gpu() does once it has found them. Apart, so that tests can put
// functions of their own in the driver's place.
#pragma once

#include <memory>
#include <span>

#include "kernels/cuda/device.h"
#include "kernels/cuda/driver_api.h"

namespace dormouse::cuda {

// What a program holds for cards: kernel_images() and kernel_archs().
struct KernelCode {
  std::span<const void* const> images;
  std::span<const int> archs;
};

// The device keeps a copy of `api`. Errors: as open_gpu().
[[nodiscard]] Result<std::unique_ptr<Device>> open_gpu_with(const driver::Api& api, const KernelCode& code,
                                                            int ordinal);

}  // namespace dormouse::cuda
