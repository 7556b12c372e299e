// Where a sequence's keys and values lie, and int8 as halves.
#pragma once

#include "kernels/cuda/attention_args.h"
#include "kernels/cuda/simt.h"

namespace dormouse::cuda {

struct alignas(16) Floats4 {
  float x, y, z, w;
};

inline constexpr float kLog2OfE = 1.44269504088896340736F;

// One sequence, one KV head.
struct HeadPages {
  const std::uint8_t* memory;  // keys of page 0
  const std::int32_t* pages;
  std::int64_t page_bytes;
  std::int64_t value_bytes;

  DEVICE const std::uint8_t* keys(int page) const { return memory + pages[page] * page_bytes; }
};
DEVICE HeadPages head_pages(const KvPages& kv, const StepRows& rows, int row, int kv_head) {
  return {kv.memory + kv.layer * kv.layer_bytes + kv_head * kv.head_bytes, rows.pages + rows.page_begin[row],
          kv.page_bytes, kv.value_bytes};
}

// Bytes of a token's row of keys or values, and of its scales; the scales of a q8 page begin after kPageTokens rows.
template <int kDim, bool kQ8>
inline constexpr int kTokenBytes = kQ8 ? kDim : 2 * kDim;
template <int kDim>
inline constexpr int kTokenScaleBytes = kDim / 32 * 2;

// 0x6400 | u is the half 1024 + u; with u = q + 128 that is 1152 more than q, and the difference is exact.
inline constexpr std::uint32_t kFlipSigns = 0x80808080U;
inline constexpr std::uint32_t kExponents = 0x64646464U;
inline constexpr std::uint32_t k1152 = 0x64806480U;
inline constexpr std::uint32_t kBytes01 = 0x4140U;
inline constexpr std::uint32_t kBytes23 = 0x4342U;
// Two of the four int8 of `flipped`, whose signs have been flipped.
template <std::uint32_t kWhich>
DEVICE std::uint32_t int8_to_halves(std::uint32_t flipped) {
  return half2_sub(permute_bytes(flipped, kExponents, kWhich), k1152);
}

}  // namespace dormouse::cuda
