#include "worker/tools/type_mix.h"

#include <algorithm>
#include <cctype>
#include <charconv>

namespace dormouse::worker {
namespace {

// "blk.12.ffn_down.weight" -> 12 and "ffn_down.weight"; none for tensors outside the layers.
struct LayerTensor {
  std::uint32_t layer = 0;
  std::string_view part;
};

std::optional<LayerTensor> split_layer(std::string_view name) {
  constexpr std::string_view kPrefix = "blk.";
  if (!name.starts_with(kPrefix)) return std::nullopt;
  name.remove_prefix(kPrefix.size());
  LayerTensor out;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), out.layer);
  if (error != std::errc() || end == name.data() + name.size() || *end != '.') return std::nullopt;
  out.part = name.substr(static_cast<std::size_t>(end - name.data()) + 1);
  return out;
}

// The layers whose attn_v and ffn_down get more bits in Q4_K_M: the first and last eighth, and every third between.
bool uses_more_bits(std::uint32_t layer, std::uint32_t layers) {
  const std::uint32_t eighth = layers / 8;
  return layer < eighth || layer >= 7 * layers / 8 || (layer - eighth) % 3 == 2;
}

TensorType wanted_in_layer(FileType file_type, const ModelShape& shape, const LayerTensor& tensor) {
  const bool is_v = tensor.part == "attn_v.weight";
  const bool is_down = tensor.part == "ffn_down.weight";
  if (file_type == FileType::kQ4_K_M) {
    return (is_v || is_down) && uses_more_bits(tensor.layer, shape.layers) ? TensorType::kQ6_K : TensorType::kQ4_K;
  }
  if (is_v) return shape.heads_per_kv_head >= 4 ? TensorType::kQ4_K : TensorType::kQ3_K;
  if (is_down || tensor.part == "attn_output.weight") return TensorType::kQ3_K;
  return TensorType::kQ2_K;
}

TensorType wanted_type(FileType file_type, const ModelShape& shape, std::string_view name) {
  switch (file_type) {
    case FileType::kF32: return TensorType::kF32;
    case FileType::kF16: return TensorType::kF16;
    case FileType::kBF16: return TensorType::kBF16;
    case FileType::kQ8_0: return TensorType::kQ8_0;
    case FileType::kQ2_K:
    case FileType::kQ4_K_M: break;
  }
  const TensorType base = file_type == FileType::kQ2_K ? TensorType::kQ2_K : TensorType::kQ4_K;
  if (name == "output.weight") return TensorType::kQ6_K;
  if (name == "token_embd.weight") return shape.is_tied ? TensorType::kQ6_K : base;
  const auto tensor = split_layer(name);
  return tensor.has_value() ? wanted_in_layer(file_type, shape, *tensor) : base;
}

}  // namespace

std::optional<FileTypeName> find_file_type(std::string_view name) {
  const auto equal = [](char a, char b) {
    return std::toupper(static_cast<unsigned char>(a)) == std::toupper(static_cast<unsigned char>(b));
  };
  for (const FileTypeName& type : kFileTypes) {
    if (std::equal(name.begin(), name.end(), type.name.begin(), type.name.end(), equal)) return type;
  }
  return std::nullopt;
}

TypeChoice choose_type(FileType file_type, const ModelShape& shape, std::string_view tensor_name, int dimensions,
                       std::uint64_t row_length) {
  // Norms and other vectors stay in F32: they are small, and every activation passes through them.
  if (dimensions < 2 || !tensor_name.ends_with(".weight")) return {TensorType::kF32, std::nullopt};
  const TensorType wanted = wanted_type(file_type, shape, tensor_name);
  if (row_length % traits(wanted).block_elements == 0) return {wanted, std::nullopt};
  const bool fits_q8 = row_length % traits(TensorType::kQ8_0).block_elements == 0;
  return {fits_q8 ? TensorType::kQ8_0 : TensorType::kF16, wanted};
}

}  // namespace dormouse::worker
