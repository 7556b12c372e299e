#include "engine/config.h"

#include <string_view>

#include "kernels/kernels.h"

namespace dormouse::engine {
namespace {

// The published family spans 28..64 layers, 1,024..5,120 wide; the limits leave a factor of four or more and keep every
// product of two of them inside 32 bits and of three inside 64.
struct IntegerKey {
  std::string_view key;
  std::uint64_t min;
  std::uint64_t max;
  std::int32_t ModelConfig::*field;
};
constexpr IntegerKey kIntegerKeys[] = {
    {"qwen3.block_count", 1, 256, &ModelConfig::layers},
    {"qwen3.embedding_length", 32, 32'768, &ModelConfig::hidden},
    {"qwen3.feed_forward_length", 32, 131'072, &ModelConfig::ffn},
    {"qwen3.attention.head_count", 1, 256, &ModelConfig::heads},
    {"qwen3.attention.head_count_kv", 1, 256, &ModelConfig::kv_heads},
    {"qwen3.attention.key_length", 16, 256, &ModelConfig::head_dim},
    {"qwen3.context_length", 1, 1 << 24, &ModelConfig::context_length},
};

struct FloatKey {
  std::string_view key;
  double min;
  double max;
  float ModelConfig::*field;
};
constexpr FloatKey kFloatKeys[] = {
    {"qwen3.attention.layer_norm_rms_epsilon", 1e-12, 1e-2, &ModelConfig::rms_epsilon},
    {"qwen3.rope.freq_base", 1.0, 1e9, &ModelConfig::rope_theta},
};

// Rows of the embedding. Ids beyond int24 exist nowhere; the cap keeps a logits row below 64 MiB.
constexpr std::uint64_t kMaxVocab = 1U << 24;

Error wrong(std::string_view what, std::int64_t got, const std::string& want) {
  return make_error(Code::kDataLoss, "config: " + std::string(what) + " is " + std::to_string(got) + ", want " + want);
}

Status check_relations(const ModelConfig& config) {
  constexpr std::int32_t kMultiple = kernels::kReductionMultiple;
  const std::string multiple = "a multiple of " + std::to_string(kMultiple);
  if (config.heads % config.kv_heads != 0) {
    return wrong("qwen3.attention.head_count", config.heads,
                 "a multiple of head_count_kv = " + std::to_string(config.kv_heads));
  }
  if (config.head_dim % 16 != 0) return wrong("qwen3.attention.key_length", config.head_dim, "a multiple of 16");
  if (config.hidden % kMultiple != 0) return wrong("qwen3.embedding_length", config.hidden, multiple);
  if (config.ffn % kMultiple != 0) return wrong("qwen3.feed_forward_length", config.ffn, multiple);
  if (config.q_dim() % kMultiple != 0) return wrong("head_count * key_length", config.q_dim(), multiple);
  return {};
}

// Optional keys whose other values would need arithmetic we do not have: silently ignoring them gives wrong text.
Status check_unsupported(const gguf::File& file, const ModelConfig& config) {
  const auto head_dim = static_cast<std::uint64_t>(config.head_dim);
  if (file.has("qwen3.attention.value_length")) {
    TRY_STATUS(file.get_uint("qwen3.attention.value_length", head_dim, head_dim));
  }
  if (file.has("qwen3.rope.dimension_count")) {
    TRY_STATUS(file.get_uint("qwen3.rope.dimension_count", head_dim, head_dim));
  }
  if (file.has("qwen3.rope.scaling.type")) {
    TRY(const std::string_view scaling, file.get_string("qwen3.rope.scaling.type"));
    if (scaling != "none") {
      return make_error(Code::kInvalidArgument, "config: rope scaling '" + std::string(scaling) + "' is not supported");
    }
  }
  return {};
}

}  // namespace

Result<ModelConfig> read_config(const gguf::File& file) {
  TRY(const std::string_view architecture, file.get_string("general.architecture"));
  if (architecture != "qwen3") {
    return make_error(Code::kInvalidArgument,
                      "config: architecture is '" + std::string(architecture) + "', this engine runs 'qwen3' (dense)");
  }
  ModelConfig config;
  if (file.has("general.name")) {
    TRY(const std::string_view name, file.get_string("general.name"));
    config.name = name;
  }
  for (const IntegerKey& entry : kIntegerKeys) {
    TRY(const std::uint64_t value, file.get_uint(entry.key, entry.min, entry.max));
    config.*entry.field = static_cast<std::int32_t>(value);
  }
  for (const FloatKey& entry : kFloatKeys) {
    TRY(const double value, file.get_float(entry.key, entry.min, entry.max));
    config.*entry.field = static_cast<float>(value);
  }
  TRY_STATUS(check_relations(config));
  TRY_STATUS(check_unsupported(file, config));
  const gguf::TensorInfo* embedding = file.find_tensor("token_embd.weight");
  if (embedding == nullptr) return make_error(Code::kDataLoss, "weights: tensor 'token_embd.weight' is missing");
  if (embedding->rows() > kMaxVocab) {
    return make_error(Code::kDataLoss, "weights: 'token_embd.weight' has " + std::to_string(embedding->rows()) +
                                           " rows, want at most " + std::to_string(kMaxVocab));
  }
  config.vocab = static_cast<std::int32_t>(embedding->rows());
  config.tied_embedding = file.find_tensor("output.weight") == nullptr;
  return config;
}

}  // namespace dormouse::engine
