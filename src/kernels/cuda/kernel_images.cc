// Fatbins by the assembler's .incbin: as C arrays they would take the compiler minutes. The paths come from CMake.
#include "kernels/cuda/kernel_images.h"

#include <array>

#include "kernels/cuda/kernel_facts.h"

asm(".section .rodata.dormouse_cuda, \"a\", @progbits\n"
    ".hidden dormouse_cuda_rows\n.globl dormouse_cuda_rows\n.balign 64\n"
    "dormouse_cuda_rows: .incbin \"" DORMOUSE_CUDA_ROWS
    "\"\n"
    ".hidden dormouse_cuda_attention\n.globl dormouse_cuda_attention\n.balign 64\n"
    "dormouse_cuda_attention: .incbin \"" DORMOUSE_CUDA_ATTENTION
    "\"\n"
    ".hidden dormouse_cuda_matmul\n.globl dormouse_cuda_matmul\n.balign 64\n"
    "dormouse_cuda_matmul: .incbin \"" DORMOUSE_CUDA_MATMUL
    "\"\n"
    ".hidden dormouse_cuda_step\n.globl dormouse_cuda_step\n.balign 64\n"
    "dormouse_cuda_step: .incbin \"" DORMOUSE_CUDA_STEP
    "\"\n"
    ".previous\n");

extern "C" {
extern const unsigned char dormouse_cuda_rows[] __attribute__((visibility("hidden")));
extern const unsigned char dormouse_cuda_attention[] __attribute__((visibility("hidden")));
extern const unsigned char dormouse_cuda_matmul[] __attribute__((visibility("hidden")));
extern const unsigned char dormouse_cuda_step[] __attribute__((visibility("hidden")));
}

namespace dormouse::cuda {
namespace {

constexpr std::array kArchs = {DORMOUSE_CUDA_ARCH_LIST};

}  // namespace

std::span<const void* const> kernel_images() {
  static const std::array<const void*, kKernelFiles> images = {dormouse_cuda_rows, dormouse_cuda_attention,
                                                               dormouse_cuda_matmul, dormouse_cuda_step};
  return images;
}

std::span<const int> kernel_archs() {
  return kArchs;
}

}  // namespace dormouse::cuda
