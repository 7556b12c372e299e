// Attention of prompt rows on bf16 tiles, flash style. Included once, by table.cc.
// A call is up to 256 query rows: some positions of one sequence x the query heads of one KV head, position by
// position. Tokens are taken 64 at a time (two pages, cut at fixed positions): keys and values become bf16 B tiles once
// for all rows (16 KiB each), then 16 rows at a time: 16 TDPBF16PS for scores, a softmax step, 16 for values. 512
// cycles of tiles and as many of exponentials for 16 rows x 64 tokens. A row's result depends on its own query and on
// positions alone: tokens it does not see have probability 0 exactly.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/cpu/amx/gemm.h"
#include "kernels/cpu/avx512/attention.h"
#include "kernels/kernels.h"

namespace dormouse::kernels {
namespace {

constexpr int kHeadDim = 128;
constexpr int kBlockTokens = 64;

struct alignas(64) PromptScratch {
  std::uint16_t q[kPromptQueryRows][kHeadDim];  // bf16, times the scale
  std::uint16_t k[4][4][512];                   // [32 dims][16 tokens][16 pairs of dims][16 tokens][2]
  std::uint16_t v[2][8][512];                   // [32 tokens][16 dims][16 pairs of tokens][16 dims][2]
  float scores[4][16][16];                      // [16 tokens][row][token]
  std::uint16_t p[2][16][32];                   // [32 tokens][row][token], bf16
  float out[kPromptQueryRows / 16][8][16][16];  // [16 dims][row][dim]
  float maximum[kPromptQueryRows];
  float sum[kPromptQueryRows];
};
static_assert(sizeof(PromptScratch) <= kMatmulScratchBytes);

inline __m256i to_bf16(__m512 x) {
  return reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x));
}

// Two rows of 16 floats to 16 pairs of bf16.
inline __m512i pair_bf16(__m512 a, __m512 b) {
  const __m512i low = _mm512_cvtepu16_epi32(to_bf16(a));
  const __m512i high = _mm512_cvtepu16_epi32(to_bf16(b));
  return _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
}

// Keys of dimension d for 16 tokens from `token`; values of a token for 16 dimensions from d.
template <KvType kType>
inline __m512 keys_16(const std::uint16_t* k, std::int32_t d, std::int32_t token) {
  const __m512 x = load_16<kType>(k, d * kKvPageTokens + token);
  if constexpr (kType == KvType::kF16) return x;
  return _mm512_mul_ps(x, load_16_halves(k + kv_scales_at(kHeadDim, d / 32) + token));
}
template <KvType kType>
inline __m512 values_16(const std::uint16_t* v, std::int32_t token, std::int32_t d) {
  const __m512 x = load_16<kType>(v, token * kHeadDim + d);
  if constexpr (kType == KvType::kF16) return x;
  return _mm512_mul_ps(x, _mm512_set1_ps(_cvtsh_ss(v[kv_scales_at(kHeadDim, d / 32) + token])));
}

// One page's keys and values into half of the block's tiles. Tokens from `count` on were never written: zero.
template <KvType kType>
inline void unpack_page(PromptScratch& s, const PromptAttentionArgs& args, std::int32_t page, int half,
                        std::int32_t count) {
  const std::uint16_t* k = args.kv + args.pages[page] * args.page_stride;
  const std::uint16_t* v = k + args.v_offset;
  for (int d = 0; d < kHeadDim; d += 2) {
    for (int t = 0; t < 2; ++t) {
      const __m512i pair = pair_bf16(keys_16<kType>(k, d, 16 * t), keys_16<kType>(k, d + 1, 16 * t));
      store_64(s.k[d / 32][2 * half + t] + d % 32 / 2 * 32, pair);
    }
  }
  const __m512 zero = _mm512_setzero_ps();
  for (int t = 0; t < kKvPageTokens; t += 2) {
    for (int d = 0; d < 8; ++d) {
      const __m512 a = t < count ? values_16<kType>(v, t, 16 * d) : zero;
      const __m512 b = t + 1 < count ? values_16<kType>(v, t + 1, 16 * d) : zero;
      store_64(s.v[half][d] + t / 2 * 32, pair_bf16(a, b));
    }
  }
}

inline void score_tiles(PromptScratch& s, const std::uint16_t* q) {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int step = 0; step < 4; ++step) {
    _tile_loadd(4, q + 32 * step, 2 * kHeadDim);
    _tile_loadd(5, s.k[step][0], 64);
    _tile_dpbf16ps(0, 4, 5);
    _tile_loadd(6, s.k[step][1], 64);
    _tile_dpbf16ps(1, 4, 6);
    _tile_loadd(7, s.k[step][2], 64);
    _tile_dpbf16ps(2, 4, 7);
    _tile_loadd(5, s.k[step][3], 64);
    _tile_dpbf16ps(3, 4, 5);
  }
  _tile_stored(0, s.scores[0], 64);
  _tile_stored(1, s.scores[1], 64);
  _tile_stored(2, s.scores[2], 64);
  _tile_stored(3, s.scores[3], 64);
}

