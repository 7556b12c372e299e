// The device that tests of the CUDA engine run on: the emulated one or, with DORMOUSE_TEST_GPU=n, a card, where they
// take seconds. Test code only.
#pragma once

#include <charconv>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "base/result.h"
#include "kernels/cuda/device.h"

namespace dormouse::engine {

inline bool is_on_card() {
  return std::getenv("DORMOUSE_TEST_GPU") != nullptr;
}
inline Result<std::unique_ptr<cuda::Device>> open_device() {
  if (!is_on_card()) return cuda::open_emulated();
  const std::string_view number = std::getenv("DORMOUSE_TEST_GPU");
  int ordinal = 0;
  std::from_chars(number.data(), number.data() + number.size(), ordinal);
  return cuda::open_gpu(ordinal);
}

}  // namespace dormouse::engine
