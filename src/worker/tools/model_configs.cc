#include "worker/tools/model_configs.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>

namespace dormouse::worker {
namespace {

// Source: the config.json of each model. tiny is ours: every dimension a multiple of 256, so that all formats apply.
constexpr std::array kConfigs{
    SynthConfig{"qwen3-0.6b", "0.6B", 28, 1024, 3072, 16, 8, 128, 151936, 40960, true},
    SynthConfig{"qwen3-1.7b", "1.7B", 28, 2048, 6144, 16, 8, 128, 151936, 40960, true},
    SynthConfig{"qwen3-4b", "4B", 36, 2560, 9728, 32, 8, 128, 151936, 40960, true},
    SynthConfig{"qwen3-8b", "8B", 36, 4096, 12288, 32, 8, 128, 151936, 40960, false},
    SynthConfig{"qwen3-tiny", "1M", 2, 256, 512, 4, 2, 128, 512, 2048, true},
};

float sigma_for(std::uint64_t inputs) {
  return 1.0F / std::sqrt(static_cast<float>(inputs));
}

}  // namespace

std::optional<SynthConfig> find_synth_config(std::string_view name) {
  std::string lower(name);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (!lower.starts_with("qwen3-")) lower.insert(0, "qwen3-");
  for (const SynthConfig& config : kConfigs) {
    if (config.name == lower) return config;
  }
  return std::nullopt;
}

std::vector<SynthTensor> synth_tensors(const SynthConfig& c) {
  const std::uint64_t q_dim = std::uint64_t{c.heads} * c.head_dim;
  const std::uint64_t kv_dim = std::uint64_t{c.kv_heads} * c.head_dim;
  const std::uint64_t hidden = c.hidden;
  const std::uint64_t ffn = c.ffn;
  const float residual = 1.0F / std::sqrt(2.0F * static_cast<float>(c.layers));
  std::vector<SynthTensor> out;
  out.push_back({"token_embd.weight", {hidden, c.vocab}, sigma_for(hidden)});
  for (std::uint32_t layer = 0; layer < c.layers; ++layer) {
    const auto add = [&](const char* part, std::vector<std::uint64_t> shape, float sigma) {
      out.push_back({fmt::format("blk.{}.{}.weight", layer, part), std::move(shape), sigma});
    };
    add("attn_norm", {hidden}, 0);
    add("attn_q", {hidden, q_dim}, sigma_for(hidden));
    add("attn_k", {hidden, kv_dim}, sigma_for(hidden));
    add("attn_v", {hidden, kv_dim}, sigma_for(hidden));
    add("attn_q_norm", {c.head_dim}, 0);
    add("attn_k_norm", {c.head_dim}, 0);
    add("attn_output", {q_dim, hidden}, residual * sigma_for(q_dim));
    add("ffn_norm", {hidden}, 0);
    add("ffn_gate", {hidden, ffn}, sigma_for(hidden));
    add("ffn_up", {hidden, ffn}, sigma_for(hidden));
    add("ffn_down", {ffn, hidden}, residual * sigma_for(ffn));
  }
  out.push_back({"output_norm.weight", {hidden}, 0});
  if (!c.is_tied) out.push_back({"output.weight", {hidden, c.vocab}, sigma_for(hidden)});
  return out;
}

}  // namespace dormouse::worker
