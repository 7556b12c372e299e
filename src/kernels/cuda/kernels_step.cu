// One image of kernels for cards (kernel_images.h).
#include "kernels/cuda/decode_step.cuh"
#include "kernels/cuda/export.cuh"

DORMOUSE_CUDA_STEP_KERNELS(DORMOUSE_CUDA_EXPORT)
