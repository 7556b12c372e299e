#include "worker/model.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <utility>

#include "base/log.h"
#include "engine/cpu_budget.h"
#include "engine/engine_cuda.h"
#include "engine/kv_cache.h"
#include "engine/placement.h"
#include "engine/thread_pool.h"
#include "worker/kv_shape.h"
#include "worker/tools/progress.h"

namespace dormouse::worker {
namespace {

// Logits rows beyond one a sequence: the golden rows, and prompts that want all.
constexpr std::int32_t kSpareLogitsRows = 64;

// What the process may use: the machine's memory or the cgroup's, whichever is less.
std::int64_t memory_bytes() {
  std::int64_t bytes = std::int64_t{::sysconf(_SC_PHYS_PAGES)} * ::sysconf(_SC_PAGESIZE);
  std::ifstream in("/sys/fs/cgroup/memory.max");
  std::int64_t limit = 0;
  if (in >> limit && limit > 0) bytes = std::min(bytes, limit);
  return bytes;
}

text::TemplateFamily family_of(const gguf::File& file) {
  const Result<std::string_view> jinja = file.get_string("tokenizer.chat_template");
  if (!jinja.has_value()) {
    log_warn("event=no_chat_template used=chatml");
    return text::TemplateFamily::kInstruct2507;
  }
  const text::TemplateChoice choice = text::detect_template(*jinja);
  if (!choice.recognised) log_warn("event=unknown_chat_template used=chatml");
  return choice.family;
}

// A record there: the rows ride in the first batch. None: the full run now, and its record.
Status prepare_golden(const LoadOptions& options, LoadedModel& model) {
  model.golden_tokens = golden_prompt(model.tokenizer->first_padding_id());
  if (options.golden_directory.empty() || model.file->mapping() == nullptr) return {};
  const std::string arithmetic = model.engine->isa() + (options.kv_type == kernels::KvType::kQ8 ? "-kvq8" : "");
  const std::string key = golden_key(model.file->mapping()->identity(), arithmetic);
  model.golden = read_golden(options.golden_directory, key);
  if (model.golden.has_value()) return {};
  TRY(const GoldenResult result, run_golden(*model.engine, model.golden_tokens));
  model.golden_pending = false;
  if (const Status written = write_golden(options.golden_directory, key, result); !written.has_value()) {
    log_warn("event=golden_record_failed error=\"{}\"", written.error().message);  // the next wake runs it again
  }
  return {};
}

// Packs the model once. A line on a terminal or in the log tells how far it is; the gateway hears it as load progress.
Status pack_now(const LoadOptions& options, const gguf::File& file, const text::Tokenizer& tokenizer,
                const std::string& path, const LoadProgress& progress) {
  engine::ThreadPool pool(options.threads > 0 ? options.threads : engine::read_cpu_budget().threads(),
                          engine::ThreadPool::Waiting::kBlock);
  Progress line("pack", "bytes", file.bytes().size());
  const pack::Parallel parallel = [&](std::int32_t count, const std::function<void(std::int32_t)>& task) {
    pool.for_each(count, [&](std::int32_t index, std::int32_t) { task(index); });
  };
  TRY_STATUS(pack::write_packed(file, tokenizer.flat(), path, parallel, [&](std::uint64_t done, std::uint64_t bytes) {
    line.update(done, "weights");
    if (progress) progress(static_cast<double>(done) / static_cast<double>(bytes));
    return true;
  }));
  pack::remove_older_versions(options.path, options.packed_directory, file.mapping()->identity().inode);
  return {};
}

// The model's packed weights: there, or made now. Null when neither is possible (the disk is full, the folder cannot be
// written): then the engine packs into memory, and the log says what to do. Errors: those of the tokenizer, which goes
// into the file.
Result<std::unique_ptr<pack::PackedFile>> open_packed(const LoadOptions& options, const gguf::File& file,
                                                      const LoadProgress& progress) {
  if (file.mapping() == nullptr) return nullptr;
  const std::string path = pack::packed_path(options.path, options.packed_directory, file.mapping()->identity().inode);
  Result<pack::PackedFile> packed = pack::PackedFile::open(path, file);
  if (!packed.has_value()) {
    log_info("event=packing reason=\"{}\" file={}", packed.error().message, path);
    TRY(const text::Tokenizer tokenizer, text::Tokenizer::from_gguf(file));
    if (const Status written = pack_now(options, file, tokenizer, path, progress); !written.has_value()) {
      log_warn(
          "event=packed_in_memory reason=\"{}\" do=\"free some disk or name another folder with --packed-dir; until "
          "then every start takes seconds longer\"",
          written.error().message);
      return nullptr;
    }
    packed = pack::PackedFile::open(path, file);
    if (!packed.has_value()) {
      log_warn("event=packed_in_memory reason=\"{}\"", packed.error().message);
      return nullptr;
    }
  }
  return std::make_unique<pack::PackedFile>(*std::move(packed));
}

// From the packed file's tables where they can be used, from the model file otherwise.
Result<text::Tokenizer> open_tokenizer(const gguf::File& file, const pack::PackedFile* packed) {
  if (packed != nullptr) {
    Result<text::Tokenizer> mapped = text::Tokenizer::from_flat(packed->tokenizer_tables());
    if (mapped.has_value()) return mapped;
    // The check of the whole file, when the worker sits idle, deletes it if it is damaged.
    log_warn("event=tokenizer_built reason=\"{}\" file={}", mapped.error().message, packed->path());
  }
  return text::Tokenizer::from_gguf(file);
}

KvWishes wishes_of(const LoadOptions& options) {
  return {.max_model_len = options.max_model_len,
          .kv_cache_bytes = options.kv_cache_bytes,
          .max_sequences = options.max_sequences};
}

engine::EngineOptions engine_options_of(const LoadOptions& options) {
  engine::EngineOptions out;
  out.max_batch_tokens = std::max(options.max_batch_tokens, options.max_sequences);
  out.max_logits_rows = options.max_sequences + kSpareLogitsRows;
  out.max_sequences = options.max_sequences;
  out.kv_type = options.kv_type;
  out.threads = options.threads;
  out.isa = options.isa;
  out.device_sampling = options.device_sampling;
  out.device_paths = options.device_paths;
  return out;
}

// Where a model runs and what of the memory there is for its pages.
struct Place {
  std::unique_ptr<cuda::Device> device;  // null: the CPU
  KvShape shape;
};

Result<Place> place_on_cpu(const LoadOptions& options, const gguf::File& file, const engine::ModelConfig& config) {
  TRY_STATUS(check_memory(file.bytes().size() - file.data_offset(), static_cast<std::uint64_t>(memory_bytes())));
  // complete_model() asks the engine itself where it was not placed here.
  const auto bytes_per_token = static_cast<std::int64_t>(engine::kv_bytes_per_token(config, options.kv_type));
  Place out;
  TRY(out.shape, choose_kv_shape(wishes_of(options), config.context_length, bytes_per_token,
                                 kv_memory_of_ram(memory_bytes(), config.context_length)));
  return out;
}

Result<Place> place_on_gpu(const LoadOptions& options, int ordinal, const gguf::File& file,
                           const engine::ModelConfig& config) {
  Place out;
  TRY(out.device, engine::open_gpu(ordinal, options.device_paths));
  // With the context made: what is free now is ours to take.
  TRY(const std::uint64_t free, out.device->free_bytes());
  const std::uint64_t beside = engine::gpu_bytes_beside_kv(file, config, engine_options_of(options));
  const std::int64_t left = static_cast<std::int64_t>(free) - static_cast<std::int64_t>(beside);
  const auto bytes_per_token = static_cast<std::int64_t>(engine::kv_bytes_per_token(config, options.kv_type));
  TRY(out.shape, choose_kv_shape(wishes_of(options), config.context_length, bytes_per_token,
                                 kv_memory_of_gpu(left, config.context_length)));
  const cuda::DeviceInfo& gpu = out.device->info();
  log_info("event=device chosen=cuda:{} name=\"{}\" compute={}.{} free_mb={} model_mb={} kv_pages={}", ordinal,
           gpu.name, gpu.compute_major, gpu.compute_minor, free / 1'000'000, beside / 1'000'000, out.shape.pages);
  return out;
}

Result<std::unique_ptr<engine::Engine>> load_engine(const LoadOptions& options, Place place, const LoadedModel& model,
                                                    const LoadProgress& progress) {
  engine::EngineOptions engine_options = engine_options_of(options);
  engine_options.kv_pages = place.shape.pages;
  engine_options.first_padding_id = model.tokenizer->first_padding_id();
  if (place.device == nullptr) return engine::Engine::load(*model.file, model.packed.get(), engine_options, progress);
  return engine::load_cuda(std::move(place.device), *model.file, model.packed.get(), engine_options, progress);
}

}  // namespace

Status complete_model(const LoadOptions& options, LoadedModel& model) {
  const engine::ModelConfig& config = model.engine->config();
  if (model.tokenizer->vocab_size() > config.vocab) {
    return make_error(Code::kDataLoss, fmt::format("model: {} tokens in the vocabulary, {} rows in the embedding",
                                                   model.tokenizer->vocab_size(), config.vocab));
  }
  model.name = config.name;
  if (model.context_length == 0) {
    const auto bytes_per_token = static_cast<std::int64_t>(model.engine->kv_bytes_per_token());
    TRY(const KvShape shape, choose_kv_shape(wishes_of(options), config.context_length, bytes_per_token,
                                             kv_memory_of_ram(memory_bytes(), config.context_length)));
    model.context_length = static_cast<std::int32_t>(shape.context);
    // The engine was given a number of pages before it could say how large they are.
    model.kv_pages = model.kv_pages > 0 ? std::min(model.kv_pages, shape.pages) : shape.pages;
  }
  model.max_sequences = options.max_sequences;
  model.max_batch_tokens = std::max(options.max_batch_tokens, options.max_sequences);
  model.max_logits_rows = options.max_sequences + kSpareLogitsRows;
  model.formats = std::make_unique<FormatCache>(*model.tokenizer);
  model.family = family_of(*model.file);
  const std::string names = model.name + " " + options.path.substr(options.path.find_last_of('/') + 1);
  model.embedding = embedding_rules(*model.file, names, options.pooling);
  return prepare_golden(options, model);
}

Status check_memory(std::uint64_t weight_bytes, std::uint64_t memory_bytes) {
  if (weight_bytes <= memory_bytes) return {};
  return make_error(
      Code::kOverloaded,
      fmt::format("model: {:.1f} GB of weights do not fit the {:.1f} GB of memory this process may use; take a "
                  "smaller quantisation (Q4_K_M, Q2_K) or a smaller model",
                  static_cast<double>(weight_bytes) / 1e9, static_cast<double>(memory_bytes) / 1e9));
}

Result<LoadedModel> load_model(const LoadOptions& options, const LoadProgress& progress) {
  using Kind = engine::DeviceName::Kind;
  TRY(const engine::DeviceName wanted, engine::parse_device(options.device));
  LoadedModel model;
  TRY(gguf::File file, gguf::File::open(options.path));
  model.file = std::make_unique<gguf::File>(std::move(file));
  TRY(const engine::ModelConfig config, engine::read_config(*model.file));
  const auto place_model = [&](Kind kind) {
    return kind == Kind::kCpu ? place_on_cpu(options, *model.file, config)
                              : place_on_gpu(options, wanted.ordinal, *model.file, config);
  };
  Result<Place> place = place_model(wanted.kind);
  if (!place.has_value() && wanted.kind == Kind::kAuto) {
    log_info("event=device chosen=cpu reason=\"{}\"", place.error().message);
    place = place_model(Kind::kCpu);
  }
  if (!place.has_value()) return place.error();
  // Before packing: a file that will be refused must not cost its size again on disk, nor lie about shapes to the
  // packer.
  TRY_STATUS(engine::check_weights(*model.file, config));

  TRY(model.packed, open_packed(options, *model.file, progress));
  TRY(text::Tokenizer tokenizer, open_tokenizer(*model.file, model.packed.get()));
  model.tokenizer = std::make_unique<text::Tokenizer>(std::move(tokenizer));
  KvShape shape = place->shape;
  const bool may_fall_back = wanted.kind == Kind::kAuto && place->device != nullptr;
  Result<std::unique_ptr<engine::Engine>> engine = load_engine(options, *std::move(place), model, progress);
  if (!engine.has_value() && may_fall_back) {
    log_warn("event=device chosen=cpu reason=\"{}\"", engine.error().message);
    TRY(Place cpu, place_model(Kind::kCpu));
    shape = cpu.shape;
    engine = load_engine(options, std::move(cpu), model, progress);
  }
  if (!engine.has_value()) return engine.error();
  model.engine = *std::move(engine);
  model.context_length = static_cast<std::int32_t>(shape.context);
  model.kv_pages = shape.pages;
  TRY_STATUS(complete_model(options, model));
  return model;
}

}  // namespace dormouse::worker
