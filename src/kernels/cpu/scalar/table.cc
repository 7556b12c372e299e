// The specification: plain loops, any CPU. What each entry must compute is said in kernels.h.
#include "kernels/cpu/scalar/attention.h"
#include "kernels/cpu/scalar/elementwise.h"
#include "kernels/cpu/scalar/matmul_float.h"
#include "kernels/cpu/scalar/matmul_k.h"
#include "kernels/cpu/scalar/matmul_q8_0.h"
#include "kernels/cpu/scalar/quantize.h"
#include "kernels/kernels.h"

namespace dormouse::kernels {

namespace {

constexpr WeightKernels same(Matmul matmul, ActivationFormat format) {
  return {matmul, matmul, format, format};
}

}  // namespace

extern const KernelTable kScalarKernels;
const KernelTable kScalarKernels = {
    .name = "scalar",
    .required_features = 0,
    .f32 = same(matmul_float<WeightF32>, ActivationFormat::kF32),
    .f16 = same(matmul_float<WeightF16>, ActivationFormat::kF32),
    .bf16 = same(matmul_float<WeightBF16>, ActivationFormat::kF32),
    .q8_0 = same(matmul_q8_0, ActivationFormat::kQ8_0),
    .q2_k = same(matmul_k<TileQ2K>, ActivationFormat::kQ8_K),
    .q3_k = same(matmul_k<TileQ3K>, ActivationFormat::kQ8_K),
    .q4_k = same(matmul_k<TileQ4K>, ActivationFormat::kQ8_K),
    .q5_k = same(matmul_k<TileQ5K>, ActivationFormat::kQ8_K),
    .q6_k = same(matmul_k<TileQ6K>, ActivationFormat::kQ8_K),
    .quantize_q8_k = quantize_q8_k,
    .quantize_q8_0 = quantize_q8_0,
    .quantize_q8_tiles = nullptr,
    .quantize_bf16_tiles = nullptr,
    .rms_norm = rms_norm,
    .rope = rope,
    .silu_mul = silu_mul,
    .add = add,
    .int8_peak = nullptr,
    .kv_f16 = {store_kv_f16, attention<PageF16>, nullptr},
    .kv_q8 = {store_kv_q8, attention<PageQ8>, nullptr},
};

}  // namespace dormouse::kernels
