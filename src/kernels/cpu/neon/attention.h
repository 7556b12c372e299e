// Attention over pages of keys and values; the same bits as scalar/attention.h. Included once a table.
// Scores are vectors over tokens (keys lie transposed): 16 tokens x 4 queries are 16 accumulators, four vectors of keys
// and four of queries, whose lanes FMLA takes without a broadcast: 24 of the 32 registers.
#pragma once

#include <arm_neon.h>

#include <cstdint>

#include "kernels/cpu/neon/elementwise.h"
#include "kernels/kernels.h"

namespace dormouse::kernels {
namespace {

inline float32x4_t load_half(const std::uint16_t* at) {
  return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(at)));
}

// Four neighbouring keys or values of a page, place `at` counted in elements.
template <KvType kType>
inline float32x4_t load_4(const std::uint16_t* page, std::int32_t at) {
  if constexpr (kType == KvType::kF16) {
    return load_half(page + at);
  } else {
    std::uint32_t four = 0;
    __builtin_memcpy(&four, reinterpret_cast<const std::int8_t*>(page) + at, sizeof four);
    const int16x8_t wide = vmovl_s8(vreinterpret_s8_u32(vdup_n_u32(four)));
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide)));
  }
}

// The running state of one query's softmax.
struct SoftmaxState {
  float maximum;
  float sum;
};

// One dimension of 16 tokens: lane kLane of q. at: that dimension's row of the page, at the first of the tokens.
template <KvType kType, int kQueries, int kLane>
inline void add_dimension(float32x4_t (*acc)[4], const float32x4_t* q, const std::uint16_t* k, std::int32_t at) {
  for (int v = 0; v < 4; ++v) {
    const float32x4_t keys = load_4<kType>(k, at + 4 * v);
    for (int i = 0; i < kQueries; ++i) acc[i][v] = vfmaq_laneq_f32(acc[i][v], keys, q[i], kLane);
  }
}

// p: [kQueries, 32] raw dot products of all 32 places of a page; places beyond the visible tokens hold anything.
template <KvType kType, int kQueries>
inline void score_page(float* p, const float* q, const std::uint16_t* k, std::int32_t head_dim) {
  const std::int32_t group = kType == KvType::kF16 ? head_dim : 32;
  for (std::int32_t first = 0; first < kKvPageTokens; first += 16) {
    for (std::int32_t begin = 0; begin < head_dim; begin += group) {
      float32x4_t acc[kQueries][4];
      for (auto& row : acc) row[0] = row[1] = row[2] = row[3] = vdupq_n_f32(0);
      for (std::int32_t d = begin; d < begin + group; d += 4) {
        float32x4_t x[kQueries];
        for (int i = 0; i < kQueries; ++i) x[i] = vld1q_f32(q + i * head_dim + d);
        const std::int32_t at = d * kKvPageTokens + first;
        add_dimension<kType, kQueries, 0>(acc, x, k, at);
        add_dimension<kType, kQueries, 1>(acc, x, k, at + kKvPageTokens);
        add_dimension<kType, kQueries, 2>(acc, x, k, at + 2 * kKvPageTokens);
        add_dimension<kType, kQueries, 3>(acc, x, k, at + 3 * kKvPageTokens);
      }
      for (int v = 0; v < 4; ++v) {
        for (int i = 0; i < kQueries; ++i) {
          float* to = p + i * kKvPageTokens + first + 4 * v;
          if constexpr (kType == KvType::kF16) {
            vst1q_f32(to, acc[i][v]);
          } else {
            const float32x4_t scale = load_half(k + kv_scales_at(head_dim, begin / group) + first + 4 * v);
            vst1q_f32(to, vfmaq_f32(begin == 0 ? vdupq_n_f32(0) : vld1q_f32(to), acc[i][v], scale));
          }
        }
      }
    }
  }
}

