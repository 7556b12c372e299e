// What the engine computes with: one table of function pointers per instruction set.
// Kernels are free functions on raw pointers: no allocation, no errors, no threads; the caller has checked every shape.
// Weights come packed (layout.h), the same bytes for every table.
//
// There are two fixed arithmetics, so that batching and chunking never show in a result (engine: which row gets which):
//   generated  for tokens the model made. Exact inside a block, and the same bits in every table: scalar is the
//              specification. Used at any number of rows.
//   prompt     for tokens that came with the request. A table may have a faster one (AMX: weights requantised to int8
//              with one scale per 256, or rounded to bf16); without one it is the same function as `generated`.
// Rules of both:
//  1. A row of the output depends only on its own activation row and the weights: never on m, on the chunk of weight
//     rows given to a thread, or on what else is in the batch.
// Rules of `generated`:
//  2. Quantised weights: the products inside a block are summed as integers (exact in any order); blocks are added one
//     after the other in k with fused multiply-add (MatmulArgs has the formula per type).
//  3. Float weights: four partial sums, element j into sum j % 4, in order, with fused multiply-add; then
//     (s0 + s2) + (s1 + s3). Norms: 16 partial sums, i into i % 16; then sum[l] += sum[l + 8], [l + 4], [l + 2], [l +
//     1].
//  4. exp is our own polynomial (scalar/elementwise.h), not libm's.
// Plain structs and pointers, no STL beyond <cstdint>: ISA folders include this header.
#pragma once

#include <cstdint>

