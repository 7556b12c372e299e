// The emulation with the kernels of the caller's choice: tests bring their own. open_emulated() takes all of ours.
#pragma once

#include <array>
#include <memory>

#include "kernels/cuda/device.h"
#include "kernels/cuda/kernel_facts.h"

namespace dormouse::cuda {

// Runs one thread of a kernel; `args` points at its struct.
using EmulatedKernel = void (*)(const void* args);
using EmulatedKernels = std::array<EmulatedKernel, kKernelCount>;

[[nodiscard]] std::unique_ptr<Device> open_emulated_with(const EmulatedKernels& kernels);

}  // namespace dormouse::cuda
