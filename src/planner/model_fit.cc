#include "planner/model_fit.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <string>

#include "base/tensor_type.h"

namespace dormouse::planner {
namespace {

constexpr std::int64_t kMostSequences = 1'000'000;
constexpr std::int64_t kMostVramBytes = 100'000'000'000'000;

constexpr auto kTied = ModelShape::Output::kTied;
constexpr auto kOwn = ModelShape::Output::kOwn;
constexpr std::array kModels{
    ModelShape{.name = "Qwen3-0.6B", .layers = 28, .hidden = 1'024, .ffn = 3'072, .heads = 16, .kv_heads = 8},
    ModelShape{.name = "Qwen3-1.7B", .layers = 28, .hidden = 2'048, .ffn = 6'144, .heads = 16, .kv_heads = 8},
    ModelShape{.name = "Qwen3-4B", .layers = 36, .hidden = 2'560, .ffn = 9'728, .heads = 32, .kv_heads = 8},
    ModelShape{
        .name = "Qwen3-8B", .layers = 36, .hidden = 4'096, .ffn = 12'288, .heads = 32, .kv_heads = 8, .output = kOwn},
    ModelShape{
        .name = "Qwen3-14B", .layers = 40, .hidden = 5'120, .ffn = 17'408, .heads = 40, .kv_heads = 8, .output = kOwn},
    ModelShape{
        .name = "Qwen3-32B", .layers = 64, .hidden = 5'120, .ffn = 25'600, .heads = 64, .kv_heads = 8, .output = kOwn},
};

bool equal_in_any_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) == std::tolower(static_cast<unsigned char>(y));
  });
}

// Types of a layer's matrices; the others have the mix's own.
struct LayerTypes {
  TensorType base;
  TensorType v;
  TensorType attention_output;
  TensorType down;
};

// The layers whose V and down matrices get more bits: the first and last eighth, and every third between.
bool uses_more_bits(std::int64_t layer, std::int64_t layers) {
  const std::int64_t eighth = layers / 8;
  return layer < eighth || layer >= 7 * layers / 8 || (layer - eighth) % 3 == 2;
}

LayerTypes pure(TensorType type) {
  return {type, type, type, type};
}

LayerTypes more_bits(TensorType base, std::int64_t layer, std::int64_t layers) {
  const TensorType more = uses_more_bits(layer, layers) ? TensorType::kQ6_K : base;
  return {base, more, base, more};
}

LayerTypes types_of(const ModelShape& shape, Quant quant, std::int64_t layer) {
  switch (quant) {
    case Quant::kF16: return pure(TensorType::kF16);
    case Quant::kQ8_0: return pure(TensorType::kQ8_0);
    case Quant::kQ6_K: return pure(TensorType::kQ6_K);
    case Quant::kQ5_K_M: return more_bits(TensorType::kQ5_K, layer, shape.layers);
    case Quant::kQ4_K_M: return more_bits(TensorType::kQ4_K, layer, shape.layers);
    case Quant::kQ3_K_M:
      return {TensorType::kQ3_K, layer < 2 ? TensorType::kQ5_K : TensorType::kQ4_K, TensorType::kQ4_K,
              layer < shape.layers / 16 ? TensorType::kQ5_K : TensorType::kQ4_K};
    case Quant::kQ2_K:
      return {TensorType::kQ2_K, shape.heads / shape.kv_heads >= 4 ? TensorType::kQ4_K : TensorType::kQ3_K,
              TensorType::kQ3_K, TensorType::kQ3_K};
  }
  return pure(TensorType::kF32);
}

// The output matrix has six bits at least, tied or not.
TensorType output_type(Quant quant) {
  if (quant == Quant::kF16) return TensorType::kF16;
  return quant == Quant::kQ8_0 ? TensorType::kQ8_0 : TensorType::kQ6_K;
}

std::int64_t bytes_of(std::int64_t elements, TensorType type) {
  return elements / traits(type).block_elements * traits(type).block_bytes;
}

std::int64_t own_embedding_bytes(const ModelShape& shape, Quant quant) {
  if (shape.output == kTied) return 0;
  return bytes_of(shape.vocabulary * shape.hidden, types_of(shape, quant, 0).base);
}

Status check(const ModelShape& shape, std::int64_t vram_bytes, const Wanted& wanted) {
  if (wanted.context < 1 || wanted.context > shape.context) {
    return make_error(Code::kInvalidArgument, fmt::format("context: {} tokens; {} was trained for {} at most",
                                                          wanted.context, shape.name, shape.context));
  }
  if (wanted.sequences < 1 || wanted.sequences > kMostSequences) {
    return make_error(Code::kInvalidArgument,
                      fmt::format("sequences: {}; want 1 to {}", wanted.sequences, kMostSequences));
  }
  if (vram_bytes > 0 && vram_bytes <= kMostVramBytes) return {};
  return make_error(Code::kInvalidArgument,
                    fmt::format("memory: {} bytes; want above 0, at most {}", vram_bytes, kMostVramBytes));
}

double gigabytes(std::int64_t bytes) {
  return static_cast<double>(bytes) / 1e9;
}

std::string what_would_fit(const std::vector<Fit>& all, const Fit& wished) {
  std::string out;
  for (const Fit& fit : all) {
    if (fit.left_bytes >= 0) out += fmt::format("{}{}", out.empty() ? "" : ", ", to_string(fit.quant));
  }
  if (wished.most_sequences > 0) {
    out += fmt::format("{}{} at once", out.empty() ? "" : "; or ", wished.most_sequences);
  }
  return out.empty() ? "nothing would: take a smaller model, a shorter context or a larger card" : "would fit: " + out;
}

}  // namespace

