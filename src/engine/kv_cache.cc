#include "engine/kv_cache.h"

#include <optional>
#include <string>
#include <utility>

#include "base/checked_int.h"
#include "kernels/kernels.h"

namespace dormouse::engine {

static_assert(sched::kPageTokens == kernels::kKvPageTokens, "attention walks the scheduler's pages");

std::uint64_t kv_bytes_per_token(const ModelConfig& config, kernels::KvType type) {
  // Four factors below 2^8 * 2^8 * 2^8 (config.cc): no overflow.
  const auto page_halves = static_cast<std::uint64_t>(kernels::kv_head_halves(type, config.head_dim));
  return 2ULL * static_cast<std::uint64_t>(config.layers) * static_cast<std::uint64_t>(config.kv_heads) * page_halves *
         sizeof(std::uint16_t) / static_cast<std::uint64_t>(sched::kPageTokens);
}

Result<kernels::KvType> parse_kv_type(std::string_view name) {
  if (name == "fp16") return kernels::KvType::kF16;
  if (name == "q8") return kernels::KvType::kQ8;
  return make_error(Code::kInvalidArgument, "--kv-type: fp16 or q8 is wanted, got '" + std::string(name) + "'");
}

Result<KvCache> KvCache::create(const ModelConfig& config, std::int32_t pages, kernels::KvType type) {
  if (pages < 0) return make_error(Code::kInvalidArgument, "kv: " + std::to_string(pages) + " pages, want 0 or more");
  if (type == kernels::KvType::kQ8 && config.head_dim % 32 != 0) {
    return make_error(Code::kInvalidArgument, "kv: q8 wants heads of a multiple of 32 dimensions, this model's have " +
                                                  std::to_string(config.head_dim) + "; use fp16");
  }
  const std::optional<std::uint64_t> bytes =
      checked_mul(kv_bytes_per_token(config, type) * static_cast<std::uint64_t>(sched::kPageTokens),
                  static_cast<std::uint64_t>(pages));
  if (!bytes || *bytes > (std::uint64_t{1} << 46)) {
    return make_error(Code::kOverloaded, "kv: " + std::to_string(pages) + " pages exceed the address space");
  }
  KvCache out;
  TRY(out.memory_, LazyMemory::reserve(*bytes, LazyMemory::Pages::kHuge));
  out.pages_ = pages;
  out.type_ = type;
  out.head_stride_ = kernels::kv_head_halves(type, config.head_dim);
  out.v_offset_ = out.head_stride_ * config.kv_heads;
  out.layer_stride_ = 2 * out.v_offset_;
  out.page_stride_ = out.layer_stride_ * config.layers;
  return out;
}

}  // namespace dormouse::engine
