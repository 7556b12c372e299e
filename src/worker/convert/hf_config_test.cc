// Goal: config.json of every dense Qwen3 is read, and what we cannot compute is refused by name. Method: the published
// file of Qwen3-4B-Thinking-2507, and that file with one change each.
#include "worker/convert/hf_config.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace dormouse::worker {
namespace {

constexpr std::string_view kPublished = R"({
  "architectures": ["Qwen3ForCausalLM"], "attention_bias": false, "attention_dropout": 0.0, "bos_token_id": 151643,
  "eos_token_id": 151645, "head_dim": 128, "hidden_act": "silu", "hidden_size": 2560, "initializer_range": 0.02,
  "intermediate_size": 9728, "max_position_embeddings": 262144, "max_window_layers": 36, "model_type": "qwen3",
  "num_attention_heads": 32, "num_hidden_layers": 36, "num_key_value_heads": 8, "rms_norm_eps": 1e-06,
  "rope_scaling": null, "rope_theta": 5000000, "sliding_window": null, "tie_word_embeddings": true,
  "torch_dtype": "bfloat16", "transformers_version": "4.51.0", "use_cache": true, "use_sliding_window": false,
  "vocab_size": 151936})";

Result<HfConfig> read(std::string_view text) {
  TRY(const JsonFile file, JsonFile::parse("config.json", text));
  return read_hf_config(file);
}

// The published file with `from` turned into `to`.
std::string changed(std::string_view from, std::string_view to) {
  std::string out(kPublished);
  const std::size_t at = out.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return out.replace(at, from.size(), to);
}

TEST(HfConfig, ThePublishedFileIsRead) {
  const auto config = read(kPublished);
  ASSERT_TRUE(config.has_value()) << config.error().message;
  EXPECT_EQ(config->shape.layers, 36U);
  EXPECT_EQ(config->shape.hidden, 2560U);
  EXPECT_EQ(config->shape.ffn, 9728U);
  EXPECT_EQ(config->shape.heads, 32U);
  EXPECT_EQ(config->shape.kv_heads, 8U);
  EXPECT_EQ(config->shape.head_dim, 128U);
  EXPECT_EQ(config->shape.vocab, 151936U);
  EXPECT_EQ(config->shape.context_length, 262144U);
  EXPECT_TRUE(config->shape.is_tied);
  EXPECT_EQ(config->rms_epsilon, 1e-6F);
  EXPECT_EQ(config->rope_theta, 5e6F);
  EXPECT_EQ(config->bos_token_id, 151643U);
  EXPECT_EQ(config->eos_token_id, 151645U);
  EXPECT_EQ(config->pad_token_id, std::nullopt);
}

TEST(HfConfig, OtherSpellingsOfTheSameAreRead) {
  EXPECT_EQ(read(changed("\"rope_theta\": 5000000", "\"rope_theta\": 1e6"))->rope_theta, 1e6F);
  const auto newer =
      read(changed("\"rope_theta\": 5000000", R"("rope_parameters": {"rope_theta": 2e6, "rope_type": "default"})"));
  ASSERT_TRUE(newer.has_value()) << newer.error().message;
  EXPECT_EQ(newer->rope_theta, 2e6F);
  EXPECT_TRUE(read(changed("\"rope_scaling\": null", R"("rope_scaling": {"rope_type": "default"})")).has_value());
  EXPECT_EQ(read(changed("\"eos_token_id\": 151645", "\"eos_token_id\": [7, 8]"))->eos_token_id, 7U);
  EXPECT_EQ(read(changed("\"head_dim\": 128, ", ""))->shape.head_dim, 128U);
  EXPECT_FALSE(read(changed("\"tie_word_embeddings\": true,", ""))->shape.is_tied);
}

struct Refusal {
  std::string_view from;
  std::string_view to;
  std::string_view named;
  Code code;
};

