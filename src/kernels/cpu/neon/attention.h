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

// The running state of one query's softmax.
struct SoftmaxState {
  float maximum;
  float sum;
};

// One dimension of 16 tokens: lane kLane of q. k: that dimension's row of the page, at the first of the tokens.
template <int kQueries, int kLane>
inline void add_dimension(float32x4_t (*acc)[4], const float32x4_t* q, const std::uint16_t* k) {
  for (int v = 0; v < 4; ++v) {
    const float32x4_t keys = load_half(k + 4 * v);
    for (int i = 0; i < kQueries; ++i) acc[i][v] = vfmaq_laneq_f32(acc[i][v], keys, q[i], kLane);
  }
}

// p: [kQueries, 32] raw dot products of all 32 places of a page; places beyond the visible tokens hold anything.
template <int kQueries>
inline void score_page(float* p, const float* q, const std::uint16_t* k, std::int32_t head_dim) {
  for (int begin = 0; begin < kKvPageTokens; begin += 16) {
    float32x4_t acc[kQueries][4];
    for (auto& row : acc) row[0] = row[1] = row[2] = row[3] = vdupq_n_f32(0);
    for (std::int32_t d = 0; d < head_dim; d += 4) {
      float32x4_t x[kQueries];
      for (int i = 0; i < kQueries; ++i) x[i] = vld1q_f32(q + i * head_dim + d);
      const std::uint16_t* at = k + d * kKvPageTokens + begin;
      add_dimension<kQueries, 0>(acc, x, at);
      add_dimension<kQueries, 1>(acc, x, at + kKvPageTokens);
      add_dimension<kQueries, 2>(acc, x, at + 2 * kKvPageTokens);
      add_dimension<kQueries, 3>(acc, x, at + 3 * kKvPageTokens);
    }
    for (int i = 0; i < kQueries; ++i) {
      for (int v = 0; v < 4; ++v) vst1q_f32(p + i * kKvPageTokens + begin + 4 * v, acc[i][v]);
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

template <int kQueries>
inline void add_values(float* out, const float* p, const float* corrections, const std::uint16_t* v,
                       std::int32_t head_dim, std::int32_t count) {
  for (std::int32_t d = 0; d < head_dim; d += 16) {
    float32x4_t acc[kQueries][4];
    for (int i = 0; i < kQueries; ++i) {
      const float* row = out + i * head_dim + d;
      for (int s = 0; s < 4; ++s) acc[i][s] = vmulq_n_f32(vld1q_f32(row + 4 * s), corrections[i]);
    }
    for (std::int32_t t = 0; t < count; ++t) {
      const std::uint16_t* values = v + t * head_dim + d;
      for (int s = 0; s < 4; ++s) {
        const float32x4_t value = load_half(values + 4 * s);
        for (int i = 0; i < kQueries; ++i) acc[i][s] = vfmaq_n_f32(acc[i][s], value, p[i * kKvPageTokens + t]);
      }
    }
    for (int i = 0; i < kQueries; ++i) {
      for (int s = 0; s < 4; ++s) vst1q_f32(out + i * head_dim + d + 4 * s, acc[i][s]);
    }
  }
}

template <int kQueries>
inline void attend(const AttentionArgs& args, std::int32_t first) {
  const float* q = args.q + first * args.head_dim;
  float* out = args.out + first * args.head_dim;
  SoftmaxState states[kQueries];
  // The lowest finite float, not -infinity: (-infinity) - (-infinity) would be a NaN.
  for (SoftmaxState& state : states) state = {-3.4028234663852886e38F, 0};
  for (std::int32_t i = 0; i < kQueries * args.head_dim; i += 4) vst1q_f32(out + i, vdupq_n_f32(0));
  for (std::int32_t begin = 0; begin < args.token_count; begin += kKvPageTokens) {
    const std::int32_t left = args.token_count - begin;
    const std::int32_t count = left < kKvPageTokens ? left : kKvPageTokens;
    const std::uint16_t* page = args.kv + args.pages[begin / kKvPageTokens] * args.page_stride;
    float p[kQueries * kKvPageTokens];
    float corrections[kQueries];
    score_page<kQueries>(p, q, page, args.head_dim);
    for (int i = 0; i < kQueries; ++i) {
      corrections[i] = soften_page(p + i * kKvPageTokens, states[i], count, args.scale);
    }
    add_values<kQueries>(out, p, corrections, page + args.v_offset, args.head_dim, count);
  }
  for (int i = 0; i < kQueries; ++i) {
    const float inverse = 1.0F / states[i].sum;
    float* row = out + i * args.head_dim;
    for (std::int32_t d = 0; d < args.head_dim; d += 4) vst1q_f32(row + d, vmulq_n_f32(vld1q_f32(row + d), inverse));
  }
}

void attention(const AttentionArgs& args) {
  std::int32_t query = 0;
  for (; query + 4 <= args.queries; query += 4) attend<4>(args, query);
  switch (args.queries - query) {
    case 3: return attend<3>(args, query);
    case 2: return attend<2>(args, query);
    case 1: return attend<1>(args, query);
    default: return;
  }
}

}  // namespace
}  // namespace dormouse::kernels
