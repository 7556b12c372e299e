// Attention over pages of keys and values; the same bits as scalar/attention.h. Included once, by table.cc.
// Napkin: per query and token 2 * head_dim FMA and, per group of up to four queries, 4 * head_dim bytes of cache read
// and converted once. Scores are vectors over tokens (keys lie transposed), so no horizontal sum is needed: 16 tokens x
// 4 queries hold 8 accumulators, 8 FMA per 2 conversions and 4 broadcasts. Cache reads bound it from a few thousand
// tokens.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/cpu/avx2/elementwise.h"
#include "kernels/kernels.h"

namespace dormouse::kernels {
namespace {

inline __m256 load_half(const std::uint16_t* at) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
}

// The running state of one query's softmax.
struct SoftmaxState {
  float maximum;
  float sum;
};

// Eight neighbouring keys or values of a page, place `at` counted in elements.
template <KvType kType>
inline __m256 load_8(const std::uint16_t* page, std::int32_t at) {
  if constexpr (kType == KvType::kF16) return load_half(page + at);
  const auto* bytes = reinterpret_cast<const std::int8_t*>(page) + at;
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes))));
}

// p: [kQueries, 32] raw dot products of all 32 places of a page; places beyond the visible tokens hold anything.
template <KvType kType, int kQueries>
inline void score_page(float* p, const float* q, const std::uint16_t* k, std::int32_t head_dim) {
  const std::int32_t group = kType == KvType::kF16 ? head_dim : 32;
  for (int first = 0; first < kKvPageTokens; first += 16) {
    for (std::int32_t begin = 0; begin < head_dim; begin += group) {
      __m256 acc[kQueries][2];
      for (auto& a : acc) a[0] = a[1] = _mm256_setzero_ps();
      for (std::int32_t d = begin; d < begin + group; ++d) {
        const __m256 k0 = load_8<kType>(k, d * kKvPageTokens + first);
        const __m256 k1 = load_8<kType>(k, d * kKvPageTokens + first + 8);
        for (int i = 0; i < kQueries; ++i) {
          const __m256 x = _mm256_broadcast_ss(q + i * head_dim + d);
          acc[i][0] = _mm256_fmadd_ps(x, k0, acc[i][0]);
          acc[i][1] = _mm256_fmadd_ps(x, k1, acc[i][1]);
        }
      }
      for (int half = 0; half < 2; ++half) {
        for (int i = 0; i < kQueries; ++i) {
          float* at = p + i * kKvPageTokens + first + 8 * half;
          if constexpr (kType == KvType::kF16) {
            _mm256_store_ps(at, acc[i][half]);
          } else {
            const __m256 scale = load_half(k + kv_scales_at(head_dim, begin / group) + first + 8 * half);
            const __m256 before = begin == 0 ? _mm256_setzero_ps() : _mm256_load_ps(at);
            _mm256_store_ps(at, _mm256_fmadd_ps(acc[i][half], scale, before));
          }
        }
      }
    }
  }
}

// Dot products to probabilities relative to the new maximum, in place; returns what older results are multiplied with.
inline float soften_page(float* p, SoftmaxState& state, std::int32_t count, float scale) {
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  __m256 scores[4];
  __m256 visible[4];
  __m256 largest = _mm256_set1_ps(state.maximum);
  for (int i = 0; i < 4; ++i) {
    scores[i] = _mm256_mul_ps(_mm256_load_ps(p + 8 * i), _mm256_set1_ps(scale));
    visible[i] = _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(count - 8 * i), lanes));
    largest = _mm256_blendv_ps(largest, _mm256_max_ps(scores[i], largest), visible[i]);
  }
  __m128 m = _mm_max_ps(_mm256_castps256_ps128(largest), _mm256_extractf128_ps(largest, 1));
  m = _mm_max_ps(m, _mm_movehl_ps(m, m));
  m = _mm_max_ss(m, _mm_shuffle_ps(m, m, 1));
  const float maximum = _mm_cvtss_f32(m);
  for (int i = 0; i < 4; ++i) {
    scores[i] = _mm256_and_ps(exp_approx(_mm256_sub_ps(scores[i], _mm256_set1_ps(maximum))), visible[i]);
    _mm256_store_ps(p + 8 * i, scores[i]);
  }
  const __m256 eight = _mm256_add_ps(_mm256_add_ps(scores[0], scores[1]), _mm256_add_ps(scores[2], scores[3]));
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  four = _mm_add_ps(four, _mm_movehl_ps(four, four));
  const float sum = _mm_cvtss_f32(_mm_add_ss(four, _mm_shuffle_ps(four, four, 1)));
  const float correction = _mm256_cvtss_f32(exp_approx(_mm256_set1_ps(state.maximum - maximum)));
  state.sum = __builtin_fmaf(state.sum, correction, sum);
  state.maximum = maximum;
  return correction;
}

