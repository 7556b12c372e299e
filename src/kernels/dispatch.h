// Which kernel table runs here. Threads: any; tables are constant.
#pragma once

#include <cstddef>
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

// Which arithmetic a row gets (kernels.h): by where its token came from, never by the batch.
// kGeneratedMany: kGenerated, kManyRows or more of them in one product; the same bits, perhaps another format.
enum class RowKind : std::uint8_t { kGenerated, kGeneratedMany, kPrompt };
inline constexpr std::size_t kRowKinds = 3;

struct Product {
  Matmul matmul;
  ActivationFormat format;
};
// The product of weights of this type with rows of this kind; columns: the reduction length.
[[nodiscard]] Product product_for(const KernelTable& table, TensorType type, std::int32_t columns, RowKind kind);
// Prompt rows through gate and up of this type at once; null where the table or the shape has none.
[[nodiscard]] Swiglu swiglu_for(const KernelTable& table, TensorType type, std::int32_t columns);

}  // namespace dormouse::kernels
