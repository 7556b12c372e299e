// NEON with 8-bit matrix products (SMMLA): Arm servers since Neoverse V1 and N2. Only the products of int8 differ from
// cpu/neon, whose headers are compiled here a second time; the bits are the same.
#include "kernels/cpu/i8mm/dot.h"
#include "kernels/cpu/i8mm/peak.h"
#include "kernels/cpu/neon/attention.h"
#include "kernels/cpu/neon/elementwise.h"
#include "kernels/cpu/neon/matmul_float.h"
#include "kernels/cpu/neon/matmul_k.h"
#include "kernels/cpu/neon/matmul_q8_0.h"
#include "kernels/cpu/neon/quantize.h"
#include "kernels/cpu/neon/store_kv.h"
#include "kernels/kernels.h"

namespace dormouse::kernels {
namespace {

constexpr WeightKernels same(Matmul matmul, ActivationFormat format) {
  return {matmul, matmul, format, format};
}

}  // namespace

extern const KernelTable kI8mmKernels;
const KernelTable kI8mmKernels = {
    .name = "i8mm",
    .required_features = kFeatureDotprod | kFeatureI8mm,
    .f32 = same(matmul_float<WeightF32>, ActivationFormat::kF32),
    .f16 = same(matmul_float<WeightF16>, ActivationFormat::kF32),
    .bf16 = same(matmul_float<WeightBF16>, ActivationFormat::kF32),
    .q8_0 = same(matmul_q8_0<MatrixProducts>, ActivationFormat::kQ8_0),
    .q2_k = same(matmul_k<TileQ2K, MatrixProducts>, ActivationFormat::kQ8_K),
    .q3_k = same(matmul_k<TileQ3K, MatrixProducts>, ActivationFormat::kQ8_K),
    .q4_k = same(matmul_k<TileQ4K, MatrixProducts>, ActivationFormat::kQ8_K),
    .q5_k = same(matmul_k<TileQ5K, MatrixProducts>, ActivationFormat::kQ8_K),
    .q6_k = same(matmul_k<TileQ6K, MatrixProducts>, ActivationFormat::kQ8_K),
    .quantize_q8_k = quantize_q8_k,
    .quantize_q8_0 = quantize_q8_0,
    .quantize_q8_tiles = nullptr,
    .quantize_bf16_tiles = nullptr,
    .rms_norm = rms_norm,
    .rope = rope,
    .silu_mul = silu_mul,
    .add = add,
    .int8_peak = int8_peak<Smmla>,
    .kv_f16 = {store_kv_f16, attention<KvType::kF16>, nullptr},
    .kv_q8 = {store_kv_q8, attention<KvType::kQ8>, nullptr},
};

}  // namespace dormouse::kernels
