// AVX2, FMA and F16C: every x86 server since 2013. Same files, same names, same bits as cpu/scalar.
#include "kernels/cpu/avx2/attention.h"
#include "kernels/cpu/avx2/elementwise.h"
#include "kernels/cpu/avx2/matmul_float.h"
#include "kernels/cpu/avx2/matmul_k.h"
#include "kernels/cpu/avx2/matmul_q8_0.h"
#include "kernels/cpu/avx2/quantize.h"
#include "kernels/kernels.h"

namespace dormouse::kernels {

extern const KernelTable kAvx2Kernels;
const KernelTable kAvx2Kernels = {
    .name = "avx2",
    .required_features = kFeatureAvx2 | kFeatureFma | kFeatureF16c,
    .matmul_f32 = matmul_float<WeightF32>,
    .matmul_f16 = matmul_float<WeightF16>,
    .matmul_bf16 = matmul_float<WeightBF16>,
    .matmul_q8_0 = matmul_q8_0,
    .matmul_q2_k = matmul_k<FormatQ2K>,
    .matmul_q3_k = matmul_k<FormatQ3K>,
    .matmul_q4_k = matmul_k<FormatQ4K>,
    .matmul_q5_k = matmul_k<FormatQ5K>,
    .matmul_q6_k = matmul_k<FormatQ6K>,
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
