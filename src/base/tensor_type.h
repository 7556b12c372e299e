// The element types a weight tensor may have, with their numbers in GGUF files and their block geometry. What the bytes
// inside a block mean is quant/'s business; how many there are is everybody's.
// Source: ggml's type table (ids, QK_K = 256).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace dormouse {

enum class TensorType : std::uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ8_0 = 8,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kBF16 = 30,
};

struct TensorTypeTraits {
  std::string_view name;             // "Q4_K"
  std::uint32_t block_elements = 0;  // a row's length is a multiple of this
  std::uint32_t block_bytes = 0;
};

[[nodiscard]] constexpr TensorTypeTraits traits(TensorType type) {
  switch (type) {
    case TensorType::kF32: return {"F32", 1, 4};
    case TensorType::kF16: return {"F16", 1, 2};
    case TensorType::kBF16: return {"BF16", 1, 2};
    case TensorType::kQ8_0: return {"Q8_0", 32, 34};
    case TensorType::kQ2_K: return {"Q2_K", 256, 84};
    case TensorType::kQ3_K: return {"Q3_K", 256, 110};
    case TensorType::kQ4_K: return {"Q4_K", 256, 144};
    case TensorType::kQ5_K: return {"Q5_K", 256, 176};
    case TensorType::kQ6_K: return {"Q6_K", 256, 210};
  }
  return {};
}

// From the number in a file; none for a type we do not read.
[[nodiscard]] constexpr std::optional<TensorType> tensor_type_from_id(std::uint32_t id) {
  switch (id) {
    case 0:
    case 1:
    case 8:
    case 10:
    case 11:
    case 12:
    case 13:
    case 14:
    case 30: return static_cast<TensorType>(id);
    default: return std::nullopt;
  }
}

}  // namespace dormouse
