#include "worker/tools/forced_model.h"

#include <errno.h>
#include <fmt/format.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <utility>

#include "worker/tools/parallel_rows.h"
#include "worker/tools/quantize.h"

namespace dormouse::worker {

Result<ForcedModel> ForcedModel::open(const std::string& path, const ForcedModelOptions& options) {
  ForcedModel out;
  out.options_ = options;
  TRY(gguf::File file, gguf::File::open(path));
  out.file_ = std::make_unique<const gguf::File>(std::move(file));
  TRY(const engine::ModelConfig config, engine::read_config(*out.file_));
  if (options.context > config.context_length) {
    return make_error(Code::kInvalidArgument, fmt::format("{}: a context of {} tokens is beyond the model's {}", path,
                                                          options.context, config.context_length));
  }
  auto packed = pack::PackedFile::open(
      pack::packed_path(path, options.packed_directory, out.file_->mapping()->identity().inode), *out.file_);
  if (packed.has_value()) out.packed_ = std::make_unique<const pack::PackedFile>(*std::move(packed));
  engine::EngineOptions engine_options;
  engine_options.isa = options.isa;
  engine_options.device = options.device;
  engine_options.kv_type = options.kv_type;
  engine_options.threads = options.threads;
  engine_options.max_batch_tokens = engine_options.max_logits_rows = std::min(options.rows, options.context);
  engine_options.kv_pages = (options.context + sched::kPageTokens - 1) / sched::kPageTokens;
  out.pages_.resize(static_cast<std::size_t>(engine_options.kv_pages));
  std::iota(out.pages_.begin(), out.pages_.end(), 0);
  TRY(out.engine_, engine::Engine::load(*out.file_, out.packed_.get(), engine_options, {}));
  return out;
}

Result<std::span<const float>> ForcedModel::feed(std::span<const sched::TokenId> tokens, std::int32_t begin,
                                                 std::int32_t end, Logits logits) {
  sched::BatchPlan plan;
  plan.token_count = end - begin;
  plan.logits_count = logits == Logits::kAll ? plan.token_count : 0;
  sched::PlanEntry entry;
  entry.tokens = tokens.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(plan.token_count));
  entry.start_position = begin;
  entry.prompt_length = options_.arithmetic == Arithmetic::kPrompt ? static_cast<std::int32_t>(tokens.size()) : 0;
  entry.pages = pages_;
  entry.wants_all_logits = logits == Logits::kAll;
  plan.entries.push_back(entry);
  return engine_->step(plan);
}

Result<TemporaryFolder> TemporaryFolder::create() {
  std::error_code ec;
  std::string pattern = (std::filesystem::temp_directory_path(ec) / "dormouse-XXXXXX").string();
  if (ec || ::mkdtemp(pattern.data()) == nullptr) return errno_error("a temporary folder", ec ? ec.value() : errno);
  TemporaryFolder out;
  out.path_ = std::move(pattern);
  return out;
}

TemporaryFolder::TemporaryFolder(TemporaryFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}

TemporaryFolder& TemporaryFolder::operator=(TemporaryFolder&& other) noexcept {
  std::swap(path_, other.path_);
  return *this;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;  // nothing to be done about a file that cannot be removed
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

bool has_float_weights(const gguf::File& file) {
  return std::all_of(file.tensors().begin(), file.tensors().end(), [](const gguf::TensorInfo& tensor) {
    return tensor.type == TensorType::kF32 || tensor.type == TensorType::kF16 || tensor.type == TensorType::kBF16;
  });
}

Result<std::string> copy_as_floats(const std::string& from, const std::string& folder) {
  QuantizeOptions options;
  options.in_path = from;
  options.out_path = folder + "/" + std::filesystem::path(from).stem().string() + "-f32.gguf";
  options.file_type = *find_file_type("F32");
  options.allow_requantize = true;
  options.threads = default_thread_count();
  TRY([[maybe_unused]] const QuantizeReport report, quantize_file(options));
  return options.out_path;
}

}  // namespace dormouse::worker
