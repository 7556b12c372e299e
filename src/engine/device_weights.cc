#include "engine/device_weights.h"

#include <string>
#include <utility>

#include "kernels/layout.h"

namespace dormouse::engine {
namespace {

constexpr std::uint64_t kAlignment = 256;

std::uint64_t padded(std::uint64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}
std::uint64_t matrix_bytes(const Matrix& matrix) {
  return static_cast<std::uint64_t>(kernels::packed_matrix_bytes(matrix.type, matrix.rows, matrix.columns));
}

// Everything that goes to the device, in the order of use. One walk serves to count and to copy.
template <typename OnMatrix, typename OnNorm>
Status walk(const ModelWeights& weights, DeviceWeights& out, const OnMatrix& matrix, const OnNorm& norm) {
  out.layers.resize(weights.layers.size());
  for (std::size_t i = 0; i < weights.layers.size(); ++i) {
    const LayerWeights& from = weights.layers[i];
    DeviceLayer& to = out.layers[i];
    TRY_STATUS(norm(from.attention_norm, to.attention_norm));
    TRY_STATUS(matrix(from.q, to.q));
    TRY_STATUS(matrix(from.k, to.k));
    TRY_STATUS(matrix(from.v, to.v));
    TRY_STATUS(norm(from.q_norm, to.q_norm));
    TRY_STATUS(norm(from.k_norm, to.k_norm));
    TRY_STATUS(matrix(from.attention_output, to.attention_output));
    TRY_STATUS(norm(from.ffn_norm, to.ffn_norm));
    TRY_STATUS(matrix(from.gate, to.gate));
    TRY_STATUS(matrix(from.up, to.up));
    TRY_STATUS(matrix(from.down, to.down));
  }
  TRY_STATUS(norm(weights.output_norm, out.output_norm));
  TRY_STATUS(matrix(weights.embedding, out.embedding));
  if (weights.output.data != weights.embedding.data) return matrix(weights.output, out.output);
  out.output = out.embedding;
  return {};
}

Status check_columns(const char* what, std::int32_t columns) {
  if (columns % kernels::kTileColumns == 0) return {};
  return make_error(Code::kInvalidArgument, std::string("cuda: ") + what + " is " + std::to_string(columns) +
                                                ", a multiple of 256 is wanted; run this model with --device cpu");
}

}  // namespace

Result<DeviceBuffer> DeviceBuffer::create(cuda::Device& device, std::uint64_t bytes) {
  DeviceBuffer out;
  TRY(out.address_, device.allocate(bytes));
  out.device_ = &device;
  return out;
}

DeviceBuffer::DeviceBuffer(DeviceBuffer&& other) noexcept
    : device_(std::exchange(other.device_, nullptr)), address_(std::exchange(other.address_, 0)) {}

DeviceBuffer& DeviceBuffer::operator=(DeviceBuffer&& other) noexcept {
  std::swap(device_, other.device_);
  std::swap(address_, other.address_);
  return *this;
}

DeviceBuffer::~DeviceBuffer() {
  if (device_ != nullptr) device_->release(address_);
}

Status check_for_device(const ModelConfig& config, const ModelWeights& weights) {
  TRY_STATUS(check_columns("the hidden size", config.hidden));
  TRY_STATUS(check_columns("the feed-forward size", config.ffn));
  TRY_STATUS(check_columns("heads times head_dim", config.q_dim()));
  if (config.head_dim != 64 && config.head_dim != 128) {
    return make_error(Code::kInvalidArgument,
                      "cuda: heads have " + std::to_string(config.head_dim) +
                          " dimensions, 64 or 128 are wanted; run this model with --device cpu");
  }
  if (config.heads / config.kv_heads > cuda::kMostQueries) {
    return make_error(Code::kInvalidArgument, "cuda: more than " + std::to_string(cuda::kMostQueries) +
                                                  " query heads share a KV head; run this model with --device cpu");
  }
  DeviceWeights unused;
  TRY_STATUS(walk(
      weights, unused,
      [](const Matrix& from, Matrix&) -> Status {
        if (from.type != TensorType::kF32) return {};
        return make_error(Code::kInvalidArgument,
                          "cuda: a matrix is in F32; quantise the model (dormouse-worker quantize) or run it with "
                          "--device cpu");
      },
      [](const std::vector<float>&, const float*&) -> Status { return {}; }));
  for (std::size_t i = 0; i < weights.layers.size(); ++i) {
    if (weights.layers[i].gate.type == weights.layers[i].up.type) continue;
    return make_error(Code::kInvalidArgument, "cuda: gate and up of layer " + std::to_string(i) +
                                                  " differ in type; run this model with --device cpu");
  }
  return {};
}

std::uint64_t device_weight_bytes(const ModelWeights& weights) {
  std::uint64_t total = 0;
  DeviceWeights unused;
  (void)walk(
      weights, unused,
      [&](const Matrix& from, Matrix&) -> Status {
        total += padded(matrix_bytes(from));
        return {};
      },
      [&](const std::vector<float>& from, const float*&) -> Status {
        total += padded(from.size() * sizeof(float));
        return {};
      });
  return total;
}

Result<DeviceWeights> upload_weights(cuda::Device& device, const ModelWeights& weights, const Progress& progress) {
  DeviceWeights out;
  out.bytes = device_weight_bytes(weights);
  TRY(out.memory, DeviceBuffer::create(device, out.bytes));
  std::uint64_t used = 0;
  std::vector<cuda::Upload> uploads;
  const auto copy = [&](const void* from, std::uint64_t bytes) -> Result<std::uint64_t> {
    const std::uint64_t at = used;
    uploads.push_back({.to = out.memory.address() + at, .from = from, .bytes = bytes});
    used += padded(bytes);
    return at;
  };
  TRY_STATUS(walk(
      weights, out,
      [&](const Matrix& from, Matrix& to) -> Status {
        TRY(const std::uint64_t at, copy(from.data, matrix_bytes(from)));
        to = from;
        to.data = out.memory.at<std::uint8_t>(at);
        return {};
      },
      [&](const std::vector<float>& from, const float*& to) -> Status {
        TRY(const std::uint64_t at, copy(from.data(), from.size() * sizeof(float)));
        to = out.memory.at<float>(at);
        return {};
      }));
  TRY_STATUS(device.upload_all(uploads));
  if (progress) progress(1.0);
  return out;
}

}  // namespace dormouse::engine
