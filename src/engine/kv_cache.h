// Keys and values of every token, fp16 or int8 with scales, in pages of sched::kPageTokens tokens. Which page belongs
// to whom is sched's business. One reservation of address space at load; memory is paid for page by page at first
// touch. Layout: [pages, layers, 2 (k, v), kv_heads, ...], forms in kernels.h (KvType): a page is one contiguous
// stretch (4.5 MiB for 4B in fp16), so low page ids used first keep the resident part small. Owner: the engine.
// Threads: distinct tokens may be written at once.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "engine/config.h"
#include "engine/lazy_memory.h"
#include "kernels/kernels.h"
#include "sched/batch_plan.h"

namespace dormouse::engine {

class KvCache {
 public:
  // Errors: kInvalidArgument (pages < 0; q8 and heads that are no multiple of 32), kOverloaded (the size overflows or
  // cannot be reserved).
  static Result<KvCache> create(const ModelConfig& config, std::int32_t pages, kernels::KvType type);

  [[nodiscard]] std::int32_t pages() const { return pages_; }
  [[nodiscard]] kernels::KvType type() const { return type_; }
  // Halves from one page to the next, and from a head's k to its v.
  [[nodiscard]] std::int64_t page_stride() const { return page_stride_; }
  [[nodiscard]] std::int64_t v_offset() const { return v_offset_; }
  // k of page 0 of this layer and head; page p lies p * page_stride() after it.
  [[nodiscard]] std::uint16_t* head(std::int32_t layer, std::int32_t kv_head) const {
    return reinterpret_cast<std::uint16_t*>(memory_.data()) + layer * layer_stride_ + kv_head * head_stride_;
  }
  void drop() const { memory_.drop(); }

 private:
  LazyMemory memory_;
  std::int32_t pages_ = 0;
  kernels::KvType type_ = kernels::KvType::kF16;
  std::int64_t head_stride_ = 0;
  std::int64_t v_offset_ = 0;
  std::int64_t layer_stride_ = 0;
  std::int64_t page_stride_ = 0;
};

// "fp16" or "q8". Errors: kInvalidArgument.
[[nodiscard]] Result<kernels::KvType> parse_kv_type(std::string_view name);

// 2 (k, v) * layers * kv_heads * head_dim * 2 bytes, for q8 * 17 / 16 bytes: 147,456 and 78,336 for 4B.
[[nodiscard]] std::uint64_t kv_bytes_per_token(const ModelConfig& config, kernels::KvType type);

}  // namespace dormouse::engine
