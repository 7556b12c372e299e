// Keys and values into their page; the same bits as scalar/attention.h. Included once a table.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/cpu/avx2/quantize.h"
#include "kernels/kernels.h"

namespace dormouse::kernels {
namespace {

constexpr int kNearestEven = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;

// Keys go to one column: 64 bytes apart. The page's 8 KiB stay in L1 while its 32 tokens arrive.
void store_kv_f16(std::uint16_t* k_page, std::uint16_t* v_page, const float* k, const float* v, std::int32_t head_dim,
                  std::int32_t token) {
  for (std::int32_t d = 0; d < head_dim; d += 8) {
    const __m128i values = _mm256_cvtps_ph(_mm256_loadu_ps(v + d), kNearestEven);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(v_page + token * head_dim + d), values);
    alignas(16) std::uint16_t column[8];
    _mm_store_si128(reinterpret_cast<__m128i*>(column), _mm256_cvtps_ph(_mm256_loadu_ps(k + d), kNearestEven));
    for (int i = 0; i < 8; ++i) k_page[(d + i) * kKvPageTokens + token] = column[i];
  }
}

// 32 values and the place of their scale.
inline __m256i quantize_group(const float* x, std::uint16_t* scale) {
  const QuantScale s = quant_scale(largest_magnitude_bits(x, 1));
  *scale = static_cast<std::uint16_t>(_mm_extract_epi16(_mm_cvtps_ph(_mm_set_ss(s.d), kNearestEven), 0));
  return s.inverse == 0 ? _mm256_setzero_si256() : quantize_32(x, s.inverse);
}

void store_kv_q8(std::uint16_t* k_page, std::uint16_t* v_page, const float* k, const float* v, std::int32_t head_dim,
                 std::int32_t token) {
  auto* k_bytes = reinterpret_cast<std::int8_t*>(k_page) + token;
  auto* v_bytes = reinterpret_cast<std::int8_t*>(v_page) + token * head_dim;
  std::uint16_t* k_scales = k_page + kv_scales_at(head_dim, 0) + token;
  std::uint16_t* v_scales = v_page + kv_scales_at(head_dim, 0) + token;
  for (std::int32_t d = 0; d < head_dim; d += 32, k_scales += kKvPageTokens, v_scales += kKvPageTokens) {
    alignas(32) std::int8_t column[32];
    _mm256_store_si256(reinterpret_cast<__m256i*>(column), quantize_group(k + d, k_scales));
    for (int i = 0; i < 32; ++i) k_bytes[(d + i) * kKvPageTokens] = column[i];
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(v_bytes + d), quantize_group(v + d, v_scales));
  }
}

}  // namespace
}  // namespace dormouse::kernels
