// Keys and values into their page; the same bits as scalar/attention.h. Included once a table.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/kernels.h"

namespace dormouse::kernels {
namespace {

constexpr int kNearestEven = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;

// Keys go to one column: 64 bytes apart. The page's 8 KiB stay in L1 while its 32 tokens arrive.
void store_kv(std::uint16_t* k_page, std::uint16_t* v_page, const float* k, const float* v, std::int32_t head_dim,
              std::int32_t token) {
  for (std::int32_t d = 0; d < head_dim; d += 8) {
    const __m128i values = _mm256_cvtps_ph(_mm256_loadu_ps(v + d), kNearestEven);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(v_page + token * head_dim + d), values);
    alignas(16) std::uint16_t column[8];
    _mm_store_si128(reinterpret_cast<__m128i*>(column), _mm256_cvtps_ph(_mm256_loadu_ps(k + d), kNearestEven));
    for (int i = 0; i < 8; ++i) k_page[(d + i) * kKvPageTokens + token] = column[i];
  }
}

}  // namespace
}  // namespace dormouse::kernels
