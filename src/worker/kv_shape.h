// How long a context is and how many KV pages there are, from what the caller wants, the model and the memory. Pure.
#pragma once

#include <cstdint>

#include "base/result.h"

namespace dormouse::worker {

struct KvWishes {
  std::int64_t max_model_len = 0;   // 0: the default
  std::int64_t kv_cache_bytes = 0;  // 0: the default
  std::int32_t max_sequences = 256;
};

// Of the memory that pages are to lie in.
struct KvMemory {
  std::int64_t default_context = 0;   // tokens; never beyond the model's own
  std::int64_t default_contexts = 4;  // whole ones, without a wish
  std::int64_t default_bytes = 0;     // at most these, without a wish
  std::int64_t most_bytes = 0;        // at most these, whatever the wish
};

struct KvShape {
  std::int64_t context = 0;
  std::int32_t pages = 0;
};

// RAM: it is address space, pages become memory when first used; without a wish at most a quarter of it.
[[nodiscard]] KvMemory kv_memory_of_ram(std::int64_t memory_bytes, std::int64_t model_context);
// A GPU's: taken at once, out of what is free beside the model.
[[nodiscard]] KvMemory kv_memory_of_gpu(std::int64_t bytes_left, std::int64_t model_context);

// Errors: kInvalidArgument (a context beyond the model's or one that does not fit the pages wished for), kOverloaded
// (more pages wished for than there is memory, or no memory for any).
[[nodiscard]] Result<KvShape> choose_kv_shape(const KvWishes& wishes, std::int64_t model_context,
                                              std::int64_t bytes_per_token, const KvMemory& memory);

}  // namespace dormouse::worker