namespace dormouse::kernels {

// How the activations of a matmul are stored.
enum class ActivationFormat : std::uint8_t { kF32, kBF16Tiles, kQ8_0, kQ8_K, kQ8Tiles };
// Whether rows are kept 32 at a time as tiles: then kernels take the whole buffer and a row's number in it.
[[nodiscard]] constexpr bool is_tiled(ActivationFormat format) {
  return format == ActivationFormat::kBF16Tiles || format == ActivationFormat::kQ8Tiles;
}

// 256 activations as int8 with one scale: x = d * q, |q| <= 127. 320 bytes, five cache lines.
struct alignas(64) BlockQ8K {
  std::int8_t q[256];
  std::int16_t sums16[16];  // of 16 neighbours: what a group's minimum or offset is multiplied with
  std::int16_t sums32[8];   // of 32 neighbours
  float d;                  // NaN when the 256 values hold an infinity or a NaN; then every q is 0
  float padding[3];
};
static_assert(sizeof(BlockQ8K) == 320);

// 256 activations of 32 rows as eight A tiles of matrix instructions, each one contiguous KiB; x = d * q. Buffer: [rows
// / 32][k / 256] of these. Contiguous because a tile whose rows lie a whole activation row apart touches 16 pages.
struct alignas(64) Q8TileBlock {
  std::int8_t q[2][4][16][64];  // [16 rows of the 32][64 columns of the 256][row][column]
  float d[32];
  std::int16_t sums16[32][16];  // [row], as in BlockQ8K
  std::int16_t sums32[32][8];
};
static_assert(sizeof(Q8TileBlock) == 9856);

// Every reduction length (hidden, ffn, heads * head_dim) is a multiple of this, head_dim of 16 (engine/config.cc).
inline constexpr std::int32_t kReductionMultiple = 32;
// Tokens of one KV page; equals sched::kPageTokens.
inline constexpr std::int32_t kKvPageTokens = 32;
// Activation rows may be read (never used) up to the next multiple of this: matrix tiles have whole rows.
inline constexpr std::int32_t kActivationRowMultiple = 32;

// Bytes of one activation row of k values, a multiple of 64.
//  Q8_0  [k] int8, padded to 64, then [k / 32] float scales, then [k / 32] int32 sums
//  BF16Tiles  [32 rows]: [k / 32][2][16 rows][32] bf16; k a multiple of 256
[[nodiscard]] constexpr std::int64_t activation_row_bytes(ActivationFormat format, std::int64_t k) {
  const std::int64_t values = (k + 63) / 64 * 64;
  switch (format) {
    case ActivationFormat::kF32: return (4 * k + 63) / 64 * 64;
    case ActivationFormat::kBF16Tiles: return (k + 255) / 256 * 512;
    case ActivationFormat::kQ8_0: return values + (k / 32 * 8 + 63) / 64 * 64;
    case ActivationFormat::kQ8_K: return (k + 255) / 256 * static_cast<std::int64_t>(sizeof(BlockQ8K));
    case ActivationFormat::kQ8Tiles: return (k + 255) / 256 * static_cast<std::int64_t>(sizeof(Q8TileBlock) / 32);
  }
  return 0;
}

// Bytes of MatmulArgs::scratch. The largest user is AMX's fast path: float sums of 512 x 512 results and a panel.
inline constexpr std::int64_t kMatmulScratchBytes = std::int64_t{1088} << 10;

// out[i, row] = sum over k of activations[i, k] * weights[row, k], row in [row_begin, row_end), i in [0, m).
// `generated`, with j the blocks in order of k and acc starting at +0:
//  Q2_K Q4_K Q5_K  acc = fma(dw * da, float(sum_g scale_g * dot_g), acc);
//                  acc = fma(-(dmin * da), float(sum_g min_g * sum_g), acc)
//  Q3_K Q6_K       acc = fma(dw * da, float(sum_g scale_g * dot_g), acc), q with its offset subtracted
//  Q8_0            acc = fma(dw * da, float(dot), acc) per 32
//  F32 F16 BF16    rule 3 above
struct MatmulArgs {
  const std::uint8_t* weights;  // packed, strip 0 of the matrix; 64-byte aligned
  std::int64_t strip_bytes;     // packed_strip_bytes()
  std::int32_t row_begin;       // a multiple of 16
  std::int32_t row_end;         // a multiple of 16, or the matrix's last row
  std::int32_t k;
  const std::uint8_t* activations;  // [m] rows, 64-byte aligned; tiled: the whole buffer
  std::int64_t activation_row_bytes;
  std::int32_t m;
  std::int32_t first_row;  // tiled: where in the buffer the m rows begin; elsewhere unused
  float* out;              // [m, out_stride]; does not overlap the inputs
  std::int64_t out_stride;
  std::uint8_t* scratch;  // kMatmulScratchBytes, 64-byte aligned, one per thread
};
using Matmul = void (*)(const MatmulArgs& args);

// Prompt rows through gate and up at once: out[i] = silu(gate[i]) * up[i], quantised, for result blocks of 256.
//
struct SwigluArgs {
  const std::uint8_t* gate;  // packed, both of one type and shape, rows a multiple of 256
  const std::uint8_t* up;
  std::int64_t strip_bytes;
  std::int32_t block_begin;
  std::int32_t block_end;
  std::int32_t k;
  const std::uint8_t* activations;  // kQ8Tiles, the whole buffer
  std::int32_t first_row;
  std::int32_t m;
  std::uint8_t* out;  // kQ8Tiles, the whole buffer, of out_columns columns; the same rows
  std::int32_t out_columns;
  std::uint8_t* scratch;
};
using Swiglu = void (*)(const SwigluArgs& args);

// What multiplies one weight type. A prompt format that needs whole blocks of 256 is used where k is a multiple of 256;
// elsewhere prompt rows take `generated` (dispatch.h decides, by shape alone).
struct WeightKernels {
  Matmul generated;
  Matmul prompt;
  ActivationFormat generated_format;
  ActivationFormat prompt_format;
  Swiglu prompt_swiglu = nullptr;   // null: two products and silu_mul
  Matmul generated_many = nullptr;  // kQ8Tiles; the bits of `generated`, faster from kManyRows rows on
};
// Measured (docs/performance.md): unpacking for tiles costs about as much as eight further rows without.
inline constexpr std::int32_t kManyRows = 9;

// How a cache keeps keys and values. A head of a page is its keys, [head_dim, 32 tokens] (transposed, so that the
// scores of 32 tokens are vectors over tokens and need no horizontal sums), and elsewhere its values, [32 tokens,
// head_dim].
//  kF16  halves
//  kQ8   int8, then [head_dim / 32, 32 tokens] halves: the scale of 32 dimensions of a token. x = scale * q,
//        |q| <= 127; head_dim a multiple of 32. An infinity or a NaN makes the scale a NaN and every q 0.
enum class KvType : std::uint8_t { kF16, kQ8 };
// Of the keys, and again of the values, of one head in one page, counted in halves.
[[nodiscard]] constexpr std::int64_t kv_head_halves(KvType type, std::int32_t head_dim) {
  return type == KvType::kF16 ? std::int64_t{kKvPageTokens} * head_dim : std::int64_t{17} * head_dim;
}

// kQ8: where the scales of a group of 32 dimensions lie, [32 tokens], counted in halves from the page's keys or values.
[[nodiscard]] constexpr std::int64_t kv_scales_at(std::int32_t head_dim, std::int32_t group) {
  return std::int64_t{kKvPageTokens} / 2 * head_dim + std::int64_t{kKvPageTokens} * group;
}

// Attention of the query heads that share one KV head, of one token, over that sequence's pages.
// Page by page: scores s_t = scale * (sum over d in order, fma); running maximum; p_t = exp(s_t - maximum);
// out = out * c + sum over t in order of p_t * v_t (fma); the 32 p_t are added as four vectors of eight, (0+1)+(2+3),
// then lanes as in rule 3. So the result depends on positions only, not on how the prompt was chunked.
// kQ8: the sum over d is one of 32 dimensions at a time, and these are added in order, fma(sum, scale, score); p_t
// times the scale of v_t takes the place of p_t.
struct AttentionArgs {
  float* out;      // [queries, head_dim]
  const float* q;  // [queries, head_dim]
  std::int32_t queries;
  std::int32_t head_dim;      // a multiple of 16
  std::int32_t token_count;   // visible tokens, >= 1: the position + 1
  const std::uint16_t* kv;    // page p of this layer and head: k at kv + pages[p] * page_stride, v at v_offset after it
  std::int64_t page_stride;   // in halves
  std::int64_t v_offset;      // in halves
  const std::int32_t* pages;  // [ceil(token_count / 32)]
  float scale;
  // A walk in parts, so that rows which share pages can take each page one after the other: pages [page_begin,
  // page_end). The part that begins with page 0 starts out and state; the one that ends with the last page finishes
  // out. The parts give the bits of the whole.
  std::int32_t page_begin = 0;
  std::int32_t page_end = kAllPages;
  float* state = nullptr;  // [queries, 2], between parts; not used for the whole

