// Which type each tensor gets for a named file type: llama.cpp's rules for Qwen3, so that our Q4_K_M is everybody's
// Q4_K_M. Pure. Source: engine notes 4.2; llama.cpp src/llama-quant.cpp.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/tensor_type.h"

namespace dormouse::worker {

enum class FileType { kF32, kF16, kBF16, kQ8_0, kQ2_K, kQ4_K_M };

struct FileTypeName {
  std::string_view name;
  FileType type;
  std::uint32_t number;  // general.file_type
};
inline constexpr std::array<FileTypeName, 6> kFileTypes{{{"F32", FileType::kF32, 0},
                                                         {"F16", FileType::kF16, 1},
                                                         {"Q8_0", FileType::kQ8_0, 7},
                                                         {"Q2_K", FileType::kQ2_K, 10},
                                                         {"Q4_K_M", FileType::kQ4_K_M, 15},
                                                         {"BF16", FileType::kBF16, 32}}};
// As typed by a person: any case. None: unknown.
[[nodiscard]] std::optional<FileTypeName> find_file_type(std::string_view name);

struct ModelShape {
  std::uint32_t layers = 0;
  std::uint32_t heads_per_kv_head = 1;
  bool is_tied = true;  // no output.weight: the embedding is the output matrix too
};

struct TypeChoice {
  TensorType type = TensorType::kF32;
  // Set when the row length does not fit the type the mix wants: what it wanted.
  std::optional<TensorType> instead_of;
};

// dimensions and row_length as in gguf::TensorInfo.
[[nodiscard]] TypeChoice choose_type(FileType file_type, const ModelShape& shape, std::string_view tensor_name,
                                     int dimensions, std::uint64_t row_length);

}  // namespace dormouse::worker
