// Every kernel between a layer's first matmul and its second (kernel_list.h, DORMOUSE_CUDA_ATTENTION_KERNELS).
#pragma once

#include "kernels/cuda/attend_lone.cuh"
#include "kernels/cuda/attend_prompt.cuh"
#include "kernels/cuda/attend_rows.cuh"
#include "kernels/cuda/attend_shared.cuh"
#include "kernels/cuda/rotate_store.cuh"
