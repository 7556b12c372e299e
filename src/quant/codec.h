// Rows of weights to and from every format the engine reads: the scalar truth that kernels are tested against.
// Decode follows ggml's definition to the bit: every product and difference rounded by itself, never fused (the build
// sets -ffp-contract=off). Encode searches scales by weighted least squares; any encoder's output is a valid file.
// Preconditions (CHECKed): n is a multiple of the type's block_elements. Blocks may sit at any address.
// Threads: any. Pure.
#pragma once

#include <cstddef>

#include "base/tensor_type.h"

namespace dormouse::quant {

// in: n / block_elements blocks. out: [n]. Any bytes decode (to NaN or infinity where the scales say so).
void dequantize_row(TensorType type, const void* in, float* out, std::size_t n);

// in: [n]. out: n / block_elements blocks. A value beyond the format's range saturates: finite weights never become
// infinite (F16 and BF16 round as IEEE does). What a NaN becomes is unspecified, except in F32, F16 and BF16.
// Deterministic. Cost: 3 (Q8_0) to 35 ns (Q4_K) a weight.
void quantize_row(TensorType type, const float* in, void* out, std::size_t n);

}  // namespace dormouse::quant
