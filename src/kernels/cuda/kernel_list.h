// Every kernel by name: KERNEL(name, args struct, most threads a block, blocks that must fit a multiprocessor
// together). The order is that of a layer. A kernel is a function `name(const Args&)` in namespace dormouse::cuda;
// kernels_*.cu export it under its name, emulated_kernels.cc calls it. Plain structs, no STL: nvcc reads this.
#pragma once

#include "kernels/cuda/attention_args.h"
#include "kernels/cuda/matmul_args.h"
#include "kernels/cuda/step_args.h"

#define DORMOUSE_CUDA_KERNELS(KERNEL)     \
  DORMOUSE_CUDA_ROW_KERNELS(KERNEL)       \
  DORMOUSE_CUDA_ATTENTION_KERNELS(KERNEL) \
  DORMOUSE_CUDA_MATMUL_KERNELS(KERNEL)    \
  DORMOUSE_CUDA_STEP_KERNELS(KERNEL)

#define DORMOUSE_CUDA_ROW_KERNELS(KERNEL)      \
  KERNEL(embed_rows, EmbedArgs, 256, 4)        \
  KERNEL(quantise_rows, QuantiseArgs, 256, 4)  \
  KERNEL(best_tokens, BestTokensArgs, 1024, 1) \
  KERNEL(top_of_parts, TopTokensArgs, 256, 4)  \
  KERNEL(top_tokens, TopTokensArgs, 256, 4)

#define DORMOUSE_CUDA_ATTENTION_KERNELS(KERNEL)                                     \
  KERNEL(rope_table, RopeTableArgs, 128, 4)                                         \
  KERNEL(rotate_store, RotateStoreArgs, 128, 4)                                     \
  KERNEL(attend_rows, AttendRowsArgs, 128, 4)                                       \
  KERNEL(attend_splits, AttendRowsArgs, 32, 8)                                      \
  KERNEL(combine_splits, CombineSplitsArgs, 128, 4)                                 \
  KERNEL(attend_shared, AttendSharedArgs, 256, dormouse::cuda::kAttendSharedBlocks) \
  KERNEL(attend_rest, AttendRowsArgs, 128, 3)                                       \
  KERNEL(attend_lone, AttendLoneArgs, 512, 1)                                       \
  KERNEL(attend_prompt, AttendPromptArgs, 128, 3)

#define DORMOUSE_CUDA_MATMUL_KERNELS(KERNEL)       \
  KERNEL(matmul_one_k, MatmulArgs, 1024, 1)        \
  KERNEL(matmul_one_q8_0, MatmulArgs, 320, 2)      \
  KERNEL(matmul_one_halves, MatmulArgs, 320, 2)    \
  KERNEL(matmul_few_k, MatmulArgs, 640, 1)         \
  KERNEL(matmul_few_q8_0, MatmulArgs, 640, 1)      \
  KERNEL(matmul_few_halves, MatmulArgs, 640, 1)    \
  KERNEL(matmul_middle_k, MatmulArgs, 128, 3)      \
  KERNEL(matmul_middle_q8_0, MatmulArgs, 128, 3)   \
  KERNEL(matmul_middle_halves, MatmulArgs, 128, 3) \
  KERNEL(matmul_many_k, MatmulArgs, 256, 1)        \
  KERNEL(matmul_many_q8_0, MatmulArgs, 256, 1)     \
  KERNEL(matmul_many_halves, MatmulArgs, 256, 1)   \
  KERNEL(matmul_wide_k, MatmulArgs, 256, 1)        \
  KERNEL(matmul_wide_q8_0, MatmulArgs, 256, 1)     \
  KERNEL(matmul_wide_halves, MatmulArgs, 256, 1)   \
  KERNEL(matmul_narrow_k, MatmulArgs, 128, 2)      \
  KERNEL(matmul_narrow_q8_0, MatmulArgs, 128, 2)   \
  KERNEL(matmul_narrow_halves, MatmulArgs, 128, 2)

#define DORMOUSE_CUDA_STEP_KERNELS(KERNEL)         \
  KERNEL(decode_step_k, DecodeStepArgs, 512, 1)    \
  KERNEL(decode_step_q8_0, DecodeStepArgs, 512, 1) \
  KERNEL(decode_step_halves, DecodeStepArgs, 512, 1)

namespace dormouse::cuda {

enum class Kernel : int {
#define DORMOUSE_CUDA_ENUM(name, args, threads, blocks) k_##name,
  DORMOUSE_CUDA_KERNELS(DORMOUSE_CUDA_ENUM)
#undef DORMOUSE_CUDA_ENUM
      kCount
};

}  // namespace dormouse::cuda
