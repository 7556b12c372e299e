// The products' kernels by Coding. Host code only.
#pragma once

#include <array>
#include <cstddef>

#include "kernels/cuda/kernel_list.h"

namespace dormouse::cuda {

using KernelOfCoding = std::array<Kernel, 3>;
inline constexpr KernelOfCoding kOne = {Kernel::k_matmul_one_k, Kernel::k_matmul_one_q8_0, Kernel::k_matmul_one_halves};
inline constexpr KernelOfCoding kFew = {Kernel::k_matmul_few_k, Kernel::k_matmul_few_q8_0, Kernel::k_matmul_few_halves};
inline constexpr KernelOfCoding kMiddle = {Kernel::k_matmul_middle_k, Kernel::k_matmul_middle_q8_0,
                                           Kernel::k_matmul_middle_halves};
inline constexpr KernelOfCoding kMany = {Kernel::k_matmul_many_k, Kernel::k_matmul_many_q8_0,
                                         Kernel::k_matmul_many_halves};
inline constexpr KernelOfCoding kNarrow = {Kernel::k_matmul_narrow_k, Kernel::k_matmul_narrow_q8_0,
                                           Kernel::k_matmul_narrow_halves};
inline constexpr KernelOfCoding kWide = {Kernel::k_matmul_wide_k, Kernel::k_matmul_wide_q8_0,
                                         Kernel::k_matmul_wide_halves};

constexpr Kernel kernel_of(const KernelOfCoding& kernels, Coding coding) {
  return kernels[static_cast<std::size_t>(coding)];
}

}  // namespace dormouse::cuda
