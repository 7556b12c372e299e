// The tensors of a Qwen3 dense model as the kernels want them: matrices packed (kernels/layout.h), norms as floats.
// They lie in a packed file, or, where there is none, are packed into memory at load. Owner: the engine. Threads: const
// from any.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/result.h"
#include "base/tensor_type.h"
#include "engine/config.h"
#include "engine/lazy_memory.h"
#include "engine/thread_pool.h"
#include "gguf/file.h"
#include "pack/packed_file.h"

namespace dormouse::engine {

// [rows, columns] of some type, packed; y = W x.
struct Matrix {
  const std::uint8_t* data = nullptr;
  TensorType type = TensorType::kF32;
  std::int32_t rows = 0;
  std::int32_t columns = 0;
  std::int64_t strip_bytes = 0;  // of 16 rows
};

[[nodiscard]] std::int32_t strips_of(const Matrix& matrix);

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
  LazyMemory memory;  // what the matrices lie in, where they were packed here
  Matrix embedding;   // [vocab, hidden]
  std::vector<LayerWeights> layers;
  std::vector<float> output_norm;  // [hidden]
  Matrix output;                   // [vocab, hidden]; the embedding where tied
};

// Whether every tensor is there with its right shape and type: before anything is packed. Errors: kDataLoss, naming it.
Status check_weights(const gguf::File& file, const ModelConfig& config);

// The matrices where they lie in a packed file. Errors: kDataLoss as below.
[[nodiscard]] Result<ModelWeights> map_weights(const gguf::File& file, const pack::PackedFile& packed,
                                               const ModelConfig& config);

// 0..1 while weights are taken in.
using Progress = std::function<void(double)>;

// Packs every matrix of the file into memory, on the pool's threads. Cost: about 1 s a GB and thread.
// Errors: kDataLoss naming the tensor, what it is and what was expected; kOverloaded (no memory for it).
[[nodiscard]] Result<ModelWeights> pack_weights(const gguf::File& file, const ModelConfig& config, ThreadPool& pool,
                                                const Progress& progress);

}  // namespace dormouse::engine
