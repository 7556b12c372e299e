#include "worker/tools/quantize.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

#include "gguf/file.h"
#include "gguf/writer.h"
#include "quant/codec.h"
#include "worker/tools/parallel_rows.h"
#include "worker/tools/progress.h"

namespace dormouse::worker {
namespace {

constexpr std::uint32_t kQuantizationVersion = 2;  // ggml's number for today's block layouts
constexpr std::uint64_t kMaxLayers = 512;
constexpr std::uint64_t kMaxHeads = 1024;
// Weights worked on before they are written: 16 M, 8 to 64 MB of output.
constexpr std::uint64_t kBatchWeights = 16U << 20;

struct Job {
  const gguf::TensorInfo* tensor = nullptr;
  TensorType type = TensorType::kF32;
};

bool is_float(TensorType type) {
  return type == TensorType::kF32 || type == TensorType::kF16 || type == TensorType::kBF16;
}

Result<ModelShape> read_shape(const gguf::File& file) {
  if (file.get_uint("split.count", 0, 1).value_or(2) > 1 && file.has("split.count")) {
    return make_error(Code::kInvalidArgument, "one part of a split model; merge the parts first");
  }
  TRY(const std::string_view architecture, file.get_string("general.architecture"));
  const std::string prefix(architecture);
  TRY(const std::uint64_t layers, file.get_uint(prefix + ".block_count", 1, kMaxLayers));
  TRY(const std::uint64_t heads, file.get_uint(prefix + ".attention.head_count", 1, kMaxHeads));
  TRY(const std::uint64_t kv_heads, file.get_uint(prefix + ".attention.head_count_kv", 1, heads));
  return ModelShape{.layers = static_cast<std::uint32_t>(layers),
                    .heads_per_kv_head = static_cast<std::uint32_t>(heads / kv_heads),
                    .is_tied = file.find_tensor("output.weight") == nullptr};
}

Result<std::vector<Job>> plan(const gguf::File& file, const QuantizeOptions& options, Progress& progress) {
  TRY(const ModelShape shape, read_shape(file));
  std::vector<Job> jobs;
  for (const gguf::TensorInfo& tensor : file.tensors()) {
    const TypeChoice choice =
        choose_type(options.file_type.type, shape, tensor.name, tensor.dimensions, tensor.row_length());
    if (!is_float(tensor.type) && tensor.type != choice.type && !options.allow_requantize) {
      return make_error(Code::kInvalidArgument,
                        fmt::format("tensor '{}' is {} already; start from an F16, BF16 or F32 file, or give "
                                    "--allow-requantize and accept both losses",
                                    tensor.name, traits(tensor.type).name));
    }
    if (choice.instead_of.has_value()) {
      progress.note(fmt::format("{}: rows of {} do not fit {}, so it becomes {}", tensor.name, tensor.row_length(),
                                traits(*choice.instead_of).name, traits(choice.type).name));
    }
    jobs.push_back({&tensor, choice.type});
  }
  return jobs;
}

void copy_metadata(const gguf::File& file, const QuantizeOptions& options, gguf::Writer& writer) {
  for (const std::string_view key : file.keys()) {
    const bool is_ours =
        key == "general.file_type" || key == "general.quantization_version" || key == gguf::kAlignmentKey;
    if (!is_ours) writer.add_raw(key, *file.raw_value(key));
  }
  writer.add_uint32("general.file_type", options.file_type.number);
  writer.add_uint32("general.quantization_version", kQuantizationVersion);
}

// One batch of a tensor's rows, from the file into `out`.
class BatchEncoder {
 public:
  BatchEncoder(const gguf::File& file, const Job& job)
      : in_(file.data(*job.tensor)),
        from_(job.tensor->type),
        to_(job.type),
        row_(job.tensor->row_length()),
        in_row_bytes_(row_ / traits(from_).block_elements * traits(from_).block_bytes),
        out_row_bytes_(row_ / traits(to_).block_elements * traits(to_).block_bytes) {}

  [[nodiscard]] std::uint64_t out_row_bytes() const { return out_row_bytes_; }
  [[nodiscard]] bool saw_non_finite() const { return saw_non_finite_.load(); }

