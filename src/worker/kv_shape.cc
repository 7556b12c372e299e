#include "worker/kv_shape.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/log.h"
#include "sched/page_pool.h"

namespace dormouse::worker {
namespace {

// Four whole contexts: some streams with long prompts, many with short ones.
constexpr std::int64_t kRamContexts = 4;
// Memory of a card is rented whether used or not, but not only by us. 32 contexts of 4,096 tokens hold 256 streams of
// 512; a chat seldom needs more than 4,096, and the model's own 40,960 would leave room for few streams on a small
// card.
constexpr std::int64_t kGpuContext = 4096;
constexpr std::int64_t kGpuContexts = 32;
constexpr std::int64_t kMostPages = 1 << 24;
constexpr std::int64_t kFewestPages = 2;

}  // namespace

KvMemory kv_memory_of_ram(std::int64_t memory_bytes, std::int64_t model_context) {
  return {.default_context = model_context,
          .default_contexts = kRamContexts,
          .default_bytes = memory_bytes / 4,
          .most_bytes = std::numeric_limits<std::int64_t>::max()};
}

KvMemory kv_memory_of_gpu(std::int64_t bytes_left, std::int64_t model_context) {
  return {.default_context = std::min(kGpuContext, model_context),
          .default_contexts = kGpuContexts,
          .default_bytes = bytes_left,
          .most_bytes = bytes_left};
}

Result<KvShape> choose_kv_shape(const KvWishes& wishes, std::int64_t model_context, std::int64_t bytes_per_token,
                                const KvMemory& memory) {
  if (wishes.max_model_len > model_context) {
    return make_error(Code::kInvalidArgument, fmt::format("--max-model-len {}: the model was trained for {}",
                                                          wishes.max_model_len, model_context));
  }
  if (wishes.kv_cache_bytes > memory.most_bytes) {
    return make_error(Code::kOverloaded,
                      fmt::format("--kv-cache-memory {}: {} bytes are left beside the model", wishes.kv_cache_bytes,
                                  std::max<std::int64_t>(memory.most_bytes, 0)));
  }
  KvShape out;
  out.context = wishes.max_model_len > 0 ? wishes.max_model_len : memory.default_context;
  const std::int64_t contexts = std::min<std::int64_t>(memory.default_contexts, wishes.max_sequences);
  const std::int64_t bytes = wishes.kv_cache_bytes > 0
                                 ? wishes.kv_cache_bytes
                                 : std::min(bytes_per_token * out.context * contexts, memory.default_bytes);
  const std::int64_t pages = std::min(bytes / (bytes_per_token * sched::kPageTokens), kMostPages);
  if (pages < kFewestPages) {
    if (wishes.kv_cache_bytes > 0) return make_error(Code::kInvalidArgument, "--kv-cache-memory: less than 64 tokens");
    return make_error(Code::kOverloaded,
                      "no memory is left for keys and values beside the model: take a smaller "
                      "quantisation (Q4_K_M, Q2_K) or a smaller model");
  }
  out.pages = static_cast<std::int32_t>(pages);
  // A sequence must fit the cache alone.
  const std::int64_t fits = pages * sched::kPageTokens;
  if (out.context > fits) {
    if (wishes.max_model_len > 0) {
      return make_error(Code::kInvalidArgument,
                        fmt::format("--max-model-len {} does not fit the KV cache of {} tokens", out.context, fits));
    }
    log_warn("event=context_reduced from={} to={} reason=kv_cache", out.context, fits);
    out.context = fits;
  }
  return out;
}

}  // namespace dormouse::worker
