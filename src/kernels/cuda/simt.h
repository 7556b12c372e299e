// The language our GPU kernels are written in: threads of a block, warps of 32, and the few instructions we use by
// name. One source, two meanings: nvcc turns it into machine code (simt_gpu.h); g++ turns it into an emulation that
// runs every thread of a block as a fiber (simt_emulated.h), so that each kernel is checked against the scalar
// specification on machines without a card. Kernels are free functions taking one plain struct; launches are named
// (kernel_list.h). Rules for a kernel:
//  1. Warp operations (shuffles, matrix products, ldmatrix) are called by all 32 lanes.
//  2. Shared memory is one block of bytes, shared_memory(), whose size the launch gives.
//  3. Floating point is as written: no contraction (-fmad=false); where a fused multiply-add is meant, it says fmaf.
#pragma once

#include <cstdint>

#if defined(__CUDACC__)
#include "kernels/cuda/simt_gpu.h"
#else
#include "kernels/cuda/simt_emulated.h"
#endif

namespace dormouse::cuda {

inline constexpr int kWarp = 32;

// Four 32-bit registers, loaded and stored at once; 16-byte aligned.
struct alignas(16) Words4 {
  std::uint32_t x, y, z, w;
};
struct alignas(8) Words2 {
  std::uint32_t x, y;
};

// How a kernel reads what was made before it: by a kernel that has ended, or by blocks of its own grid.
struct MadeBefore {
  template <typename T>
  DEVICE static T load(const T* from) {
    return *from;
  }
};
struct MadeTogether {
  template <typename T>
  DEVICE static T load(const T* from) {
    return load_fresh(from);
  }
};

// Every lane gets the same bits: the sums are symmetric.
DEVICE float warp_sum(float value) {
#pragma unroll
  for (int mask = kWarp / 2; mask > 0; mask /= 2) value = value + shuffle_xor(value, mask);
  return value;
}

}  // namespace dormouse::cuda
