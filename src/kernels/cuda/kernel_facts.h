// What the host knows of each kernel, from kernel_list.h. Immutable. Threads: any.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/result.h"
#include "kernels/cuda/device.h"

namespace dormouse::cuda {

inline constexpr std::size_t kKernelCount = static_cast<std::size_t>(Kernel::kCount);

// The source files, each compiled to an image of its own.
enum class KernelFile : std::uint8_t { kRows, kAttention, kMatmul, kStep };
inline constexpr std::size_t kKernelFiles = 4;

struct KernelFacts {
  const char* name;
  std::size_t args_bytes;
  int most_threads;
  KernelFile file;
};
[[nodiscard]] const KernelFacts& facts(Kernel kernel);

// What no card would run, said before one refuses it in fewer words. Errors: kInternal.
Status check_launch(const Launch& launch, std::size_t most_shared_bytes);

}  // namespace dormouse::cuda