// Dot products to probabilities relative to the new maximum, in place; returns what older results are multiplied with.
inline float soften_page(float* p, SoftmaxState& state, std::int32_t count, float scale) {
  constexpr std::int32_t kFirst[4] = {0, 1, 2, 3};
  const int32x4_t lanes = vld1q_s32(kFirst);
  float32x4_t scores[8];
  uint32x4_t visible[8];
  float32x4_t largest = vdupq_n_f32(state.maximum);
  for (int v = 0; v < 8; ++v) {
    scores[v] = vmulq_n_f32(vld1q_f32(p + 4 * v), scale);
    visible[v] = vcgtq_s32(vdupq_n_s32(count - 4 * v), lanes);
    // A comparison, not FMAX: a score that is a NaN must not become the maximum.
    const uint32x4_t larger = vandq_u32(vcgtq_f32(scores[v], largest), visible[v]);
    largest = vbslq_f32(larger, scores[v], largest);
  }
  const float maximum = vmaxvq_f32(largest);
  for (int v = 0; v < 8; ++v) {
    const float32x4_t value = exp_approx(vsubq_f32(scores[v], vdupq_n_f32(maximum)));
    scores[v] = vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(value), visible[v]));
    vst1q_f32(p + 4 * v, scores[v]);
  }
  const float32x4_t low = vaddq_f32(vaddq_f32(scores[0], scores[2]), vaddq_f32(scores[4], scores[6]));
  const float32x4_t high = vaddq_f32(vaddq_f32(scores[1], scores[3]), vaddq_f32(scores[5], scores[7]));
  const float correction = vgetq_lane_f32(exp_approx(vdupq_n_f32(state.maximum - maximum)), 0);
  state.sum = __builtin_fmaf(state.sum, correction, reduce_4(vaddq_f32(low, high)));
  state.maximum = maximum;
  return correction;
}

// kQ8: probabilities times the scales of a group's values.
template <int kQueries>
inline void weigh(float* weights, const float* p, const std::uint16_t* scales) {
  for (int begin = 0; begin < kKvPageTokens; begin += 4) {
    const float32x4_t scale = load_half(scales + begin);
    for (int i = 0; i < kQueries; ++i) {
      const std::int32_t at = i * kKvPageTokens + begin;
      vst1q_f32(weights + at, vmulq_f32(vld1q_f32(p + at), scale));
    }
  }
}

template <KvType kType, int kQueries>
inline void add_values(float* out, const float* p, const float* corrections, const std::uint16_t* v,
                       std::int32_t head_dim, std::int32_t count) {
  float weighed[kQueries * kKvPageTokens];
  const float* weights = kType == KvType::kF16 ? p : weighed;
  for (std::int32_t d = 0; d < head_dim; d += 16) {
    if (kType == KvType::kQ8 && d % 32 == 0) weigh<kQueries>(weighed, p, v + kv_scales_at(head_dim, d / 32));
    float32x4_t acc[kQueries][4];
    for (int i = 0; i < kQueries; ++i) {
      const float* row = out + i * head_dim + d;
      for (int s = 0; s < 4; ++s) acc[i][s] = vmulq_n_f32(vld1q_f32(row + 4 * s), corrections[i]);
    }
    for (std::int32_t t = 0; t < count; ++t) {
      for (int s = 0; s < 4; ++s) {
        const float32x4_t value = load_4<kType>(v, t * head_dim + d + 4 * s);
        for (int i = 0; i < kQueries; ++i) acc[i][s] = vfmaq_n_f32(acc[i][s], value, weights[i * kKvPageTokens + t]);
      }
    }
    for (int i = 0; i < kQueries; ++i) {
      for (int s = 0; s < 4; ++s) vst1q_f32(out + i * head_dim + d + 4 * s, acc[i][s]);
    }
  }
}

template <KvType kType, int kQueries>
inline void attend(const AttentionArgs& args, std::int32_t first) {
  const float* q = args.q + first * args.head_dim;
  float* out = args.out + first * args.head_dim;
  SoftmaxState states[kQueries];
  // The lowest finite float, not -infinity: (-infinity) - (-infinity) would be a NaN.
  for (SoftmaxState& state : states) state = {-3.4028234663852886e38F, 0};
  if (args.page_begin == 0) {
    for (std::int32_t i = 0; i < kQueries * args.head_dim; i += 4) vst1q_f32(out + i, vdupq_n_f32(0));
  } else {
    __builtin_memcpy(states, args.state + 2 * first, sizeof states);
  }
  const std::int32_t end = args.last_page() * kKvPageTokens;
  for (std::int32_t begin = args.page_begin * kKvPageTokens; begin < end; begin += kKvPageTokens) {
    const std::int32_t left = args.token_count - begin;
    const std::int32_t count = left < kKvPageTokens ? left : kKvPageTokens;
    const std::uint16_t* page = args.kv + args.pages[begin / kKvPageTokens] * args.page_stride;
    float p[kQueries * kKvPageTokens];
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
    const float inverse = 1.0F / states[i].sum;
    float* row = out + i * args.head_dim;
    for (std::int32_t d = 0; d < args.head_dim; d += 4) vst1q_f32(row + d, vmulq_n_f32(vld1q_f32(row + d), inverse));
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
