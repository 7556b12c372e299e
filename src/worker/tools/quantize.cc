#include "worker/tools/quantize.h"

#include <fmt/format.h>

#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

#include "gguf/file.h"
#include "gguf/writer.h"
#include "worker/tools/progress.h"
#include "worker/tools/tensor_recode.h"

namespace dormouse::worker {
namespace {

constexpr std::uint32_t kQuantizationVersion = 2;  // ggml's number for today's block layouts
constexpr std::uint64_t kMaxLayers = 512;
constexpr std::uint64_t kMaxHeads = 1024;

struct Job {
  const gguf::TensorInfo* tensor = nullptr;
  TensorType type = TensorType::kF32;
};

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
  TensorRecoder recoder(options.threads, progress, writer);
  for (const Job& job : jobs) {
    TRY_STATUS(recoder.append({.file = options.in_path,
                               .name = job.tensor->name,
                               .bytes = file.data(*job.tensor),
                               .from = job.tensor->type,
                               .to = job.type,
                               .row_length = job.tensor->row_length(),
                               .rows = job.tensor->rows()}));
  }
  TRY_STATUS(writer.finish());
  report.out_bytes = writer.file_bytes();
  report.seconds = progress.seconds();
  return report;
}

}  // namespace dormouse::worker
