// Our kernels, compiled for the emulation.
#include "kernels/cuda/emulated_device.h"
#include "kernels/cuda/stand_ins.cuh"

namespace dormouse::cuda {

DORMOUSE_CUDA_ROW_KERNELS(DORMOUSE_CUDA_STAND_IN)
DORMOUSE_CUDA_ATTENTION_KERNELS(DORMOUSE_CUDA_STAND_IN)
DORMOUSE_CUDA_MATMUL_KERNELS(DORMOUSE_CUDA_STAND_IN)

namespace {

#define DORMOUSE_CUDA_EMULATED(name, args, threads) [](const void* a) { name(*static_cast<const args*>(a)); },
constexpr EmulatedKernels kKernels = {DORMOUSE_CUDA_KERNELS(DORMOUSE_CUDA_EMULATED)};
#undef DORMOUSE_CUDA_EMULATED

}  // namespace

std::unique_ptr<Device> open_emulated() {
  return open_emulated_with(kKernels);
}

}  // namespace dormouse::cuda
