// The states of a text's tokens on their way to one vector: their mean or the last of them, of length 1. Sums are in
// double and in order of positions, so that chunks and neighbours do not show in the bits. PURE.
// Owner: the generator.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "api/embeddings.h"
#include "base/result.h"

namespace dormouse::worker {

class StatePool {
 public:
  StatePool(api::Pooling pooling, std::int32_t hidden) : pooling_(pooling), hidden_(static_cast<std::size_t>(hidden)) {}

  // States of the tokens from `position` on: [tokens, hidden]. Position 0 begins anew: after a preemption a text is
  // computed again from its start.
  void add(std::int32_t position, std::span<const float> states);
  // Errors: kInternal (no direction: zero, or not finite).
  [[nodiscard]] Result<std::vector<float>> vector() const;

 private:
  api::Pooling pooling_;
  std::size_t hidden_;
  std::vector<double> sum_;
};

// The first so many components, of length 1 again. dimensions <= vector.size(). Errors: as StatePool::vector.
[[nodiscard]] Result<std::vector<float>> shortened(std::span<const float> vector, std::size_t dimensions);

}  // namespace dormouse::worker
