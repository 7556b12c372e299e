// One image of kernels for cards (kernel_images.h).
#include "kernels/cuda/export.cuh"
#include "kernels/cuda/coding.cuh"
#include "kernels/cuda/rows.cuh"
#include "kernels/cuda/top_tokens.cuh"

DORMOUSE_CUDA_ROW_KERNELS(DORMOUSE_CUDA_EXPORT)
