#include "engine/kv_cache.h"

#include <optional>
#include <string>
#include <utility>

#include "base/checked_int.h"
#include "kernels/kernels.h"

namespace dormouse::engine {

static_assert(sched::kPageTokens == kernels::kKvPageTokens, "attention walks the scheduler's pages");

std::uint64_t kv_bytes_per_token(const ModelConfig& config) {
  // Four factors below 2^8 * 2^8 * 2^8 (config.cc): no overflow.
  return 2ULL * static_cast<std::uint64_t>(config.layers) * static_cast<std::uint64_t>(config.kv_dim()) *
         sizeof(std::uint16_t);
}

Result<KvCache> KvCache::create(const ModelConfig& config, std::int32_t pages) {
  if (pages < 0) return make_error(Code::kInvalidArgument, "kv: " + std::to_string(pages) + " pages, want 0 or more");
  const std::optional<std::uint64_t> bytes = checked_mul(
      kv_bytes_per_token(config) * static_cast<std::uint64_t>(sched::kPageTokens), static_cast<std::uint64_t>(pages));
  if (!bytes || *bytes > (std::uint64_t{1} << 46)) {
    return make_error(Code::kOverloaded, "kv: " + std::to_string(pages) + " pages exceed the address space");
  }
  KvCache out;
  TRY(out.memory_, LazyMemory::reserve(*bytes, LazyMemory::Pages::kHuge));
  out.pages_ = pages;
  out.head_stride_ = std::int64_t{sched::kPageTokens} * config.head_dim;
  out.v_offset_ = out.head_stride_ * config.kv_heads;
  out.layer_stride_ = 2 * out.v_offset_;
  out.page_stride_ = out.layer_stride_ * config.layers;
  return out;
}

}  // namespace dormouse::engine