TEST(HfConfig, WhatCannotBeComputedIsRefusedByName) {
  const Refusal refusals[] = {
      {"Qwen3ForCausalLM", "Qwen3MoeForCausalLM", "mixtures of experts", Code::kInvalidArgument},
      {"Qwen3ForCausalLM", "LlamaForCausalLM", "architectures", Code::kInvalidArgument},
      {R"(["Qwen3ForCausalLM"])", "[]", "architectures", Code::kDataLoss},
      {R"("architectures": ["Qwen3ForCausalLM"], )", "", "architectures is missing", Code::kNotFound},
      {"\"rope_scaling\": null", R"("rope_scaling": {"rope_type": "yarn", "factor": 4.0})", "rope_scaling.rope_type",
       Code::kInvalidArgument},
      {"\"rope_scaling\": null", R"("rope_scaling": {"type": "yarn", "factor": 4.0})", "rope_scaling.type",
       Code::kInvalidArgument},
      {"\"rope_theta\": 5000000", R"("rope_parameters": {"rope_theta": 1e6, "rope_type": "yarn"})",
       "rope_parameters.rope_type", Code::kInvalidArgument},
      {"\"use_cache\": true", R"("quantization_config": {"quant_method": "fp8"})", "quantization_config",
       Code::kInvalidArgument},
      {"\"attention_bias\": false", "\"attention_bias\": true", "attention_bias", Code::kInvalidArgument},
      {"\"use_sliding_window\": false", "\"use_sliding_window\": true", "use_sliding_window", Code::kInvalidArgument},
      {"silu", "gelu", "hidden_act", Code::kInvalidArgument},
      {"\"num_hidden_layers\": 36, ", "", "num_hidden_layers is missing", Code::kNotFound},
      {"\"num_hidden_layers\": 36", "\"num_hidden_layers\": 0", "num_hidden_layers", Code::kDataLoss},
      {"\"num_hidden_layers\": 36", "\"num_hidden_layers\": 4294967332", "num_hidden_layers", Code::kDataLoss},
      {"\"hidden_size\": 2560", "\"hidden_size\": -2560", "hidden_size", Code::kDataLoss},
      {"\"hidden_size\": 2560", "\"hidden_size\": \"2560\"", "hidden_size", Code::kDataLoss},
      {"\"head_dim\": 128", "\"head_dim\": 128.5", "head_dim", Code::kDataLoss},
      {"\"num_key_value_heads\": 8", "\"num_key_value_heads\": 7", "num_attention_heads", Code::kDataLoss},
      {"1e-06", "1e400", "", Code::kDataLoss},
      {"1e-06", "0", "rms_norm_eps", Code::kDataLoss},
      {"\"rope_theta\": 5000000, ", "", "rope_theta", Code::kNotFound},
      {"\"vocab_size\": 151936", "\"vocab_size\": 1e9", "vocab_size", Code::kDataLoss},
      {"\"eos_token_id\": 151645", "\"eos_token_id\": -1", "eos_token_id", Code::kDataLoss},
      {"\"tie_word_embeddings\": true", "\"tie_word_embeddings\": 1", "tie_word_embeddings", Code::kDataLoss},
  };
  for (const Refusal& refusal : refusals) {
    const auto got = read(changed(refusal.from, refusal.to));
    ASSERT_FALSE(got.has_value()) << refusal.to;
    EXPECT_EQ(got.error().code, refusal.code) << refusal.to << ": " << got.error().message;
    EXPECT_NE(got.error().message.find(refusal.named), std::string::npos) << got.error().message;
    EXPECT_TRUE(got.error().message.starts_with("config.json: ")) << got.error().message;
  }
}

TEST(HfConfig, SamplingIsReadWhereItIsSaid) {
  const auto file = JsonFile::parse(
      "g", R"({"do_sample":true,"eos_token_id":[151645,151643],"temperature":0.6,"top_k":20,"top_p":0.95})");
  const auto said = read_hf_sampling(*file);
  ASSERT_TRUE(said.has_value()) << said.error().message;
  EXPECT_EQ(said->temperature, 0.6F);
  EXPECT_EQ(said->top_p, 0.95F);
  EXPECT_EQ(said->top_k, 20U);
  EXPECT_EQ(read_hf_sampling(*JsonFile::parse("g", "{}"))->top_k, std::nullopt);
  EXPECT_EQ(read_hf_sampling(*JsonFile::parse("g", R"({"top_p":2})")).error().message,
            "g: top_p: want a number from 0 to 1");
}

}  // namespace
}  // namespace dormouse::worker