  // Rows [begin, end) of the tensor; `out` is where row `first` goes. Threads: disjoint ranges at once.
  void encode_rows(std::uint64_t first, std::uint64_t begin, std::uint64_t end, std::uint8_t* out) {
    std::vector<float> floats(row_);
    for (std::uint64_t row = begin; row < end; ++row) {
      const std::uint8_t* source = in_.data() + row * in_row_bytes_;
      std::uint8_t* target = out + (row - first) * out_row_bytes_;
      if (from_ == to_) {
        std::memcpy(target, source, out_row_bytes_);
        continue;
      }
      quant::dequantize_row(from_, source, floats.data(), row_);
      if (!std::all_of(floats.begin(), floats.end(), [](float x) { return std::isfinite(x); })) {
        saw_non_finite_.store(true);
      }
      quant::quantize_row(to_, floats.data(), target, row_);
    }
  }

 private:
  std::span<const std::uint8_t> in_;
  TensorType from_;
  TensorType to_;
  std::uint64_t row_;
  std::uint64_t in_row_bytes_;
  std::uint64_t out_row_bytes_;
  std::atomic<bool> saw_non_finite_ = false;  // a flag; the threads' join orders it
};

Status convert(const gguf::File& file, const Job& job, const QuantizeOptions& options, std::uint64_t done,
               Progress& progress, std::vector<std::uint8_t>& buffer, gguf::Writer& writer) {
  BatchEncoder encoder(file, job);
  const gguf::TensorInfo& tensor = *job.tensor;
  const std::string label = fmt::format("{} {} -> {}", tensor.name, traits(tensor.type).name, traits(job.type).name);
  const std::uint64_t rows_per_batch = std::max<std::uint64_t>(1, kBatchWeights / tensor.row_length());
  for (std::uint64_t first = 0; first < tensor.rows(); first += rows_per_batch) {
    if (InterruptGuard::is_interrupted()) return make_error(Code::kCancelled, "interrupted; nothing was written");
    progress.update(done + first * tensor.row_length(), label);
    const std::uint64_t rows = std::min(rows_per_batch, tensor.rows() - first);
    const std::uint64_t bytes = rows * encoder.out_row_bytes();
    buffer.resize(std::max<std::size_t>(buffer.size(), bytes));
    parallel_rows(options.threads, rows, [&](std::uint64_t begin, std::uint64_t end) {
      encoder.encode_rows(first, first + begin, first + end, buffer.data());
    });
    if (encoder.saw_non_finite()) {
      return make_error(Code::kDataLoss,
                        fmt::format("tensor '{}' holds a weight that is not a finite number", tensor.name));
    }
    TRY_STATUS(writer.append(std::span(buffer).first(bytes)));
  }
  return {};
}

}  // namespace

Result<QuantizeReport> quantize_file(const QuantizeOptions& options) {
  const InterruptGuard guard;
  std::error_code ec;
  if (std::filesystem::equivalent(options.in_path, options.out_path, ec)) {
    return make_error(Code::kInvalidArgument, options.out_path + ": is the input; give another name");
  }
  TRY(const gguf::File file, gguf::File::open(options.in_path));
  QuantizeReport report;
  report.in_bytes = file.bytes().size();
  for (const gguf::TensorInfo& tensor : file.tensors()) report.weights += tensor.row_length() * tensor.rows();
  Progress progress("quantize", "weights", report.weights);
  TRY(const std::vector<Job> jobs, plan(file, options, progress));

  gguf::Writer writer;
  copy_metadata(file, options, writer);
  for (const Job& job : jobs) {
    const auto shape = std::span(job.tensor->shape).first(static_cast<std::size_t>(job.tensor->dimensions));
    writer.add_tensor(job.tensor->name, job.type, shape);
    report.tensor_bytes += gguf::Writer::tensor_bytes(job.type, shape);
  }
  TRY_STATUS(writer.begin(options.out_path));
  std::vector<std::uint8_t> buffer;
  std::uint64_t done = 0;
  for (const Job& job : jobs) {
    TRY_STATUS(convert(file, job, options, done, progress, buffer, writer));
    done += job.tensor->row_length() * job.tensor->rows();
  }
  TRY_STATUS(writer.finish());
  report.out_bytes = writer.file_bytes();
  report.seconds = progress.seconds();
  return report;
}

}  // namespace dormouse::worker
