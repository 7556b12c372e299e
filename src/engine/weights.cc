#include "engine/weights.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "kernels/layout.h"

namespace dormouse::engine {
namespace {

// Blocks are read as structs of 16-bit words, F32 rows as floats. GGUF aligns tensors to 32 bytes in the file; only a
// buffer handed to File::parse at an odd address can fail this.
constexpr std::uintptr_t kTensorAlignment = 4;

std::string describe(const gguf::TensorInfo& tensor) {
  std::string out(traits(tensor.type).name);
  out += '[';
  for (int i = tensor.dimensions - 1; i >= 0; --i) {
    out += std::to_string(tensor.shape[static_cast<std::size_t>(i)]);
    if (i > 0) out += ", ";
  }
  return out + ']';
}

class Finder {
 public:
  explicit Finder(const gguf::File& file) : file_(file) {}

  Result<Matrix> matrix(const std::string& name, std::int32_t rows, std::int32_t columns) const {
    TRY(const gguf::TensorInfo* tensor, find(name, rows, columns));
    Matrix out;
    out.data = file_.data(*tensor).data();
    out.type = tensor->type;
    out.rows = rows;
    out.columns = columns;
    out.strip_bytes = kernels::packed_strip_bytes(tensor->type, columns);
    return out;
  }

  Result<std::vector<float>> norm(const std::string& name, std::int32_t length) const {
    TRY(const gguf::TensorInfo* tensor, find(name, 1, length));
    if (tensor->type != TensorType::kF32) {
      return make_error(Code::kDataLoss, "weights: tensor '" + name + "' is " + describe(*tensor) + ", want F32");
    }
    std::vector<float> out(static_cast<std::size_t>(length));
    std::memcpy(out.data(), file_.data(*tensor).data(), out.size() * sizeof(float));
    return out;
  }

 private:
  Result<const gguf::TensorInfo*> find(const std::string& name, std::int32_t rows, std::int32_t columns) const {
    const gguf::TensorInfo* tensor = file_.find_tensor(name);
    if (tensor == nullptr) return make_error(Code::kDataLoss, "weights: tensor '" + name + "' is missing");
    if (tensor->rows() != static_cast<std::uint64_t>(rows) ||
        tensor->row_length() != static_cast<std::uint64_t>(columns) || tensor->dimensions > 2) {
      return make_error(Code::kDataLoss, "weights: tensor '" + name + "' is " + describe(*tensor) + ", want [" +
                                             std::to_string(rows) + ", " + std::to_string(columns) + "]");
    }
    if (reinterpret_cast<std::uintptr_t>(file_.data(*tensor).data()) % kTensorAlignment != 0) {
      return make_error(Code::kDataLoss, "weights: tensor '" + name + "' is not aligned to 4 bytes");
    }
    return tensor;
  }

