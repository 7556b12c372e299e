// The compiled kernels in this program: one fatbin for each KernelFile, or none in a build without CUDA
// (no_kernel_images.cc). Immutable. Threads: any.
#pragma once

#include <span>

namespace dormouse::cuda {

// [kKernelFiles] addresses of fatbins, which say their own length; empty: this build holds no GPU kernels.
[[nodiscard]] std::span<const void* const> kernel_images();
// Compute capabilities with machine code inside, 10 * major + minor, ascending.
[[nodiscard]] std::span<const int> kernel_archs();

}  // namespace dormouse::cuda