// One row's 64 scores, of which `count` are visible, to probabilities; returns what its older results are multiplied
// with.
inline float soften_row(PromptScratch& s, std::int32_t row, std::int32_t count) {
  const std::uint64_t visible = count >= 64 ? ~0ULL : (count <= 0 ? 0 : (1ULL << static_cast<unsigned>(count)) - 1);
  const int r = row % 16;
  __m512 x[4];
  __m512 largest = _mm512_set1_ps(s.maximum[row]);
  for (int i = 0; i < 4; ++i) {
    x[i] = _mm512_load_ps(s.scores[i][r]);
    largest = _mm512_mask_max_ps(largest, static_cast<__mmask16>(visible >> (16 * i)), x[i], largest);
  }
  const float maximum = _mm512_reduce_max_ps(largest);
  __m512 sum = _mm512_setzero_ps();
  for (int i = 0; i < 4; ++i) {
    const __m512 e = exp_approx_512(_mm512_sub_ps(x[i], _mm512_set1_ps(maximum)));
    x[i] = _mm512_maskz_mov_ps(static_cast<__mmask16>(visible >> (16 * i)), e);
    sum = _mm512_add_ps(sum, x[i]);
    _mm256_store_si256(reinterpret_cast<__m256i*>(s.p[i / 2][r] + 16 * (i % 2)), to_bf16(x[i]));
  }
  const float correction = _mm512_cvtss_f32(exp_approx_512(_mm512_set1_ps(s.maximum[row] - maximum)));
  s.sum[row] = __builtin_fmaf(s.sum[row], correction, _mm512_reduce_add_ps(sum));
  s.maximum[row] = maximum;
  return correction;
}

inline void rescale_row(float (*out)[16][16], int r, float correction) {
  const __m512 factor = _mm512_set1_ps(correction);
  for (int d = 0; d < 8; ++d) _mm512_store_ps(out[d][r], _mm512_mul_ps(_mm512_load_ps(out[d][r]), factor));
}

inline void value_tiles(PromptScratch& s, float (*out)[16][16]) {
  for (int d = 0; d < 8; d += 4) {
    _tile_loadd(0, out[d], 64);
    _tile_loadd(1, out[d + 1], 64);
    _tile_loadd(2, out[d + 2], 64);
    _tile_loadd(3, out[d + 3], 64);
    for (int half = 0; half < 2; ++half) {
      _tile_loadd(4, s.p[half], 64);
      _tile_loadd(5, s.v[half][d], 64);
      _tile_dpbf16ps(0, 4, 5);
      _tile_loadd(6, s.v[half][d + 1], 64);
      _tile_dpbf16ps(1, 4, 6);
      _tile_loadd(7, s.v[half][d + 2], 64);
      _tile_dpbf16ps(2, 4, 7);
      _tile_loadd(5, s.v[half][d + 3], 64);
      _tile_dpbf16ps(3, 4, 5);
    }
    _tile_stored(0, out[d], 64);
    _tile_stored(1, out[d + 1], 64);
    _tile_stored(2, out[d + 2], 64);
    _tile_stored(3, out[d + 3], 64);
  }
}

// Rows 16 * tile ... with the tokens of one block.
inline void attend_tile(PromptScratch& s, const PromptAttentionArgs& args, std::int32_t tile, std::int32_t token) {
  compiler_fence();
  score_tiles(s, s.q[16 * tile]);
  for (int r = 0; r < 16; ++r) {
    const std::int32_t row = 16 * tile + r;
    const std::int32_t position = args.first_position + row / args.queries;
    const float correction = soften_row(s, row, position + 1 - token);
    if (correction != 1.0F) rescale_row(s.out[tile], r, correction);  // times 1 changes nothing
  }
  compiler_fence();
  value_tiles(s, s.out[tile]);
}

inline void load_queries(PromptScratch& s, const PromptAttentionArgs& args, std::int32_t rows) {
  const __m512 scale = _mm512_set1_ps(args.scale);
  for (std::int32_t row = 0; row < (rows + 15) / 16 * 16; ++row) {
    s.maximum[row] = -3.4028234663852886e38F;
    s.sum[row] = 0;
    const float* q = args.q + row / args.queries * args.row_stride + row % args.queries * kHeadDim;
    for (int d = 0; d < kHeadDim; d += 16) {
      const __m512 x = row < rows ? _mm512_mul_ps(_mm512_loadu_ps(q + d), scale) : _mm512_setzero_ps();
      _mm256_store_si256(reinterpret_cast<__m256i*>(s.q[row] + d), to_bf16(x));
    }
  }
  for (std::int32_t tile = 0; tile < (rows + 15) / 16; ++tile) {
    for (int i = 0; i < 8 * 16; ++i) _mm512_store_ps(s.out[tile][i / 16][i % 16], _mm512_setzero_ps());
  }
}

template <KvType kType>
void prompt_attention(const PromptAttentionArgs& args) {
  auto& s = *reinterpret_cast<PromptScratch*>(args.scratch);
  const std::int32_t rows = args.positions * args.queries;
  const std::int32_t tokens = args.first_position + args.positions;  // what the last position sees
  load_queries(s, args, rows);
  configure_tiles(16, 1);
  for (std::int32_t token = 0; token < tokens; token += kBlockTokens) {
    for (int half = 0; half < 2; ++half) {
      const std::int32_t begin = token + half * kKvPageTokens;
      // A page that nobody sees: any finite keys and values will do, their probability is 0.
      if (begin < tokens)
        unpack_page<kType>(s, args, begin / kKvPageTokens, half, tokens - begin);
      else if (half == 1)
        unpack_page<kType>(s, args, token / kKvPageTokens, half, 0);
    }
    for (std::int32_t tile = 0; 16 * tile < rows; ++tile) {
      const std::int32_t last = args.first_position + (16 * tile + 15) / args.queries;
      if (last >= token) attend_tile(s, args, tile, token);
    }
  }
  _tile_release();
  for (std::int32_t row = 0; row < rows; ++row) {
    const __m512 inverse = _mm512_set1_ps(1.0F / s.sum[row]);
    float* out = args.out + row / args.queries * args.row_stride + row % args.queries * kHeadDim;
    for (int d = 0; d < 8; ++d) {
      _mm512_storeu_ps(out + 16 * d, _mm512_mul_ps(_mm512_load_ps(s.out[row / 16][d][row % 16]), inverse));
    }
  }
}

}  // namespace
}  // namespace dormouse::kernels
