// One image of kernels for cards (kernel_images.h).
#include "kernels/cuda/export.cuh"
#include "kernels/cuda/matmul_few.cuh"
#include "kernels/cuda/matmul_many.cuh"
#include "kernels/cuda/matmul_one.cuh"
#include "kernels/cuda/matmul_one_halves.cuh"
#include "kernels/cuda/matmul_one_q8_0.cuh"
#include "kernels/cuda/matmul_wide.cuh"
#include "kernels/cuda/matmul_wide_rest.cuh"

DORMOUSE_CUDA_MATMUL_KERNELS(DORMOUSE_CUDA_EXPORT)
