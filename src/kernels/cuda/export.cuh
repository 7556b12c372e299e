// How kernels_*.cu give a kernel to the driver: under its own name, its struct by value. 4 KiB is what a launch may
// carry on every card.
#pragma once

#include "kernels/cuda/kernel_list.h"

#define DORMOUSE_CUDA_EXPORT(name, args, threads, blocks)                                                              \
  static_assert(sizeof(dormouse::cuda::args) <= 4096);                                                                 \
  extern "C" __global__ void __launch_bounds__(threads, blocks) name(const __grid_constant__ dormouse::cuda::args a) { \
    dormouse::cuda::name(a);                                                                                           \
  }
