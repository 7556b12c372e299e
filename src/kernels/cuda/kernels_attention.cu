// One image of kernels for cards (kernel_images.h).
#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/export.cuh"

DORMOUSE_CUDA_ATTENTION_KERNELS(DORMOUSE_CUDA_EXPORT)
