#include "kernels/cuda/kernel_images.h"

namespace dormouse::cuda {

std::span<const void* const> kernel_images() {
  return {};
}
std::span<const int> kernel_archs() {
  return {};
}

}  // namespace dormouse::cuda
