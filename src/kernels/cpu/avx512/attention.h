// Attention of generated rows; the same bits as scalar/attention.h. Included once a table.
// Napkin: per page of 32 tokens and four queries, 128 x (2 conversions, 8 FMA) for scores and as much for values: some
// 1,500 cycles for 16 KiB, 11 bytes a cycle; memory delivers 4 a thread, so cache reads decide, and kQ8 halves them.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/cpu/avx512/elementwise.h"
#include "kernels/kernels.h"

namespace dormouse::kernels {
namespace {

inline __m512 load_16_halves(const std::uint16_t* at) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)));
}

// The running state of one query's softmax.
struct RunningSoftmax {
  float maximum;
  float sum;
};

inline __m512 load_16_bytes(const std::int8_t* at) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at))));
}
// 16 neighbouring keys or values of a page, place `at` counted in elements.
template <KvType kType>
inline __m512 load_16(const std::uint16_t* page, std::int32_t at) {
  if constexpr (kType == KvType::kF16) return load_16_halves(page + at);
  return load_16_bytes(reinterpret_cast<const std::int8_t*>(page) + at);
}
// Asks for the next page, in pieces between the work on this one: pages lie apart, so the hardware does not guess them,
// and all at once would hold up the work until most lines have come. Into L2: L1's line buffers are needed for this
// page. Measured, 64 streams behind 288 tokens: 197 ms a step without or all at once, 137 into L1, 124 so.
class Ahead {
 public:
  Ahead(const std::uint16_t* page, std::int64_t halves)
      : at_(reinterpret_cast<const char*>(page)), end_(at_ + 2 * halves) {}
  void ask(int lines) {
    for (int i = 0; i < lines && at_ < end_; ++i, at_ += 64) _mm_prefetch(at_, _MM_HINT_T1);
  }

 private:
  const char* at_;
  const char* end_;
};

// p: [kQueries, 32] raw dot products of all 32 places of a page; places beyond the visible tokens hold anything.
template <KvType kType, int kQueries>
inline void score_page_512(float* p, const float* q, const std::uint16_t* k, Ahead ahead, std::int32_t head_dim) {
  const std::int32_t group = kType == KvType::kF16 ? head_dim : 32;
  __m512 total[kQueries][2];
  for (auto& t : total) t[0] = t[1] = _mm512_setzero_ps();
  for (std::int32_t begin = 0; begin < head_dim; begin += group) {
    __m512 acc[kQueries][2];
    for (auto& a : acc) a[0] = a[1] = _mm512_setzero_ps();
    for (std::int32_t d = begin; d < begin + group; ++d) {
      if (kType == KvType::kF16 || d % 2 == 0) ahead.ask(1);
      const __m512 k0 = load_16<kType>(k, d * kKvPageTokens);
      const __m512 k1 = load_16<kType>(k, d * kKvPageTokens + 16);
      for (int i = 0; i < kQueries; ++i) {
        const __m512 x = _mm512_set1_ps(q[i * head_dim + d]);
        acc[i][0] = _mm512_fmadd_ps(x, k0, acc[i][0]);
        acc[i][1] = _mm512_fmadd_ps(x, k1, acc[i][1]);
      }
    }
    for (int half = 0; half < 2; ++half) {
      if constexpr (kType == KvType::kF16) {
        for (int i = 0; i < kQueries; ++i) total[i][half] = acc[i][half];
      } else {
        const __m512 scale = load_16_halves(k + kv_scales_at(head_dim, begin / group) + 16 * half);
        for (int i = 0; i < kQueries; ++i) total[i][half] = _mm512_fmadd_ps(acc[i][half], scale, total[i][half]);
      }
    }
  }
  for (int i = 0; i < kQueries; ++i) {
    _mm512_store_ps(p + i * kKvPageTokens, total[i][0]);
    _mm512_store_ps(p + i * kKvPageTokens + 16, total[i][1]);
  }
}

// (p[l] + p[l + 8]) + (p[l + 16] + p[l + 24]), then lanes as in rule 3.
inline float sum_page(__m512 low, __m512 high) {
  const __m256 a = _mm256_add_ps(_mm512_castps512_ps256(low), _mm512_extractf32x8_ps(low, 1));
  const __m256 b = _mm256_add_ps(_mm512_castps512_ps256(high), _mm512_extractf32x8_ps(high, 1));
  const __m256 eight = _mm256_add_ps(a, b);
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  four = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(four, _mm_shuffle_ps(four, four, 1)));
}

// Dot products to probabilities relative to the new maximum, in place; returns what older results are multiplied with.
inline float soften_page_512(float* p, RunningSoftmax& state, std::int32_t count, float scale) {
  const auto visible = count >= kKvPageTokens ? 0xFFFFFFFFU : (1U << static_cast<unsigned>(count)) - 1U;
  const auto low_mask = static_cast<__mmask16>(visible);
  const auto high_mask = static_cast<__mmask16>(visible >> 16);
  const __m512 factor = _mm512_set1_ps(scale);
  __m512 low = _mm512_mul_ps(_mm512_load_ps(p), factor);
  __m512 high = _mm512_mul_ps(_mm512_load_ps(p + 16), factor);
  __m512 largest = _mm512_set1_ps(state.maximum);
  largest = _mm512_mask_max_ps(largest, low_mask, low, largest);
  largest = _mm512_mask_max_ps(largest, high_mask, high, largest);
  const float maximum = _mm512_reduce_max_ps(largest);
  low = _mm512_maskz_mov_ps(low_mask, exp_approx_512(_mm512_sub_ps(low, _mm512_set1_ps(maximum))));
  high = _mm512_maskz_mov_ps(high_mask, exp_approx_512(_mm512_sub_ps(high, _mm512_set1_ps(maximum))));
  _mm512_store_ps(p, low);
  _mm512_store_ps(p + 16, high);
  const float correction = _mm512_cvtss_f32(exp_approx_512(_mm512_set1_ps(state.maximum - maximum)));
  state.sum = __builtin_fmaf(state.sum, correction, sum_page(low, high));
  state.maximum = maximum;
  return correction;
}

