// NEON with dot products (SDOT): Arm servers since Neoverse N1, phones and boards since Cortex-A55. Same files, same
// names, same bits as cpu/scalar.
#include "kernels/cpu/neon/attention.h"
#include "kernels/cpu/neon/dot.h"
#include "kernels/cpu/neon/elementwise.h"
#include "kernels/cpu/neon/matmul_float.h"
#include "kernels/cpu/neon/matmul_k.h"
#include "kernels/cpu/neon/matmul_q8_0.h"
#include "kernels/cpu/neon/peak.h"
#include "kernels/cpu/neon/quantize.h"
#include "kernels/cpu/neon/store_kv.h"
#include "kernels/kernels.h"

namespace dormouse::kernels {
namespace {

constexpr WeightKernels same(Matmul matmul, ActivationFormat format) {
  return {matmul, matmul, format, format};
}

}  // namespace

extern const KernelTable kNeonKernels;
const KernelTable kNeonKernels = {
    .name = "neon",
    .required_features = kFeatureDotprod,
    .f32 = same(matmul_float<WeightF32>, ActivationFormat::kF32),
    .f16 = same(matmul_float<WeightF16>, ActivationFormat::kF32),
    .bf16 = same(matmul_float<WeightBF16>, ActivationFormat::kF32),
    .q8_0 = same(matmul_q8_0<DotProducts>, ActivationFormat::kQ8_0),
    .q2_k = same(matmul_k<TileQ2K, DotProducts>, ActivationFormat::kQ8_K),
    .q3_k = same(matmul_k<TileQ3K, DotProducts>, ActivationFormat::kQ8_K),
    .q4_k = same(matmul_k<TileQ4K, DotProducts>, ActivationFormat::kQ8_K),
    .q5_k = same(matmul_k<TileQ5K, DotProducts>, ActivationFormat::kQ8_K),
    .q6_k = same(matmul_k<TileQ6K, DotProducts>, ActivationFormat::kQ8_K),
    .quantize_q8_k = quantize_q8_k,
    .quantize_q8_0 = quantize_q8_0,
    .quantize_q8_tiles = nullptr,
    .quantize_bf16_tiles = nullptr,
    .rms_norm = rms_norm,
    .rope = rope,
    .silu_mul = silu_mul,
    .add = add,
    .int8_peak = int8_peak<Sdot>,
    .kv_f16 = {store_kv_f16, attention<KvType::kF16>, nullptr},
    .kv_q8 = {store_kv_q8, attention<KvType::kQ8>, nullptr},
};

}  // namespace dormouse::kernels