// kQ8: probabilities times the scales of a group's values.
template <int kQueries>
inline void weigh(float* weights, const float* p, const std::uint16_t* scales) {
  for (int begin = 0; begin < kKvPageTokens; begin += 8) {
    const __m256 scale = load_half(scales + begin);
    for (int i = 0; i < kQueries; ++i) {
      const std::int32_t at = i * kKvPageTokens + begin;
      _mm256_store_ps(weights + at, _mm256_mul_ps(_mm256_load_ps(p + at), scale));
    }
  }
}

template <KvType kType, int kQueries>
inline void add_values(float* out, const float* p, const float* corrections, const std::uint16_t* v,
                       std::int32_t head_dim, std::int32_t count) {
  alignas(32) float weighed[kQueries * kKvPageTokens];
  const float* weights = kType == KvType::kF16 ? p : weighed;
  for (std::int32_t d = 0; d < head_dim; d += 16) {
    if (kType == KvType::kQ8 && d % 32 == 0) weigh<kQueries>(weighed, p, v + kv_scales_at(head_dim, d / 32));
    __m256 acc[kQueries][2];
    for (int i = 0; i < kQueries; ++i) {
      const __m256 correction = _mm256_set1_ps(corrections[i]);
      acc[i][0] = _mm256_mul_ps(_mm256_loadu_ps(out + i * head_dim + d), correction);
      acc[i][1] = _mm256_mul_ps(_mm256_loadu_ps(out + i * head_dim + d + 8), correction);
    }
    for (std::int32_t t = 0; t < count; ++t) {
      const __m256 v0 = load_8<kType>(v, t * head_dim + d);
      const __m256 v1 = load_8<kType>(v, t * head_dim + d + 8);
      for (int i = 0; i < kQueries; ++i) {
        const __m256 weight = _mm256_broadcast_ss(weights + i * kKvPageTokens + t);
        acc[i][0] = _mm256_fmadd_ps(weight, v0, acc[i][0]);
        acc[i][1] = _mm256_fmadd_ps(weight, v1, acc[i][1]);
      }
    }
    for (int i = 0; i < kQueries; ++i) {
      _mm256_storeu_ps(out + i * head_dim + d, acc[i][0]);
      _mm256_storeu_ps(out + i * head_dim + d + 8, acc[i][1]);
    }
  }
}

template <KvType kType, int kQueries>
inline void attend(const AttentionArgs& args, std::int32_t first) {
  const float* q = args.q + first * args.head_dim;
  float* out = args.out + first * args.head_dim;
  SoftmaxState states[kQueries];
  for (SoftmaxState& state : states) state = {-3.4028234663852886e38F, 0};
  if (args.page_begin == 0) {
    for (std::int32_t i = 0; i < kQueries * args.head_dim; i += 8) _mm256_storeu_ps(out + i, _mm256_setzero_ps());
  } else {
    __builtin_memcpy(states, args.state + 2 * first, sizeof states);
  }
  const std::int32_t end = args.last_page() * kKvPageTokens;
  for (std::int32_t begin = args.page_begin * kKvPageTokens; begin < end; begin += kKvPageTokens) {
    const std::int32_t left = args.token_count - begin;
    const std::int32_t count = left < kKvPageTokens ? left : kKvPageTokens;
    const std::uint16_t* page = args.kv + args.pages[begin / kKvPageTokens] * args.page_stride;
    alignas(32) float p[kQueries * kKvPageTokens];
    float corrections[kQueries];
    score_page<kType, kQueries>(p, q, page, args.head_dim);
    for (int i = 0; i < kQueries; ++i) {
      corrections[i] = soften_page(p + i * kKvPageTokens, states[i], count, args.scale);
    }
    add_values<kType, kQueries>(out, p, corrections, page + args.v_offset, args.head_dim, count);
  }
  if (!args.finishes()) {
    __builtin_memcpy(args.state + 2 * first, states, sizeof states);
    return;
  }
  for (int i = 0; i < kQueries; ++i) {
    const __m256 inverse = _mm256_set1_ps(1.0F / states[i].sum);
    float* row = out + i * args.head_dim;
    for (std::int32_t d = 0; d < args.head_dim; d += 8) {
      _mm256_storeu_ps(row + d, _mm256_mul_ps(_mm256_loadu_ps(row + d), inverse));
    }
  }
}

template <KvType kType>
void attention(const AttentionArgs& args) {
  std::int32_t query = 0;
  for (; query + 4 <= args.queries; query += 4) attend<kType, 4>(args, query);
  switch (args.queries - query) {
    case 3: return attend<kType, 3>(args, query);
    case 2: return attend<kType, 2>(args, query);
    case 1: return attend<kType, 1>(args, query);
    default: return;
  }
}

}  // namespace
}  // namespace dormouse::kernels