  static constexpr std::int32_t kAllPages = 0x7FFFFFFF;
  [[nodiscard]] constexpr std::int32_t last_page() const {  // of this part, one after it
    const std::int32_t all = (token_count + kKvPageTokens - 1) / kKvPageTokens;
    return page_end < all ? page_end : all;
  }
  [[nodiscard]] constexpr bool finishes() const {
    return page_end >= (token_count + kKvPageTokens - 1) / kKvPageTokens;
  }
};

// Prompt rows of one sequence: `positions` neighbouring positions x the query heads of one KV head, head_dim 128.
// A row's result depends on its query and its position only, never on which rows share the call.
inline constexpr std::int32_t kPromptQueryRows = 256;
inline constexpr std::int32_t kPromptHeadDim = 128;
struct PromptAttentionArgs {
  float* out;      // position p, head h: out + p * row_stride + h * 128
  const float* q;  // the same places
  std::int64_t row_stride;
  std::int32_t first_position;
  std::int32_t positions;  // positions * queries <= kPromptQueryRows
  std::int32_t queries;
  const std::uint16_t* kv;  // as in AttentionArgs; all tokens up to the last position are there
  std::int64_t page_stride;
  std::int64_t v_offset;
  const std::int32_t* pages;
  float scale;
  std::uint8_t* scratch;  // kMatmulScratchBytes
};

// What works on a cache of one type.
struct KvKernels {
  // One token's key and value of one KV head into its page.
  void (*store)(std::uint16_t* k_page, std::uint16_t* v_page, const float* k, const float* v, std::int32_t head_dim,
                std::int32_t token);
  void (*attention)(const AttentionArgs& args);
  void (*prompt_attention)(const PromptAttentionArgs& args);  // null: prompt rows take `attention` too
};

// What a table may need of the CPU; cpu_features.h tells which of them are there.
enum CpuFeature : std::uint32_t {
  kFeatureNone = 0,
  kFeatureAvx2 = 1U << 0,
  kFeatureFma = 1U << 1,
  kFeatureF16c = 1U << 2,
  kFeatureAvx512 = 1U << 3,  // F, BW, VL, DQ and VNNI
  kFeatureAvx512Bf16 = 1U << 4,
  kFeatureAmx = 1U << 5,      // tiles, int8, bf16; and the kernel lets us use them
  kFeatureDotprod = 1U << 6,  // Arm: SDOT and UDOT
  kFeatureI8mm = 1U << 7,     // Arm: SMMLA
};

struct KernelTable {
  const char* name;                 // "scalar", "avx2", "avx512", "amx"; on Arm "neon", "i8mm"
  std::uint32_t required_features;  // bits of CpuFeature

