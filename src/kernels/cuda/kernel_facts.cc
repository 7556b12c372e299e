#include "kernels/cuda/kernel_facts.h"

#include <array>
#include <string>

#include "base/check.h"

namespace dormouse::cuda {
namespace {

#define DORMOUSE_CUDA_ROW_FACTS(name, args, threads, blocks) \
  KernelFacts{#name, sizeof(args), threads, KernelFile::kRows},
#define DORMOUSE_CUDA_ATTENTION_FACTS(name, args, threads, blocks) \
  KernelFacts{#name, sizeof(args), threads, KernelFile::kAttention},
#define DORMOUSE_CUDA_MATMUL_FACTS(name, args, threads, blocks) \
  KernelFacts{#name, sizeof(args), threads, KernelFile::kMatmul},
#define DORMOUSE_CUDA_STEP_FACTS(name, args, threads, blocks) \
  KernelFacts{#name, sizeof(args), threads, KernelFile::kStep},
// In the order of the enum: DORMOUSE_CUDA_KERNELS is these four lists.
constexpr std::array kFacts = {DORMOUSE_CUDA_ROW_KERNELS(DORMOUSE_CUDA_ROW_FACTS) DORMOUSE_CUDA_ATTENTION_KERNELS(
    DORMOUSE_CUDA_ATTENTION_FACTS) DORMOUSE_CUDA_MATMUL_KERNELS(DORMOUSE_CUDA_MATMUL_FACTS)
                                   DORMOUSE_CUDA_STEP_KERNELS(DORMOUSE_CUDA_STEP_FACTS)};
#undef DORMOUSE_CUDA_ROW_FACTS
#undef DORMOUSE_CUDA_ATTENTION_FACTS
#undef DORMOUSE_CUDA_MATMUL_FACTS
#undef DORMOUSE_CUDA_STEP_FACTS
static_assert(kFacts.size() == kKernelCount);

constexpr int kWarpThreads = 32;
constexpr int kMostGridX = 0x7FFFFFFF;
constexpr int kMostGridYz = 0xFFFF;

Error launch_error(const KernelFacts& kernel, const char* what, std::int64_t got, std::int64_t limit) {
  return make_error(Code::kInternal, std::string("cuda: launch of ") + kernel.name + ": " + what + " is " +
                                         std::to_string(got) + ", limit " + std::to_string(limit));
}

}  // namespace

const KernelFacts& facts(Kernel kernel) {
  const auto index = static_cast<std::size_t>(kernel);
  CHECK(index < kKernelCount);
  return kFacts[index];
}

Status check_launch(const Launch& launch, std::size_t most_shared_bytes) {
  const KernelFacts& kernel = facts(launch.kernel);
  CHECK(launch.args != nullptr);
  const int most_grid[3] = {kMostGridX, kMostGridYz, kMostGridYz};
  for (std::size_t i = 0; i < 3; ++i) {
    if (launch.grid[i] < 1 || launch.grid[i] > most_grid[i]) {
      return launch_error(kernel, "grid", launch.grid[i], most_grid[i]);
    }
  }
  if (launch.threads < kWarpThreads || launch.threads > kernel.most_threads || launch.threads % kWarpThreads != 0) {
    return launch_error(kernel, "threads of a block, whole warps,", launch.threads, kernel.most_threads);
  }
  if (launch.shared_bytes > most_shared_bytes) {
    return launch_error(kernel, "shared memory", static_cast<std::int64_t>(launch.shared_bytes),
                        static_cast<std::int64_t>(most_shared_bytes));
  }
  return {};
}

}  // namespace dormouse::cuda