std::string_view to_string(Quant quant) {
  switch (quant) {
    case Quant::kF16: return "F16";
    case Quant::kQ8_0: return "Q8_0";
    case Quant::kQ6_K: return "Q6_K";
    case Quant::kQ5_K_M: return "Q5_K_M";
    case Quant::kQ4_K_M: return "Q4_K_M";
    case Quant::kQ3_K_M: return "Q3_K_M";
    case Quant::kQ2_K: return "Q2_K";
  }
  return "";
}

Result<ModelShape> find_model(std::string_view name) {
  std::string known;
  for (const ModelShape& shape : kModels) {
    const std::string_view size = shape.name.substr(std::string_view("Qwen3-").size());
    if (equal_in_any_case(name, shape.name) || equal_in_any_case(name, size) ||
        equal_in_any_case(name, "Qwen/" + std::string(shape.name))) {
      return shape;
    }
    known += fmt::format("{}{}", known.empty() ? "" : ", ", shape.name);
  }
  return make_error(Code::kNotFound, fmt::format("model '{}' is not known; there are {}", name, known));
}

Result<Quant> find_quant(std::string_view name) {
  std::string known;
  for (const Quant quant : kQuants) {
    if (equal_in_any_case(name, to_string(quant))) return quant;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", to_string(quant));
  }
  return make_error(Code::kNotFound, fmt::format("quantisation '{}' is not known; there are {}", name, known));
}

std::int64_t parameters(const ModelShape& shape) {
  const std::int64_t attention = 2 * shape.hidden * shape.head_dim * (shape.heads + shape.kv_heads);
  const std::int64_t norms = 2 * shape.hidden + 2 * shape.head_dim;
  const std::int64_t embeddings = shape.vocabulary * shape.hidden * (shape.output == kTied ? 1 : 2);
  return shape.layers * (attention + 3 * shape.hidden * shape.ffn + norms) + shape.hidden + embeddings;
}

std::int64_t weight_bytes(const ModelShape& shape, Quant quant) {
  const std::int64_t q = shape.hidden * shape.heads * shape.head_dim;
  const std::int64_t kv = shape.hidden * shape.kv_heads * shape.head_dim;
  const std::int64_t ffn = shape.hidden * shape.ffn;
  const std::int64_t norms = 2 * shape.hidden + 2 * shape.head_dim;
  std::int64_t out = own_embedding_bytes(shape, quant) + bytes_of(shape.hidden, TensorType::kF32) +
                     bytes_of(shape.vocabulary * shape.hidden, output_type(quant));
  for (std::int64_t layer = 0; layer < shape.layers; ++layer) {
    const LayerTypes types = types_of(shape, quant, layer);
    out += bytes_of(q + kv + 2 * ffn, types.base) + bytes_of(kv, types.v) + bytes_of(q, types.attention_output) +
           bytes_of(ffn, types.down) + bytes_of(norms, TensorType::kF32);
  }
  return out;
}

std::int64_t read_bytes(const ModelShape& shape, Quant quant) {
  return weight_bytes(shape, quant) - own_embedding_bytes(shape, quant);
}

std::int64_t kv_bytes_per_token(const ModelShape& shape, KvType type) {
  const std::int64_t numbers = shape.layers * 2 * shape.kv_heads * shape.head_dim;
  return bytes_of(numbers, type == KvType::kF16 ? TensorType::kF16 : TensorType::kQ8_0);
}

Result<std::vector<Fit>> fits_of(const ModelShape& shape, std::int64_t vram_bytes, const Wanted& wanted) {
  TRY_STATUS(check(shape, vram_bytes, wanted));
  const std::int64_t sequence_bytes = kv_bytes_per_token(shape, wanted.kv) * wanted.context;
  std::vector<Fit> out;
  for (const Quant quant : kQuants) {
    Fit fit{.quant = quant, .weight_bytes = weight_bytes(shape, quant), .kv_bytes = sequence_bytes * wanted.sequences};
    const std::int64_t for_kv = vram_bytes - kReserveBytes - fit.weight_bytes;
    fit.left_bytes = for_kv - fit.kv_bytes;
    fit.most_sequences = std::max<std::int64_t>(0, for_kv) / sequence_bytes;
    out.push_back(fit);
  }
  return out;
}

Result<Fit> fits(const ModelShape& shape, Quant quant, std::int64_t vram_bytes, const Wanted& wanted) {
  TRY(const std::vector<Fit> all, fits_of(shape, vram_bytes, wanted));
  const Fit& fit = *std::find_if(all.begin(), all.end(), [quant](const Fit& f) { return f.quant == quant; });
  if (fit.left_bytes >= 0) return fit;
  return make_error(
      Code::kTooLarge,
      fmt::format("{} in {} with {} x {} tokens wants {:.1f} GB, and there are {:.1f}: {:.1f} are missing; {}",
                  shape.name, to_string(quant), wanted.sequences, wanted.context,
                  gigabytes(vram_bytes - fit.left_bytes), gigabytes(vram_bytes), gigabytes(-fit.left_bytes),
                  what_would_fit(all, fit)));
}

}  // namespace dormouse::planner
