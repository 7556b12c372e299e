// The Qwen3 dense family's shapes, as published, and the tensors a GGUF of each holds. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dormouse::worker {

struct SynthConfig {
  std::string_view name;        // "qwen3-4b"
  std::string_view size_label;  // "4B"
  std::uint32_t layers = 0;
  std::uint32_t hidden = 0;
  std::uint32_t ffn = 0;
  std::uint32_t heads = 0;
  std::uint32_t kv_heads = 0;
  std::uint32_t head_dim = 0;
  std::uint32_t vocab = 0;
  std::uint32_t context_length = 0;
  bool is_tied = true;
};

// "qwen3-4b", "4b", "tiny", any case.
[[nodiscard]] std::optional<SynthConfig> find_synth_config(std::string_view name);

struct SynthTensor {
  std::string name;
  std::vector<std::uint64_t> shape;  // row length first
  // Standard deviation of its weights; 0: a norm, weights around 1.
  float sigma = 0;
};

// In execution order: embedding, layers, final norm, output (where untied). The sigmas keep activations of order 1:
// a projection has 1/sqrt(inputs), the two that write to the residual stream 1/sqrt(2 layers) of that, the embedding
// gives logits of order 1.
[[nodiscard]] std::vector<SynthTensor> synth_tensors(const SynthConfig& config);

}  // namespace dormouse::worker
