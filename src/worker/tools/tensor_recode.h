// Writes one tensor in another type, a batch of rows at a time, on several threads. What quantize and convert do alike.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/tensor_type.h"
#include "gguf/writer.h"
#include "worker/tools/progress.h"

namespace dormouse::worker {

// bytes: [rows, row_length] of type `from`, a view of the input; row_length is a multiple of both types'
// block_elements.
struct TensorRecode {
  std::string_view file;  // where it comes from, for errors
  std::string_view name;
  std::span<const std::uint8_t> bytes;
  TensorType from = TensorType::kF32;
  TensorType to = TensorType::kF32;
  // Each weight is rounded to this float type on its way: so that one step gives the bytes of two.
  std::optional<TensorType> through = std::nullopt;
  std::uint64_t row_length = 0;
  std::uint64_t rows = 0;

  [[nodiscard]] std::uint64_t weights() const { return row_length * rows; }
};

[[nodiscard]] bool is_float(TensorType type);

class TensorRecoder {
 public:
  // The three outlive it. `writer` has begun and expects the tensors in the order they come.
  TensorRecoder(int threads, Progress& progress, gguf::Writer& writer)
      : threads_(threads), progress_(progress), writer_(writer) {}

  // The same bytes, whatever the number of threads. Errors: kDataLoss (a float that is not finite), kInvalidArgument
  // (one beyond F16's or BF16's range), kCancelled (after SIGINT or SIGTERM, while an InterruptGuard lives), those of
  // gguf::Writer.
  Status append(const TensorRecode& tensor);

 private:
  const int threads_;
  Progress& progress_;
  gguf::Writer& writer_;
  std::uint64_t weights_done_ = 0;
  std::vector<std::uint8_t> buffer_;  // a batch of output; grows to the largest
};

}  // namespace dormouse::worker
