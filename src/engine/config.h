// The hyper-parameters of a Qwen3 dense model, read from GGUF with a declared [min, max] for each (reliability S-06).
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "gguf/file.h"

namespace dormouse::engine {

struct ModelConfig {
  std::string name;                 // general.name
  std::int32_t layers = 0;          // 36 for 4B
  std::int32_t hidden = 0;          // 2560
  std::int32_t ffn = 0;             // 9728
  std::int32_t heads = 0;           // 32
  std::int32_t kv_heads = 0;        // 8
  std::int32_t head_dim = 0;        // 128, explicit: not hidden / heads
  std::int32_t vocab = 0;           // 151,936 rows, padded
  std::int32_t context_length = 0;  // 40,960
  float rms_epsilon = 0;            // 1e-6
  float rope_theta = 0;             // 1e6; 5e6 for 2507
  bool tied_embedding = true;       // no output.weight in the file

  [[nodiscard]] std::int32_t q_dim() const { return heads * head_dim; }
  [[nodiscard]] std::int32_t kv_dim() const { return kv_heads * head_dim; }
};

// Errors: kInvalidArgument (another architecture), kDataLoss (missing or out-of-range key).
[[nodiscard]] Result<ModelConfig> read_config(const gguf::File& file);

}  // namespace dormouse::engine