// kQ8: probabilities times the scales of a group's values.
template <int kQueries>
inline void weigh_512(float* weights, const float* p, const std::uint16_t* scales) {
  for (int half = 0; half < 2; ++half) {
    const __m512 scale = load_16_halves(scales + 16 * half);
    for (int i = 0; i < kQueries; ++i) {
      const std::int32_t at = i * kKvPageTokens + 16 * half;
      _mm512_store_ps(weights + at, _mm512_mul_ps(_mm512_load_ps(p + at), scale));
    }
  }
}

template <KvType kType, int kQueries>
inline void add_values_512(float* out, const float* p, const float* corrections, const std::uint16_t* v, Ahead ahead,
                           std::int32_t head_dim, std::int32_t count) {
  alignas(64) float weighed[kQueries * kKvPageTokens];
  const float* weights = kType == KvType::kF16 ? p : weighed;
  for (std::int32_t d = 0; d < head_dim; d += 16) {
    ahead.ask(kType == KvType::kF16 ? 16 : 9);
    if (kType == KvType::kQ8 && d % 32 == 0) weigh_512<kQueries>(weighed, p, v + kv_scales_at(head_dim, d / 32));
    __m512 acc[kQueries];
    for (int i = 0; i < kQueries; ++i) {
      acc[i] = _mm512_mul_ps(_mm512_loadu_ps(out + i * head_dim + d), _mm512_set1_ps(corrections[i]));
    }
    for (std::int32_t t = 0; t < count; ++t) {
      const __m512 value = load_16<kType>(v, t * head_dim + d);
      for (int i = 0; i < kQueries; ++i) {
        acc[i] = _mm512_fmadd_ps(_mm512_set1_ps(weights[i * kKvPageTokens + t]), value, acc[i]);
      }
    }
    for (int i = 0; i < kQueries; ++i) _mm512_storeu_ps(out + i * head_dim + d, acc[i]);
  }
}

template <KvType kType, int kQueries>
inline void attend_512(const AttentionArgs& args, std::int32_t first) {
  const float* q = args.q + first * args.head_dim;
  float* out = args.out + first * args.head_dim;
  RunningSoftmax states[kQueries];
  for (RunningSoftmax& state : states) state = {-3.4028234663852886e38F, 0};
  if (args.page_begin == 0) {
    for (std::int32_t i = 0; i < kQueries * args.head_dim; i += 16) _mm512_storeu_ps(out + i, _mm512_setzero_ps());
  } else {
    __builtin_memcpy(states, args.state + 2 * first, sizeof states);
  }
  const std::int32_t end = args.last_page() * kKvPageTokens;
  for (std::int32_t begin = args.page_begin * kKvPageTokens; begin < end; begin += kKvPageTokens) {
    const std::int32_t left = args.token_count - begin;
    const std::int32_t count = left < kKvPageTokens ? left : kKvPageTokens;
    const std::uint16_t* page = args.kv + args.pages[begin / kKvPageTokens] * args.page_stride;
    const std::uint16_t* next =
        begin + kKvPageTokens < end ? args.kv + args.pages[begin / kKvPageTokens + 1] * args.page_stride : page;
    const std::int64_t halves = begin + kKvPageTokens < end ? kv_head_halves(kType, args.head_dim) : 0;
    alignas(64) float p[kQueries * kKvPageTokens];
    float corrections[kQueries];
    score_page_512<kType, kQueries>(p, q, page, Ahead(next, halves), args.head_dim);
    for (int i = 0; i < kQueries; ++i) {
      corrections[i] = soften_page_512(p + i * kKvPageTokens, states[i], count, args.scale);
    }
    add_values_512<kType, kQueries>(out, p, corrections, page + args.v_offset, Ahead(next + args.v_offset, halves),
                                    args.head_dim, count);
  }
  if (!args.finishes()) {
    __builtin_memcpy(args.state + 2 * first, states, sizeof states);
    return;
  }
  for (int i = 0; i < kQueries; ++i) {
    const __m512 inverse = _mm512_set1_ps(1.0F / states[i].sum);
    float* row = out + i * args.head_dim;
    for (std::int32_t d = 0; d < args.head_dim; d += 16) {
      _mm512_storeu_ps(row + d, _mm512_mul_ps(_mm512_loadu_ps(row + d), inverse));
    }
  }
}

template <KvType kType>
void attention_512(const AttentionArgs& args) {
  std::int32_t query = 0;
  for (; query + 4 <= args.queries; query += 4) attend_512<kType, 4>(args, query);
  switch (args.queries - query) {
    case 3: return attend_512<kType, 3>(args, query);
    case 2: return attend_512<kType, 2>(args, query);
    case 1: return attend_512<kType, 1>(args, query);
    default: return;
  }
}

}  // namespace
}  // namespace dormouse::kernels