  WeightKernels f32;
  WeightKernels f16;
  WeightKernels bf16;
  WeightKernels q8_0;
  WeightKernels q2_k;
  WeightKernels q3_k;
  WeightKernels q4_k;
  WeightKernels q5_k;
  WeightKernels q6_k;

  // x: [k] -> one activation row. q = round_half_even(x * (127 / amax)), d = amax / 127; a block with amax < 1e-30 is
  // zero, one with an infinity or NaN is all 0 with d = NaN. k: a multiple of 256 (Q8_K) or 32 (Q8_0).
  void (*quantize_q8_k)(std::uint8_t* out, const float* x, std::int32_t k);
  void (*quantize_q8_0)(std::uint8_t* out, const float* x, std::int32_t k);
  // As quantize_q8_k, into row `row` of a kQ8Tiles buffer. Null in tables without that prompt format.
  void (*quantize_q8_tiles)(std::uint8_t* buffer, std::int32_t row, const float* x, std::int32_t k);
  // Rounded to nearest even, into row `row` of a kBF16Tiles buffer. Null in tables without that prompt format.
  void (*quantize_bf16_tiles)(std::uint8_t* buffer, std::int32_t row, const float* x, std::int32_t k);

  // out = x * (1 / sqrt(mean(x^2) + epsilon)) * weight, [n], n a multiple of 16; out may be x.
  void (*rms_norm)(float* out, const float* x, const float* weight, std::int32_t n, float epsilon);
  // In place, one head: pairs (i, i + head_dim / 2) turned by the angle whose cosine and sine are [head_dim / 2].
  void (*rope)(float* head, const float* cosine, const float* sine, std::int32_t head_dim);
  // gate = gate / (1 + exp(-gate)) * up, [n], n a multiple of 16.
  void (*silu_mul)(float* gate, const float* up, std::int32_t n);
  // x += y, [n], n a multiple of 16.
  void (*add)(float* x, const float* y, std::int32_t n);
  // Runs this table's fastest int8 product that many rounds on registers alone; returns the operations done, a
  // multiply-add being two. What a prefill is measured against. Null: not known (scalar).
  std::int64_t (*int8_peak)(std::int64_t rounds);
  KvKernels kv_f16;
  KvKernels kv_q8;
  [[nodiscard]] constexpr const KvKernels& kv(KvType type) const { return type == KvType::kF16 ? kv_f16 : kv_q8; }
};

}  // namespace dormouse::kernels
