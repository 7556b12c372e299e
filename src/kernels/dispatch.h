// Which kernel table runs here. Threads: any; tables are constant.
#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/tensor_type.h"
#include "kernels/kernels.h"

namespace dormouse::kernels {

// Every table this CPU can run, scalar first, fastest last. Tests and benchmarks walk it.
[[nodiscard]] std::vector<const KernelTable*> supported_kernels();

// `forced` names a table ("scalar", "avx2"); empty: the environment's DORMOUSE_ISA; empty too: the fastest.
// Errors: kInvalidArgument (no such table, or this CPU cannot run it: says what it lacks).
[[nodiscard]] Result<const KernelTable*> select_kernels(std::string_view forced);

[[nodiscard]] Matmul matmul_for(const KernelTable& table, TensorType type);

[[nodiscard]] constexpr ActivationFormat activation_format(TensorType type) {
  switch (type) {
    case TensorType::kF32:
    case TensorType::kF16:
    case TensorType::kBF16: return ActivationFormat::kF32;
    case TensorType::kQ8_0: return ActivationFormat::kQ8_0;
    case TensorType::kQ2_K:
    case TensorType::kQ3_K:
    case TensorType::kQ4_K:
    case TensorType::kQ5_K:
    case TensorType::kQ6_K: return ActivationFormat::kQ8_K;
  }
  return ActivationFormat::kF32;
}

}  // namespace dormouse::kernels
