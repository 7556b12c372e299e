// The specification: plain loops, any CPU. What each entry must compute is said in kernels.h.
#include "kernels/cpu/scalar/attention.h"
#include "kernels/cpu/scalar/elementwise.h"
#include "kernels/cpu/scalar/matmul_float.h"
#include "kernels/cpu/scalar/matmul_k.h"
#include "kernels/cpu/scalar/matmul_q8_0.h"
#include "kernels/cpu/scalar/quantize.h"
#include "kernels/kernels.h"
#include "quant/blocks.h"

namespace dormouse::kernels {

extern const KernelTable kScalarKernels;
const KernelTable kScalarKernels = {
    .name = "scalar",
    .required_features = 0,
    .matmul_f32 = matmul_float<WeightF32>,
    .matmul_f16 = matmul_float<WeightF16>,
    .matmul_bf16 = matmul_float<WeightBF16>,
    .matmul_q8_0 = matmul_q8_0,
    .matmul_q2_k = matmul_k<quant::BlockQ2K>,
    .matmul_q3_k = matmul_k<quant::BlockQ3K>,
    .matmul_q4_k = matmul_k<quant::BlockQ4K>,
    .matmul_q5_k = matmul_k<quant::BlockQ5K>,
    .matmul_q6_k = matmul_k<quant::BlockQ6K>,
    .quantize_q8_k = quantize_q8_k,
    .quantize_q8_0 = quantize_q8_0,
    .rms_norm = rms_norm,
    .rope = rope,
    .silu_mul = silu_mul,
    .add = add,
    .store_kv = store_kv,
    .attention = attention,
};

}  // namespace dormouse::kernels
