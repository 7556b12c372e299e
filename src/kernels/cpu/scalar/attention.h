// Keys and values into pages, and attention over them, as kernels.h defines it. Included once, by table.cc.
#pragma once

#include <cstdint>

#include "kernels/cpu/scalar/elementwise.h"
#include "kernels/kernels.h"
#include "quant/half.h"

namespace dormouse::kernels {
namespace {

void store_kv(std::uint16_t* k_page, std::uint16_t* v_page, const float* k, const float* v, std::int32_t head_dim,
              std::int32_t token) {
  for (std::int32_t d = 0; d < head_dim; ++d) {
    k_page[d * kKvPageTokens + token] = quant::float_to_half(k[d]);
    v_page[token * head_dim + d] = quant::float_to_half(v[d]);
  }
}

// The running state of one query's softmax.
struct SoftmaxState {
  float maximum;
  float sum;
};

// Adds one page with `count` visible tokens.
inline void attend_page(SoftmaxState& state, float* out, const float* q, const std::uint16_t* k, const std::uint16_t* v,
                        std::int32_t head_dim, std::int32_t count, float scale) {
  float p[kKvPageTokens] = {};
  float maximum = state.maximum;
  for (std::int32_t t = 0; t < count; ++t) {
    float score = 0;
    for (std::int32_t d = 0; d < head_dim; ++d) {
      score = __builtin_fmaf(q[d], quant::half_to_float(k[d * kKvPageTokens + t]), score);
    }
    p[t] = score * scale;
    maximum = p[t] > maximum ? p[t] : maximum;
  }
  const float correction = exp_approx(state.maximum - maximum);
  for (std::int32_t t = 0; t < count; ++t) p[t] = exp_approx(p[t] - maximum);
  float lanes[8];
  for (int l = 0; l < 8; ++l) lanes[l] = (p[l] + p[l + 8]) + (p[l + 16] + p[l + 24]);
  for (int width = 4; width > 0; width /= 2) {
    for (int l = 0; l < width; ++l) lanes[l] += lanes[l + width];
  }
  state.sum = __builtin_fmaf(state.sum, correction, lanes[0]);
  state.maximum = maximum;
  for (std::int32_t d = 0; d < head_dim; ++d) {
    float acc = out[d] * correction;
    for (std::int32_t t = 0; t < count; ++t) acc = __builtin_fmaf(p[t], quant::half_to_float(v[t * head_dim + d]), acc);
    out[d] = acc;
  }
}

void attention(const AttentionArgs& args) {
  for (std::int32_t query = 0; query < args.queries; ++query) {
    const float* q = args.q + query * args.head_dim;
    float* out = args.out + query * args.head_dim;
    for (std::int32_t d = 0; d < args.head_dim; ++d) out[d] = 0;
    // The lowest finite float, not -infinity: (-infinity) - (-infinity) would be a NaN.
    SoftmaxState state{-3.4028234663852886e38F, 0};
    for (std::int32_t begin = 0; begin < args.token_count; begin += kKvPageTokens) {
      const std::int32_t left = args.token_count - begin;
      const std::uint16_t* page = args.kv + args.pages[begin / kKvPageTokens] * args.page_stride;
      attend_page(state, out, q, page, page + args.v_offset, args.head_dim, left < kKvPageTokens ? left : kKvPageTokens,
                  args.scale);
    }
    const float inverse = 1.0F / state.sum;
    for (std::int32_t d = 0; d < args.head_dim; ++d) out[d] *= inverse;
  }
}

}  // namespace
}  // namespace dormouse::kernels
