// A loaded model: file, tokenizer, engine, and what follows from them. Made and destroyed on the engine thread; the
// tokenizer and the numbers may be read from any thread while it lives.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"
#include "gguf/file.h"
#include "pack/packed_file.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"
#include "worker/embedding_rules.h"
#include "worker/format_cache.h"
#include "worker/golden.h"

namespace dormouse::worker {

struct LoadOptions {
  std::string path;
  std::string packed_directory;    // where packed weights are kept; empty: beside the model
  std::string golden_directory;    // empty: no records, the golden rows are only looked at for NaN
  std::int64_t max_model_len = 0;  // 0: the model's own; on a GPU 4,096
  std::int32_t max_sequences = 256;
  std::int32_t max_batch_tokens = 512;
  kernels::KvType kv_type = kernels::KvType::kF16;
  std::int64_t kv_cache_bytes = 0;  // 0: see kv_shape.h
  std::int32_t threads = 0;
  std::string isa;
  std::string device = "cpu";  // as EngineOptions::device
  engine::DeviceSampling device_sampling = engine::DeviceSampling::kAuto;
  std::optional<engine::DevicePaths> device_paths;  // as EngineOptions::device_paths
  std::optional<api::Pooling> pooling;  // of embeddings; none: embedding_rules.h
};

struct LoadedModel {
  std::unique_ptr<gguf::File> file;          // first: the engine borrows it
  std::unique_ptr<pack::PackedFile> packed;  // null: packed into memory; engine and tokenizer borrow it
  std::unique_ptr<text::Tokenizer> tokenizer;
  std::unique_ptr<FormatCache> formats;  // borrows the tokenizer
  std::unique_ptr<engine::Engine> engine;
  text::TemplateFamily family = text::TemplateFamily::kInstruct2507;
  EmbeddingRules embedding;
  std::string name;                 // general.name
  std::int32_t context_length = 0;  // tokens of prompt and answer
  std::int32_t kv_pages = 0;
  std::int32_t max_sequences = 256;
  std::int32_t max_batch_tokens = 512;
  std::int32_t max_logits_rows = 320;
  std::vector<text::TokenId> golden_tokens;
  std::optional<GoldenResult> golden;  // what the golden rows must give; none: only finite
  // The golden rows still have to ride in the first batch. False after a full golden run.
  bool golden_pending = true;
};

using LoadProgress = std::function<void(double)>;  // 0..1
using ModelLoader = std::function<Result<LoadedModel>(const LoadProgress&)>;

// Weights and tokenizer are used where they lie in the packed file, which is made first where there is none.
// Errors: kNotFound, kInvalidArgument (not a model we serve; options), kDataLoss (damaged; two golden runs differ).
Result<LoadedModel> load_model(const LoadOptions& options, const LoadProgress& progress);

// Errors: kOverloaded (weights that do not fit the memory would be read from disk for every token: hours an answer).
Status check_memory(std::uint64_t weight_bytes, std::uint64_t memory_bytes);

// What both the loader and a test with a fake engine need: the rest of the fields from file, tokenizer and engine; the
// context and the pages where they are not set, as in RAM.
Status complete_model(const LoadOptions& options, LoadedModel& model);

}  // namespace dormouse::worker
