// Our kernels, compiled for the emulation.
#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/coding.cuh"
#include "kernels/cuda/decode_step.cuh"
#include "kernels/cuda/emulated_device.h"
#include "kernels/cuda/matmul_few.cuh"
#include "kernels/cuda/matmul_many.cuh"
#include "kernels/cuda/matmul_one.cuh"
#include "kernels/cuda/matmul_one_halves.cuh"
#include "kernels/cuda/matmul_one_q8_0.cuh"
#include "kernels/cuda/matmul_wide.cuh"
#include "kernels/cuda/matmul_wide_rest.cuh"
#include "kernels/cuda/rows.cuh"
#include "kernels/cuda/top_tokens.cuh"

namespace dormouse::cuda {

namespace {

#define DORMOUSE_CUDA_EMULATED(name, args, threads, blocks) [](const void* a) { name(*static_cast<const args*>(a)); },
constexpr EmulatedKernels kKernels = {DORMOUSE_CUDA_KERNELS(DORMOUSE_CUDA_EMULATED)};
#undef DORMOUSE_CUDA_EMULATED

}  // namespace

std::unique_ptr<Device> open_emulated() {
  return open_emulated_with(kKernels);
}

}  // namespace dormouse::cuda