  const gguf::File& file_;
};

Result<LayerWeights> find_layer(const Finder& find, const ModelConfig& config, std::int32_t layer) {
  const std::string prefix = "blk." + std::to_string(layer) + ".";
  LayerWeights out;
  TRY(out.attention_norm, find.norm(prefix + "attn_norm.weight", config.hidden));
  TRY(out.q, find.matrix(prefix + "attn_q.weight", config.q_dim(), config.hidden));
  TRY(out.k, find.matrix(prefix + "attn_k.weight", config.kv_dim(), config.hidden));
  TRY(out.v, find.matrix(prefix + "attn_v.weight", config.kv_dim(), config.hidden));
  TRY(out.q_norm, find.norm(prefix + "attn_q_norm.weight", config.head_dim));
  TRY(out.k_norm, find.norm(prefix + "attn_k_norm.weight", config.head_dim));
  TRY(out.attention_output, find.matrix(prefix + "attn_output.weight", config.hidden, config.q_dim()));
  TRY(out.ffn_norm, find.norm(prefix + "ffn_norm.weight", config.hidden));
  TRY(out.gate, find.matrix(prefix + "ffn_gate.weight", config.ffn, config.hidden));
  TRY(out.up, find.matrix(prefix + "ffn_up.weight", config.ffn, config.hidden));
  TRY(out.down, find.matrix(prefix + "ffn_down.weight", config.hidden, config.ffn));
  return out;
}

}  // namespace

namespace {

// Strips of one task: 64 rows x 2,560 columns of Q4_K are 92 KiB, about 0.1 ms.
constexpr std::int32_t kStripsPerTask = 4;
// Matrices begin on pages of their own.
constexpr std::int64_t kMatrixAlignment = 4096;

// Every distinct matrix, the embedding last: the order of their use in a step.
std::vector<Matrix*> all_matrices(ModelWeights& weights, bool tied) {
  std::vector<Matrix*> out;
  for (LayerWeights& w : weights.layers) {
    for (Matrix* matrix : {&w.q, &w.k, &w.v, &w.attention_output, &w.gate, &w.up, &w.down}) out.push_back(matrix);
  }
  if (!tied) out.push_back(&weights.output);
  out.push_back(&weights.embedding);
  return out;
}

// From where it lies in the file to where it is packed.
void pack_matrix(Matrix& matrix, std::uint8_t* out, ThreadPool& pool) {
  const TensorTypeTraits type = traits(matrix.type);
  const kernels::PackSource source{
      .type = matrix.type,
      .data = matrix.data,
      .row_bytes = matrix.columns / static_cast<std::int64_t>(type.block_elements) * type.block_bytes,
      .rows = matrix.rows,
      .columns = matrix.columns};
  const std::int32_t strips = strips_of(matrix);
  pool.for_each((strips + kStripsPerTask - 1) / kStripsPerTask, [&](std::int32_t task, std::int32_t) {
    const std::int32_t begin = task * kStripsPerTask;
    kernels::pack_strips(source, begin, std::min(begin + kStripsPerTask, strips), out + begin * matrix.strip_bytes);
  });
  matrix.data = out;
}

Result<ModelWeights> find_weights(const gguf::File& file, const ModelConfig& config) {
  const Finder find(file);
  ModelWeights out;
  TRY(out.embedding, find.matrix("token_embd.weight", config.vocab, config.hidden));
  for (std::int32_t layer = 0; layer < config.layers; ++layer) {
    TRY(LayerWeights weights, find_layer(find, config, layer));
    out.layers.push_back(std::move(weights));
  }
  TRY(out.output_norm, find.norm("output_norm.weight", config.hidden));
  if (!config.tied_embedding) {
    TRY(out.output, find.matrix("output.weight", config.vocab, config.hidden));
  }
  return out;
}

}  // namespace

std::int32_t strips_of(const Matrix& matrix) {
  return (matrix.rows + kernels::kTileRows - 1) / kernels::kTileRows;
}

Status check_weights(const gguf::File& file, const ModelConfig& config) {
  TRY([[maybe_unused]] const ModelWeights weights, find_weights(file, config));
  return {};
}

Result<ModelWeights> map_weights(const gguf::File& file, const pack::PackedFile& packed, const ModelConfig& config) {
  TRY(ModelWeights out, find_weights(file, config));
  for (Matrix* matrix : all_matrices(out, config.tied_embedding)) {
    const std::uint8_t* in_file = matrix->data;
    matrix->data = nullptr;
    for (const pack::Entry& entry : packed.entries()) {
      if (file.data(file.tensors()[entry.source_index]).data() == in_file) matrix->data = packed.data(entry).data();
    }
    if (matrix->data == nullptr) return make_error(Code::kDataLoss, "weights: a matrix is missing in the packed file");
  }
  if (config.tied_embedding) out.output = out.embedding;
  return out;
}

Result<ModelWeights> pack_weights(const gguf::File& file, const ModelConfig& config, ThreadPool& pool,
                                  const Progress& progress) {
  TRY(ModelWeights out, find_weights(file, config));
  const std::vector<Matrix*> matrices = all_matrices(out, config.tied_embedding);
  std::vector<std::int64_t> offsets;
  std::int64_t total = 0;
  for (const Matrix* matrix : matrices) {
    offsets.push_back(total);
    const std::int64_t bytes = strips_of(*matrix) * matrix->strip_bytes;  // below the file's size, which fits
    total += (bytes + kMatrixAlignment - 1) / kMatrixAlignment * kMatrixAlignment;
  }
  TRY(out.memory, LazyMemory::reserve(static_cast<std::uint64_t>(total), LazyMemory::Pages::kHuge));
  for (std::size_t i = 0; i < matrices.size(); ++i) {
    pack_matrix(*matrices[i], out.memory.data() + offsets[i], pool);
    if (progress) progress(static_cast<double>(i + 1) / static_cast<double>(matrices.size()));
  }
  if (config.tied_embedding) out.output = out.embedding;
  return out;
}

}  // namespace dormouse::engine
