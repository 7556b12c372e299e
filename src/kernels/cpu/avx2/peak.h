// What the int8 products of AVX2 reach from registers (KernelTable::int8_peak). Included once, by table.cc.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace dormouse::kernels {
namespace {

// VPMADDUBSW and the addition of its 16-bit sums, in eight chains: latency 5 + 1, two a cycle.
std::int64_t int8_peak(std::int64_t rounds) {
  constexpr int kChains = 8;
  __m256i a = _mm256_set1_epi8(1);
  const __m256i b = _mm256_set1_epi8(1);
  __m256i sum[kChains] = {};
  for (std::int64_t i = 0; i < rounds; ++i) {
    asm volatile("" : "+x"(a));  // else the products leave the loop
    for (auto& chain : sum) chain = _mm256_add_epi16(chain, _mm256_maddubs_epi16(a, b));
  }
  for (auto& chain : sum) asm volatile("" : "+x"(chain));
  return rounds * kChains * 32 * 2;
}

}  // namespace
}  // namespace dormouse::kernels
