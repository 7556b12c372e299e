#include "worker/tools/tensor_recode.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include "quant/codec.h"
#include "worker/tools/parallel_rows.h"

namespace dormouse::worker {
namespace {

// Weights worked on before they are written: 16 M, 8 to 64 MB of output.
constexpr std::uint64_t kBatchWeights = 16U << 20;

std::uint64_t row_bytes(TensorType type, std::uint64_t row_length) {
  return row_length / traits(type).block_elements * traits(type).block_bytes;
}

// What rounds to infinity in that type: half a unit in the last place above its largest number.
float overflow_of(TensorType type) {
  if (type == TensorType::kF16) return 65520.0F;
  if (type == TensorType::kBF16) return 0x1.FFp127F;
  return std::numeric_limits<float>::infinity();
}

enum class Fault { kNone, kNotFinite, kTooLarge };

Fault find_fault(std::span<const float> floats, float overflow) {
  const auto at = std::find_if(floats.begin(), floats.end(), [=](float x) { return !(std::fabs(x) < overflow); });
  if (at == floats.end()) return Fault::kNone;
  return std::isfinite(*at) ? Fault::kTooLarge : Fault::kNotFinite;
}

TensorType narrowest(const TensorRecode& tensor) {
  return tensor.through.value_or(tensor.to);
}

Error fault_error(const TensorRecode& tensor, Fault fault) {
  if (fault == Fault::kTooLarge) {
    return make_error(Code::kInvalidArgument,
                      fmt::format("{}: tensor '{}' holds a weight beyond the largest number of {}; choose BF16 or F32",
                                  tensor.file, tensor.name, traits(narrowest(tensor)).name));
  }
  return make_error(Code::kDataLoss, fmt::format("{}: tensor '{}' holds a weight that is not a finite number",
                                                 tensor.file, tensor.name));
}

// One row after the other, with the buffers of one thread.
class RowRecoder {
 public:
  explicit RowRecoder(const TensorRecode& tensor)
      : tensor_(tensor),
        in_bytes_(row_bytes(tensor.from, tensor.row_length)),
        overflow_(overflow_of(narrowest(tensor))),
        floats_(tensor.row_length) {
    if (tensor.through.has_value()) rounded_.resize(row_bytes(*tensor.through, tensor.row_length));
  }

  [[nodiscard]] Fault recode(std::uint64_t row, std::uint8_t* out) {
    const std::uint8_t* in = tensor_.bytes.data() + row * in_bytes_;
    if (tensor_.from == tensor_.to && !is_float(tensor_.from)) {
      std::memcpy(out, in, in_bytes_);
      return Fault::kNone;
    }
    quant::dequantize_row(tensor_.from, in, floats_.data(), floats_.size());
    if (const Fault fault = find_fault(floats_, overflow_); fault != Fault::kNone) return fault;
    if (tensor_.through.has_value()) {
      quant::quantize_row(*tensor_.through, floats_.data(), rounded_.data(), floats_.size());
      quant::dequantize_row(*tensor_.through, rounded_.data(), floats_.data(), floats_.size());
    }
    quant::quantize_row(tensor_.to, floats_.data(), out, floats_.size());
    return Fault::kNone;
  }

 private:
  const TensorRecode& tensor_;
  const std::uint64_t in_bytes_;
  const float overflow_;
  std::vector<float> floats_;
  std::vector<std::uint8_t> rounded_;
};

}  // namespace

bool is_float(TensorType type) {
  return type == TensorType::kF32 || type == TensorType::kF16 || type == TensorType::kBF16;
}

Status TensorRecoder::append(const TensorRecode& tensor) {
  const std::string label = fmt::format("{} {} -> {}", tensor.name, traits(tensor.from).name, traits(tensor.to).name);
  const std::uint64_t out_bytes = row_bytes(tensor.to, tensor.row_length);
  const std::uint64_t rows_per_batch = std::max<std::uint64_t>(1, kBatchWeights / tensor.row_length);
  std::atomic<Fault> fault = Fault::kNone;  // a flag; the threads' join orders it
  for (std::uint64_t first = 0; first < tensor.rows; first += rows_per_batch) {
    if (InterruptGuard::is_interrupted()) return make_error(Code::kCancelled, "interrupted; nothing was written");
    progress_.update(weights_done_ + first * tensor.row_length, label);
    const std::uint64_t rows = std::min(rows_per_batch, tensor.rows - first);
    buffer_.resize(std::max<std::size_t>(buffer_.size(), rows * out_bytes));
    parallel_rows(threads_, rows, [&](std::uint64_t begin, std::uint64_t end) {
      RowRecoder recoder(tensor);
      for (std::uint64_t row = begin; row < end; ++row) {
        const Fault found = recoder.recode(first + row, buffer_.data() + row * out_bytes);
        if (found != Fault::kNone) fault.store(found);
      }
    });
    if (fault.load() != Fault::kNone) return fault_error(tensor, fault.load());
    TRY_STATUS(writer_.append(std::span(buffer_).first(rows * out_bytes)));
  }
  weights_done_ += tensor.weights();
  return {};
}

}  // namespace dormouse::worker
