// AVX-512 with VNNI: servers since 2019. What is not worth wider vectors is the AVX2 table's.
#include "kernels/cpu/avx2/elementwise.h"
#include "kernels/cpu/avx2/quantize.h"
#include "kernels/cpu/avx2/store_kv.h"
#include "kernels/cpu/avx512/attention.h"
#include "kernels/cpu/avx512/matmul_float.h"
#include "kernels/cpu/avx512/matmul_k.h"
#include "kernels/cpu/avx512/matmul_q8_0.h"
#include "kernels/cpu/avx512/peak.h"
#include "kernels/kernels.h"

namespace dormouse::kernels {
namespace {

constexpr WeightKernels same(Matmul matmul, ActivationFormat format) {
  return {matmul, matmul, format, format};
}

}  // namespace

extern const KernelTable kAvx512Kernels;
const KernelTable kAvx512Kernels = {
    .name = "avx512",
    .required_features = kFeatureAvx2 | kFeatureFma | kFeatureF16c | kFeatureAvx512,
    .f32 = same(matmul_f32, ActivationFormat::kF32),
    .f16 = same(matmul_pairs<WeightF16>, ActivationFormat::kF32),
    .bf16 = same(matmul_pairs<WeightBF16>, ActivationFormat::kF32),
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
    .int8_peak = int8_peak,
    .kv_f16 = {store_kv_f16, attention_512<KvType::kF16>, nullptr},
    .kv_q8 = {store_kv_q8, attention_512<KvType::kQ8>, nullptr},
};

}  // namespace dormouse::kernels
