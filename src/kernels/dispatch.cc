#include "kernels/dispatch.h"

#include <array>
#include <cstdlib>
#include <string>

#include "kernels/cpu_features.h"

namespace dormouse::kernels {

// Each defined by its own object library; the only symbol an ISA folder exports.
extern const KernelTable kScalarKernels;
#if defined(__x86_64__)
extern const KernelTable kAvx2Kernels;
extern const KernelTable kAvx512Kernels;
extern const KernelTable kAmxKernels;
#elif defined(__aarch64__)
extern const KernelTable kNeonKernels;
extern const KernelTable kI8mmKernels;
#endif

namespace {

// Slowest first. A new instruction set is one line here, one folder in cpu/ and one dormouse_isa_kernels() call.
const std::array kTables = {
    &kScalarKernels,
#if defined(__x86_64__)
    &kAvx2Kernels,
    &kAvx512Kernels,
    &kAmxKernels,
#elif defined(__aarch64__)
    &kNeonKernels,
    &kI8mmKernels,
#endif
};

bool runs_on(const KernelTable& table, std::uint32_t features) {
  return (table.required_features & ~features) == 0;
}

}  // namespace

std::vector<const KernelTable*> supported_kernels() {
  const std::uint32_t features = cpu_features();
  std::vector<const KernelTable*> out;
  for (const KernelTable* table : kTables) {
    if (runs_on(*table, features)) out.push_back(table);
  }
  return out;
}

Result<const KernelTable*> select_kernels(std::string_view forced) {
  std::string_view wanted = forced;
  if (wanted.empty()) {
    const char* environment = std::getenv("DORMOUSE_ISA");
    if (environment != nullptr) wanted = environment;
  }
  const std::uint32_t features = cpu_features();
  const KernelTable* best = kTables.front();
  std::string known;
  for (const KernelTable* table : kTables) {
    known += known.empty() ? table->name : std::string(", ") + table->name;
    if (!wanted.empty() && wanted == table->name) {
      if (runs_on(*table, features)) return table;
      return make_error(Code::kInvalidArgument, "isa: '" + std::string(wanted) + "' needs " +
                                                    describe_features(table->required_features) + ", this CPU lacks " +
                                                    describe_features(table->required_features & ~features));
    }
    if (runs_on(*table, features)) best = table;
  }
  if (!wanted.empty()) {
    return make_error(Code::kInvalidArgument,
                      "isa: no kernels named '" + std::string(wanted) + "', there are " + known);
  }
  return best;
}

namespace {

const WeightKernels& weight_kernels(const KernelTable& table, TensorType type) {
  switch (type) {
    case TensorType::kF32: return table.f32;
    case TensorType::kF16: return table.f16;
    case TensorType::kBF16: return table.bf16;
    case TensorType::kQ8_0: return table.q8_0;
    case TensorType::kQ2_K: return table.q2_k;
    case TensorType::kQ3_K: return table.q3_k;
    case TensorType::kQ4_K: return table.q4_k;
    case TensorType::kQ5_K: return table.q5_k;
    case TensorType::kQ6_K: return table.q6_k;
  }
  return table.f32;
}

}  // namespace

Product product_for(const KernelTable& table, TensorType type, std::int32_t columns, RowKind kind) {
  const WeightKernels& kernels = weight_kernels(table, type);
  const Product generated{kernels.generated, kernels.generated_format};
  if (columns % 256 != 0) return generated;
  switch (kind) {
    case RowKind::kGenerated: return generated;
    case RowKind::kGeneratedMany:
      if (kernels.generated_many == nullptr) return generated;
      return {kernels.generated_many, ActivationFormat::kQ8Tiles};
    case RowKind::kPrompt: return {kernels.prompt, kernels.prompt_format};
  }
  return generated;
}

Swiglu swiglu_for(const KernelTable& table, TensorType type, std::int32_t columns) {
  return columns % 256 == 0 ? weight_kernels(table, type).prompt_swiglu : nullptr;
}

}  // namespace dormouse::kernels
