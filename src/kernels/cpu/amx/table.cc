// AMX: servers since 2023 (Sapphire Rapids). Few generated rows take the AVX-512 table's GEMV; many take tiles, with
// the same bits; prompt rows have their own, faster arithmetic (kernels.h).
#include "kernels/cpu/amx/attention.h"
#include "kernels/cpu/amx/matmul_bf16.h"
#include "kernels/cpu/amx/matmul_exact.h"
#include "kernels/cpu/amx/matmul_fast.h"
#include "kernels/cpu/amx/peak.h"
#include "kernels/cpu/avx2/elementwise.h"
#include "kernels/cpu/avx2/quantize.h"
#include "kernels/cpu/avx2/store_kv.h"
#include "kernels/cpu/avx512/matmul_float.h"
#include "kernels/cpu/avx512/matmul_k.h"
#include "kernels/cpu/avx512/matmul_q8_0.h"
#include "kernels/kernels.h"

namespace dormouse::kernels {
namespace {

constexpr WeightKernels same(Matmul matmul, ActivationFormat format) {
  return {matmul, matmul, format, format};
}
template <typename Tile>
constexpr WeightKernels k_quant() {
  return {matmul_k<Tile>,    matmul_fast<Tile>, ActivationFormat::kQ8_K, ActivationFormat::kQ8Tiles,
          swiglu_fast<Tile>, matmul_exact<Tile>};
}

}  // namespace

extern const KernelTable kAmxKernels;
const KernelTable kAmxKernels = {
    .name = "amx",
    .required_features = kFeatureAvx2 | kFeatureFma | kFeatureF16c | kFeatureAvx512 | kFeatureAvx512Bf16 | kFeatureAmx,
    .f32 = same(matmul_f32, ActivationFormat::kF32),
    .f16 = {matmul_pairs<WeightF16>, matmul_bf16<PanelF16>, ActivationFormat::kF32, ActivationFormat::kBF16Tiles},
    .bf16 = {matmul_pairs<WeightBF16>, matmul_bf16<PanelBF16>, ActivationFormat::kF32, ActivationFormat::kBF16Tiles},
    .q8_0 = {matmul_q8_0, matmul_fast<TileQ8_0>, ActivationFormat::kQ8_0, ActivationFormat::kQ8Tiles,
             swiglu_fast<TileQ8_0>},
    .q2_k = k_quant<TileQ2K>(),
    .q3_k = k_quant<TileQ3K>(),
    .q4_k = k_quant<TileQ4K>(),
    .q5_k = k_quant<TileQ5K>(),
    .q6_k = k_quant<TileQ6K>(),
    .quantize_q8_k = quantize_q8_k,
    .quantize_q8_0 = quantize_q8_0,
    .quantize_q8_tiles = quantize_q8_tiles,
    .quantize_bf16_tiles = quantize_bf16_tiles,
    .rms_norm = rms_norm,
    .rope = rope,
    .silu_mul = silu_mul,
    .add = add,
    .int8_peak = int8_peak,
    .kv_f16 = {store_kv_f16, attention_512<KvType::kF16>, prompt_attention<KvType::kF16>},
    .kv_q8 = {store_kv_q8, attention_512<KvType::kQ8>, prompt_attention<KvType::kQ8>},
};

}  // namespace dormouse::kernels
