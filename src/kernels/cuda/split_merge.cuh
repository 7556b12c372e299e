// How the parts of a softmax over many splits become one: the same few operations, in the same order, wherever a part
// was computed. Splits s, s + 4, s + 8, ... are a chain, merged one after the other; then the four chains in order.
#pragma once

#include "kernels/cuda/kv_pages.cuh"

namespace dormouse::cuda {

// Scores are base-2 logarithms; weight is the sum of 2^(score - maximum).
struct SoftmaxState {
  float maximum;
  float weight;
};
DEVICE SoftmaxState no_tokens() {
  return {bits_to_float(0xFF800000U), 0.0F};
}

// What the sums so far and those of a part are multiplied with. The part has a token, so its maximum is finite.
struct MergeFactors {
  float before;
  float part;
};
DEVICE MergeFactors merge(SoftmaxState& state, const SoftmaxState& part) {
  const float maximum = fmaxf(state.maximum, part.maximum);
  const MergeFactors factors = {fast_exp2(state.maximum - maximum), fast_exp2(part.maximum - maximum)};
  state.weight = fmaf(state.weight, factors.before, part.weight * factors.part);
  state.maximum = maximum;
  return factors;
}
DEVICE void merge_sums(Floats4& sums, const Floats4& part, const MergeFactors& factors) {
  sums.x = fmaf(sums.x, factors.before, part.x * factors.part);
  sums.y = fmaf(sums.y, factors.before, part.y * factors.part);
  sums.z = fmaf(sums.z, factors.before, part.z * factors.part);
  sums.w = fmaf(sums.w, factors.before, part.w * factors.part);
}

// A chain without tokens has weight 0, maximum -infinity and sums 0: it changes nothing. Chain 0 always has some.
struct ChainFactors {
  float of[kSplitChains];
};
DEVICE ChainFactors chain_factors(const SoftmaxState (&chains)[kSplitChains]) {
  float maximum = chains[0].maximum;
#pragma unroll
  for (int c = 1; c < kSplitChains; ++c) maximum = fmaxf(maximum, chains[c].maximum);
  ChainFactors factors;
  float weight = 0.0F;
#pragma unroll
  for (int c = 0; c < kSplitChains; ++c) {
    factors.of[c] = fast_exp2(chains[c].maximum - maximum);
    weight = fmaf(chains[c].weight, factors.of[c], weight);
  }
  const float inverse = 1.0F / weight;
#pragma unroll
  for (int c = 0; c < kSplitChains; ++c) factors.of[c] = factors.of[c] * inverse;
  return factors;
}
DEVICE void add_chain(Floats4& out, const Floats4& sums, float factor) {
  out.x = fmaf(sums.x, factor, out.x);
  out.y = fmaf(sums.y, factor, out.y);
  out.z = fmaf(sums.z, factor, out.z);
  out.w = fmaf(sums.w, factor, out.w);
}

}  // namespace dormouse::cuda
