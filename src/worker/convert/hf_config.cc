#include "worker/convert/hf_config.h"

#include <fmt/format.h>

#include <string_view>

namespace dormouse::worker {
namespace {

namespace json = boost::json;

constexpr std::string_view kArchitecture = "Qwen3ForCausalLM";
constexpr std::string_view kBareArchitecture = "Qwen3Model";  // without an output matrix: models for embeddings
constexpr std::uint64_t kIdMax = (1U << 24) - 1;
constexpr std::uint64_t kVocabularyMax = 1U << 20;  // Qwen3 has 151,936 rows

struct IntegerField {
  std::string_view key;
  std::uint64_t min;
  std::uint64_t max;
  std::uint32_t SynthConfig::*field;
};
constexpr IntegerField kIntegerFields[] = {
    {"num_hidden_layers", 1, 256, &SynthConfig::layers},
    {"hidden_size", 32, 32'768, &SynthConfig::hidden},
    {"intermediate_size", 32, 131'072, &SynthConfig::ffn},
    {"num_attention_heads", 1, 256, &SynthConfig::heads},
    {"num_key_value_heads", 1, 256, &SynthConfig::kv_heads},
    {"max_position_embeddings", 1, 1 << 24, &SynthConfig::context_length},
    {"vocab_size", 1, kVocabularyMax, &SynthConfig::vocab},
};
constexpr std::uint32_t kHeadDimDefault = 128;  // transformers' Qwen3Config, where config.json has none

Status check_architecture(const JsonFields& config) {
  TRY(const json::array* names, config.get_array("architectures"));
  const json::string* const name = names->empty() ? nullptr : names->front().if_string();
  if (name == nullptr) return config.wrong("architectures", "a list of one name");
  if (std::string_view(*name) == kArchitecture || std::string_view(*name) == kBareArchitecture) return {};
  if (name->find("SequenceClassification") != json::string::npos) {
    return config.wrong("architectures",
                        fmt::format("{}: a classifier's head is not supported, and nothing here serves reranking; the "
                                    "published Qwen3-Reranker becomes a language model that answers yes or no",
                                    kArchitecture),
                        Code::kInvalidArgument);
  }
  if (name->find("Moe") != json::string::npos) {
    return config.wrong("architectures", fmt::format("{}: mixtures of experts are not supported", kArchitecture),
                        Code::kInvalidArgument);
  }
  return config.wrong(
      "architectures",
      fmt::format("{} or {}: dense Qwen3 is the one architecture supported", kArchitecture, kBareArchitecture),
      Code::kInvalidArgument);
}

// Ignoring one of these silently would give a file that answers nonsense.
Status check_unsupported(const JsonFields& config) {
  if (config.has("quantization_config")) {
    return config.wrong("quantization_config",
                        "none: these weights are quantised already; convert the model's BF16 release",
                        Code::kInvalidArgument);
  }
  TRY(const bool has_bias, config.get_bool_or("attention_bias", false));
  if (has_bias) return config.wrong("attention_bias", "false: biases are not supported", Code::kInvalidArgument);
  TRY(const bool slides, config.get_bool_or("use_sliding_window", false));
  if (slides) return config.wrong("use_sliding_window", "false: windows are not supported", Code::kInvalidArgument);
  if (config.has("hidden_act")) {
    TRY(const std::string_view activation, config.get_string("hidden_act"));
    if (activation != "silu") return config.wrong("hidden_act", "silu", Code::kInvalidArgument);
  }
  return {};
}

// `key` holds what stretches RoPE over more tokens than the model was trained on: YaRN and others.
Status check_rope_scaling(const JsonFields& config, std::string_view key) {
  if (!config.has(key)) return {};
  TRY(const JsonFields scaling, config.get_object(key));
  const std::string_view type_key = scaling.has("rope_type") ? "rope_type" : "type";
  if (!scaling.has(type_key)) return {};
  TRY(const std::string_view type, scaling.get_string(type_key));
  if (type == "default") return {};
  return scaling.wrong(type_key,
                       "default: stretched RoPE (YaRN and others) is not supported; without it the model has the "
                       "context it was trained for",
                       Code::kInvalidArgument);
}

// Files of transformers before version 5 have rope_theta beside the others, later ones inside rope_parameters.
Result<float> read_rope_theta(const JsonFields& config) {
  TRY_STATUS(check_rope_scaling(config, "rope_scaling"));
  TRY_STATUS(check_rope_scaling(config, "rope_parameters"));
  if (!config.has("rope_theta") && config.has("rope_parameters")) {
    TRY(const JsonFields parameters, config.get_object("rope_parameters"));
    TRY(const double theta, parameters.get_number("rope_theta", 1.0, 1e9));
    return static_cast<float>(theta);
  }
  TRY(const double theta, config.get_number("rope_theta", 1.0, 1e9));
  return static_cast<float>(theta);
}

// An id, or a list of them of which the first counts.
Result<std::optional<std::uint32_t>> read_id(const JsonFields& config, std::string_view key) {
  const json::value* value = config.find(key);
  if (value != nullptr && value->is_array()) value = value->get_array().empty() ? nullptr : &value->get_array().front();
  if (value == nullptr) return std::optional<std::uint32_t>();
  const std::int64_t* const id = value->if_int64();
  if (id == nullptr || *id < 0 || static_cast<std::uint64_t>(*id) > kIdMax) {
    return config.wrong(key, "a token's id or a list of ids");
  }
  return std::optional(static_cast<std::uint32_t>(*id));
}

Result<std::optional<float>> read_optional(const JsonFields& fields, std::string_view key, double min, double max) {
  if (!fields.has(key)) return std::optional<float>();
  TRY(const double value, fields.get_number(key, min, max));
  return std::optional(static_cast<float>(value));
}

}  // namespace

Result<HfConfig> read_hf_config(const JsonFile& file) {
  const JsonFields config = file.root();
  TRY_STATUS(check_architecture(config));
  TRY_STATUS(check_unsupported(config));
  HfConfig out;
  for (const IntegerField& entry : kIntegerFields) {
    TRY(const std::uint64_t value, config.get_uint(entry.key, entry.min, entry.max));
    out.shape.*entry.field = static_cast<std::uint32_t>(value);
  }
  out.shape.head_dim = kHeadDimDefault;
  if (config.has("head_dim")) {
    TRY(const std::uint64_t head_dim, config.get_uint("head_dim", 16, 256));
    out.shape.head_dim = static_cast<std::uint32_t>(head_dim);
  }
  if (out.shape.heads % out.shape.kv_heads != 0) {
    return config.wrong("num_attention_heads",
                        fmt::format("a multiple of num_key_value_heads = {}", out.shape.kv_heads));
  }
  // The default is transformers'.
  TRY(out.shape.is_tied, config.get_bool_or("tie_word_embeddings", false));
  TRY(const double epsilon, config.get_number("rms_norm_eps", 1e-12, 1e-2));
  out.rms_epsilon = static_cast<float>(epsilon);
  TRY(out.rope_theta, read_rope_theta(config));
  TRY(out.bos_token_id, read_id(config, "bos_token_id"));
  TRY(out.eos_token_id, read_id(config, "eos_token_id"));
  TRY(out.pad_token_id, read_id(config, "pad_token_id"));
  return out;
}

Result<HfSampling> read_hf_sampling(const JsonFile& file) {
  const JsonFields fields = file.root();
  HfSampling out;
  TRY(out.temperature, read_optional(fields, "temperature", 0, 100));
  TRY(out.top_p, read_optional(fields, "top_p", 0, 1));
  if (fields.has("top_k")) {
    TRY(const std::uint64_t top_k, fields.get_uint("top_k", 0, kVocabularyMax));
    out.top_k = static_cast<std::uint32_t>(top_k);
  }
  return out;
}

}  // namespace dormouse::worker
