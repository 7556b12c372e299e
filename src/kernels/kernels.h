// What the engine computes with: one table of function pointers per instruction set, all with the same results.
// Kernels are free functions on raw pointers: no allocation, no errors, no threads; the caller has checked every shape.
// The scalar table is the specification. Where a result depends on the order of float additions, that order is defined
// here and every other table follows it, so that all tables agree to the bit:
//  1. A row of the output depends only on its own activation row and the weights: never on m, on the chunk of weight
//     rows given to a thread, or on what else is in the batch (batch invariance).
//  2. Quantised weights: the products inside a block are summed as integers (exact in any order); blocks are added one
//     after the other in k with fused multiply-add (MatmulArgs has the formula per type).
//  3. Float weights, norms: 16 partial sums, element i into sum i % 16, in order, with fused multiply-add; then
//     sum[l] += sum[l + 8], [l + 4], [l + 2], [l + 1].
//  4. exp is our own polynomial (scalar/elementwise.h), not libm's.
// Plain structs and pointers, no STL beyond <cstdint>: ISA folders include this header.
#pragma once

#include <cstdint>

namespace dormouse::kernels {

// How the activations of a matmul are stored; fixed by the type of its weights.
enum class ActivationFormat : std::uint8_t { kF32, kQ8_0, kQ8_K };

// 256 activations as int8 with one scale: x = d * q, |q| <= 127. 320 bytes, five cache lines.
struct alignas(64) BlockQ8K {
  std::int8_t q[256];
  std::int16_t sums16[16];  // of 16 neighbours: what a group's minimum or offset is multiplied with
  std::int16_t sums32[8];   // of 32 neighbours
  float d;                  // NaN when the 256 values hold an infinity or a NaN; then every q is 0
  float padding[3];
};
static_assert(sizeof(BlockQ8K) == 320);

// Rows of weights that one task should take at least, and a multiple of which it should take.
inline constexpr std::int32_t kRowTile = 32;
// Every reduction length (hidden, ffn, heads * head_dim) is a multiple of this, head_dim of 16 (engine/config.cc).
inline constexpr std::int32_t kReductionMultiple = 32;
// Tokens of one KV page; equals sched::kPageTokens.
inline constexpr std::int32_t kKvPageTokens = 32;

// Bytes of one activation row of k values, a multiple of 64. Q8_0: [k] int8, padded to 64, then [k / 32] float scales.
[[nodiscard]] constexpr std::int64_t activation_row_bytes(ActivationFormat format, std::int64_t k) {
  const std::int64_t values = (k + 63) / 64 * 64;
  if (format == ActivationFormat::kF32) return (4 * k + 63) / 64 * 64;
  if (format == ActivationFormat::kQ8_0) return values + (k / 32 * 4 + 63) / 64 * 64;
  return (k + 255) / 256 * static_cast<std::int64_t>(sizeof(BlockQ8K));
}

// Bytes of MatmulArgs::scratch that serve every weight type. The largest user is the AVX2 panel of 32 unpacked rows:
// 4 x 2,944 bytes per 256 of k; float panels need 4 rows of floats.
[[nodiscard]] constexpr std::int64_t matmul_scratch_bytes(std::int64_t k) {
  const std::int64_t panels = (k + 255) / 256 * (4 * 2944);
  const std::int64_t floats = 4 * 4 * k;
  return (panels > floats ? panels : floats) + 64;
}

// out[i, row] = sum over k of activations[i, k] * weights[row, k], row in [row_begin, row_end), i in [0, m).
// With j the blocks in order of k and acc starting at +0:
//  Q2_K Q4_K Q5_K  acc = fma(dw * da, float(sum_g scale_g * dot_g), acc); acc = fma(-(dmin * da), float(sum_g min_g *
//  sum_g), acc) Q3_K Q6_K       acc = fma(dw * da, float(sum_g scale_g * dot_g), acc), q with its offset subtracted
//  Q8_0            acc = fma(dw * da, float(dot), acc) per 32
//  F32 F16 BF16    rule 3 above
struct MatmulArgs {
  const std::uint8_t* weights;  // row 0, blocks as in the file, at any even address (F32: any multiple of 4)
  std::int64_t weight_row_bytes;
  std::int32_t row_begin;
  std::int32_t row_end;
  std::int32_t k;
  const std::uint8_t* activations;  // [m] rows in the type's format, 64-byte aligned
  std::int64_t activation_row_bytes;
  std::int32_t m;
  float* out;  // [m, out_stride]; does not overlap the inputs
  std::int64_t out_stride;
  std::uint8_t* scratch;  // matmul_scratch_bytes(k), 64-byte aligned, one per thread
};
using Matmul = void (*)(const MatmulArgs& args);

// Attention of the query heads that share one KV head, of one token, over that sequence's pages.
// Page by page: scores s_t = scale * (sum over d in order, fma); running maximum; p_t = exp(s_t - maximum);
// out = out * c + sum over t in order of p_t * v_t (fma); the 32 p_t are added as four vectors of eight, (0+1)+(2+3),
// then lanes as in rule 3. So the result depends on positions only, not on how the prompt was chunked.
struct AttentionArgs {
  float* out;      // [queries, head_dim]
  const float* q;  // [queries, head_dim]
  std::int32_t queries;
  std::int32_t head_dim;     // a multiple of 16
  std::int32_t token_count;  // visible tokens, >= 1: the position + 1
  const std::uint16_t*
      kv;  // fp16; page p of this layer and head: k at kv + pages[p] * page_stride, v at v_offset after it
  std::int64_t page_stride;   // in halves
  std::int64_t v_offset;      // in halves
  const std::int32_t* pages;  // [ceil(token_count / 32)]
  float scale;
};

// What a table may need of the CPU; cpu_features.h tells which of them are there.
enum CpuFeature : std::uint32_t {
  kFeatureNone = 0,
  kFeatureAvx2 = 1U << 0,
  kFeatureFma = 1U << 1,
  kFeatureF16c = 1U << 2,
};

struct KernelTable {
  const char* name;                 // "scalar", "avx2"
  std::uint32_t required_features;  // bits of CpuFeature

