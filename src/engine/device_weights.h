// A model's weights on a device: the packed matrices byte for byte as they lie in the packed file, in execution order,
// and the norms. Owner: CudaForward. What the kernels read is never written again.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "engine/config.h"
#include "engine/weights.h"
#include "kernels/cuda/device.h"

namespace dormouse::engine {

// Device memory that goes back when its owner does.
class DeviceBuffer {
 public:
  static Result<DeviceBuffer> create(cuda::Device& device, std::uint64_t bytes);
  DeviceBuffer() = default;
  DeviceBuffer(DeviceBuffer&& other) noexcept;
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept;
  ~DeviceBuffer();

  [[nodiscard]] cuda::DevicePointer address() const { return address_; }
  template <typename T>
  [[nodiscard]] T* at(std::uint64_t byte = 0) const {
    return reinterpret_cast<T*>(address_ + byte);
  }

 private:
  cuda::Device* device_ = nullptr;
  cuda::DevicePointer address_ = 0;
};

// Matrices whose data is on the device.
struct DeviceLayer {
  Matrix q, k, v, attention_output, gate, up, down;
  const float* attention_norm = nullptr;
  const float* q_norm = nullptr;
  const float* k_norm = nullptr;
  const float* ffn_norm = nullptr;
};

struct DeviceWeights {
  DeviceBuffer memory;
  Matrix embedding;
  std::vector<DeviceLayer> layers;
  const float* output_norm = nullptr;
  Matrix output;
  std::uint64_t bytes = 0;
};

// What the kernels do not do. Errors: kInvalidArgument, naming the tensor or the size.
[[nodiscard]] Status check_for_device(const ModelConfig& config, const ModelWeights& weights);
// Bytes upload_weights() will take.
[[nodiscard]] std::uint64_t device_weight_bytes(const ModelWeights& weights);
// Errors: kOverloaded (they do not fit), the device's.
[[nodiscard]] Result<DeviceWeights> upload_weights(cuda::Device& device, const ModelWeights& weights,
                                                   const Progress& progress);

}  // namespace dormouse::engine
