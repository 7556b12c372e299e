// One image of kernels for cards (kernel_images.h).
#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/export.cuh"
#include "kernels/cuda/stand_ins.cuh"

namespace dormouse::cuda {
DORMOUSE_CUDA_STAND_IN(attend_prompt, AttendPromptArgs, 128, 2)
}  // namespace dormouse::cuda

DORMOUSE_CUDA_ATTENTION_KERNELS(DORMOUSE_CUDA_EXPORT)
