// Keys and values into pages, and attention over them, as kernels.h defines it. Included once, by table.cc.
#pragma once

#include <cstdint>

#include "kernels/cpu/scalar/elementwise.h"
#include "kernels/kernels.h"
#include "quant/half.h"

namespace dormouse::kernels {
namespace {

void store_kv_f16(std::uint16_t* k_page, std::uint16_t* v_page, const float* k, const float* v, std::int32_t head_dim,
                  std::int32_t token) {
  for (std::int32_t d = 0; d < head_dim; ++d) {
    k_page[d * kKvPageTokens + token] = quant::float_to_half(k[d]);
    v_page[token * head_dim + d] = quant::float_to_half(v[d]);
  }
}

constexpr std::int32_t kKvGroup = 32;  // dimensions that share a scale

void store_kv_q8(std::uint16_t* k_page, std::uint16_t* v_page, const float* k, const float* v, std::int32_t head_dim,
                 std::int32_t token) {
  auto* k_bytes = reinterpret_cast<std::int8_t*>(k_page);
  auto* v_bytes = reinterpret_cast<std::int8_t*>(v_page);
  for (std::int32_t g = 0; g < head_dim / kKvGroup; ++g) {
    std::int8_t q[kKvGroup];
    const float scale = quantize_values(q, k + g * kKvGroup, kKvGroup);
    for (std::int32_t i = 0; i < kKvGroup; ++i) k_bytes[(g * kKvGroup + i) * kKvPageTokens + token] = q[i];
    k_page[kv_scales_at(head_dim, g) + token] = quant::float_to_half(scale);
    const float v_scale = quantize_values(v_bytes + token * head_dim + g * kKvGroup, v + g * kKvGroup, kKvGroup);
    v_page[kv_scales_at(head_dim, g) + token] = quant::float_to_half(v_scale);
  }
}

// The two kinds of page: a token's dot product, and what one token adds to the output.
struct PageF16 {
  const std::uint16_t* k;
  const std::uint16_t* v;
  std::int32_t head_dim;

  [[nodiscard]] float dot(const float* q, std::int32_t t) const {
    float sum = 0;
    for (std::int32_t d = 0; d < head_dim; ++d) {
      sum = __builtin_fmaf(q[d], quant::half_to_float(k[d * kKvPageTokens + t]), sum);
    }
    return sum;
  }
  void add(float* out, float p, std::int32_t t) const {
    for (std::int32_t d = 0; d < head_dim; ++d) {
      out[d] = __builtin_fmaf(p, quant::half_to_float(v[t * head_dim + d]), out[d]);
    }
  }
};

struct PageQ8 {
  const std::uint16_t* k;
  const std::uint16_t* v;
  std::int32_t head_dim;

  [[nodiscard]] static float scale(const std::uint16_t* page, std::int32_t head_dim, std::int32_t g, std::int32_t t) {
    return quant::half_to_float(page[kv_scales_at(head_dim, g) + t]);
  }
  [[nodiscard]] float dot(const float* q, std::int32_t t) const {
    const auto* bytes = reinterpret_cast<const std::int8_t*>(k);
    float sum = 0;
    for (std::int32_t g = 0; g < head_dim / kKvGroup; ++g) {
      float part = 0;
      for (std::int32_t d = g * kKvGroup; d < (g + 1) * kKvGroup; ++d) {
        part = __builtin_fmaf(q[d], static_cast<float>(bytes[d * kKvPageTokens + t]), part);
      }
      sum = __builtin_fmaf(part, scale(k, head_dim, g, t), sum);
    }
    return sum;
  }
  void add(float* out, float p, std::int32_t t) const {
    const auto* bytes = reinterpret_cast<const std::int8_t*>(v) + t * head_dim;
    for (std::int32_t d = 0; d < head_dim; ++d) {
      out[d] = __builtin_fmaf(p * scale(v, head_dim, d / kKvGroup, t), static_cast<float>(bytes[d]), out[d]);
    }
  }
};

// The running state of one query's softmax.
struct SoftmaxState {
  float maximum;
  float sum;
};

// Adds one page with `count` visible tokens.
template <typename Page>
inline void attend_page(SoftmaxState& state, float* out, const float* q, const Page& page, std::int32_t count,
                        float scale) {
  float p[kKvPageTokens] = {};
  float maximum = state.maximum;
  for (std::int32_t t = 0; t < count; ++t) {
    p[t] = page.dot(q, t) * scale;
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
  for (std::int32_t d = 0; d < page.head_dim; ++d) out[d] *= correction;
  for (std::int32_t t = 0; t < count; ++t) page.add(out, p[t], t);
}

template <typename Page>
void attention(const AttentionArgs& args) {
  for (std::int32_t query = 0; query < args.queries; ++query) {
    const float* q = args.q + query * args.head_dim;
    float* out = args.out + query * args.head_dim;
    // The lowest finite float, not -infinity: (-infinity) - (-infinity) would be a NaN.
    SoftmaxState state{-3.4028234663852886e38F, 0};
    if (args.page_begin == 0) {
      for (std::int32_t d = 0; d < args.head_dim; ++d) out[d] = 0;
    } else {
      state = {args.state[2 * query], args.state[2 * query + 1]};
    }
    for (std::int32_t begin = args.page_begin * kKvPageTokens; begin < args.last_page() * kKvPageTokens;
         begin += kKvPageTokens) {
      const std::int32_t left = args.token_count - begin;
      const std::uint16_t* page = args.kv + args.pages[begin / kKvPageTokens] * args.page_stride;
      attend_page(state, out, q, Page{.k = page, .v = page + args.v_offset, .head_dim = args.head_dim},
                  left < kKvPageTokens ? left : kKvPageTokens, args.scale);
    }
    if (!args.finishes()) {
      args.state[2 * query] = state.maximum;
      args.state[2 * query + 1] = state.sum;
      continue;
    }
    const float inverse = 1.0F / state.sum;
    for (std::int32_t d = 0; d < args.head_dim; ++d) out[d] *= inverse;
  }
}

}  // namespace
}  // namespace dormouse::kernels