  Matmul matmul_f32;
  Matmul matmul_f16;
  Matmul matmul_bf16;
  Matmul matmul_q8_0;
  Matmul matmul_q2_k;
  Matmul matmul_q3_k;
  Matmul matmul_q4_k;
  Matmul matmul_q5_k;
  Matmul matmul_q6_k;

  // x: [k] -> one activation row. q = round_half_even(x * (127 / amax)), d = amax / 127; a block with amax < 1e-30 is
  // zero, one with an infinity or NaN is all 0 with d = NaN. k: a multiple of 256 (Q8_K) or 32 (Q8_0).
  void (*quantize_q8_k)(std::uint8_t* out, const float* x, std::int32_t k);
  void (*quantize_q8_0)(std::uint8_t* out, const float* x, std::int32_t k);

  // out = x * (1 / sqrt(mean(x^2) + epsilon)) * weight, [n], n a multiple of 16; out may be x.
  void (*rms_norm)(float* out, const float* x, const float* weight, std::int32_t n, float epsilon);
  // In place, one head: pairs (i, i + head_dim / 2) turned by the angle whose cosine and sine are [head_dim / 2].
  void (*rope)(float* head, const float* cosine, const float* sine, std::int32_t head_dim);
  // gate = gate / (1 + exp(-gate)) * up, [n], n a multiple of 16.
  void (*silu_mul)(float* gate, const float* up, std::int32_t n);
  // x += y, [n], n a multiple of 16.
  void (*add)(float* x, const float* y, std::int32_t n);
  // One token's key and value of one KV head into its page as fp16. k_page: [head_dim, 32] (transposed, so that the
  // scores of 32 tokens are vectors over tokens and need no horizontal sums); v_page: [32, head_dim].
  void (*store_kv)(std::uint16_t* k_page, std::uint16_t* v_page, const float* k, const float* v, std::int32_t head_dim,
                   std::int32_t token);
  void (*attention)(const AttentionArgs& args);
};

}  // namespace dormouse::kernels
