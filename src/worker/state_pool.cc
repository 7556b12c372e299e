#include "worker/state_pool.h"

#include <cmath>

#include "base/check.h"

namespace dormouse::worker {
namespace {

template <typename T>
Result<std::vector<float>> normalised(std::span<const T> values) {
  double squares = 0;
  for (const T value : values) squares += static_cast<double>(value) * static_cast<double>(value);
  const double length = std::sqrt(squares);
  if (!std::isfinite(length) || length <= 0) {
    return make_error(Code::kInternal, "embedding: the states have no direction");
  }
  std::vector<float> out;
  out.reserve(values.size());
  for (const T value : values) out.push_back(static_cast<float>(static_cast<double>(value) / length));
  return out;
}

}  // namespace

void StatePool::add(std::int32_t position, std::span<const float> states) {
  DCHECK(states.size() % hidden_ == 0);
  if (position == 0) sum_.assign(hidden_, 0.0);
  if (pooling_ == api::Pooling::kLast) {
    const std::span<const float> last = states.last(hidden_);
    sum_.assign(last.begin(), last.end());
    return;
  }
  for (std::size_t begin = 0; begin < states.size(); begin += hidden_) {
    for (std::size_t i = 0; i < hidden_; ++i) sum_[i] += static_cast<double>(states[begin + i]);
  }
}

Result<std::vector<float>> StatePool::vector() const {
  return normalised(std::span<const double>(sum_));
}

Result<std::vector<float>> shortened(std::span<const float> vector, std::size_t dimensions) {
  DCHECK(dimensions <= vector.size());
  return normalised(vector.first(dimensions));
}

}  // namespace dormouse::worker
