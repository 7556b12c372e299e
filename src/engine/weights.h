// The tensors of a Qwen3 dense model, found in an open GGUF file and checked: presence, shape, type, alignment.
// Matrices stay where they lie in the mapping; only the norms (0.03 % of the bytes) are copied, for alignment. Owner:
// the engine. Borrows the file. Threads: const from any.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "base/tensor_type.h"
#include "engine/config.h"
#include "gguf/file.h"

namespace dormouse::engine {

// [rows, columns] of some type, row-major; y = W x.
struct Matrix {
  const std::uint8_t* data = nullptr;
  TensorType type = TensorType::kF32;
  std::int32_t rows = 0;
  std::int32_t columns = 0;
  std::int64_t row_bytes = 0;
};

struct LayerWeights {
  std::vector<float> attention_norm;  // [hidden]
  Matrix q;                           // [heads * head_dim, hidden]
  Matrix k;                           // [kv_heads * head_dim, hidden]
  Matrix v;                           // [kv_heads * head_dim, hidden]
  std::vector<float> q_norm;          // [head_dim], shared by all heads
  std::vector<float> k_norm;          // [head_dim]
  Matrix attention_output;            // [hidden, heads * head_dim]
  std::vector<float> ffn_norm;        // [hidden]
  Matrix gate;                        // [ffn, hidden]
  Matrix up;                          // [ffn, hidden]
  Matrix down;                        // [hidden, ffn]
};

struct ModelWeights {
  Matrix embedding;  // [vocab, hidden]
  std::vector<LayerWeights> layers;
  std::vector<float> output_norm;  // [hidden]
  Matrix output;                   // [vocab, hidden]; the embedding where tied
};

// Errors: kDataLoss naming the tensor, what it is and what was expected.
[[nodiscard]] Result<ModelWeights> find_weights(const gguf::File& file, const ModelConfig& config);

}  // namespace dormouse::engine
