// What the kernels of top_tokens.cuh must find, by the definition. Test code only.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "kernels/cuda/matmul_args.h"

namespace dormouse::cuda {

// What is not finite, then by value, then by id.
inline bool is_before(const TopToken& a, const TopToken& b) {
  const bool a_finite = std::isfinite(a.logit);
  const bool b_finite = std::isfinite(b.logit);
  if (a_finite != b_finite) return b_finite;
  if (a_finite && a.logit != b.logit) return a.logit > b.logit;
  return a.token < b.token;
}

// [kTopTokens]; after the last one of a short row {0, -1}.
inline std::vector<TopToken> expected_top(const float* logits, std::int32_t ids) {
  std::vector<TopToken> all(static_cast<std::size_t>(ids));
  for (std::int32_t id = 0; id < ids; ++id) all[static_cast<std::size_t>(id)] = {logits[id], id};
  std::partial_sort(all.begin(), all.begin() + std::min(kTopTokens, ids), all.end(), is_before);
  all.resize(static_cast<std::size_t>(kTopTokens), {0.0F, -1});
  return all;
}

}  // namespace dormouse::cuda
