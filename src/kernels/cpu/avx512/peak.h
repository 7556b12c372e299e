// What the int8 products of AVX-512 VNNI reach from registers (KernelTable::int8_peak). Included once, by table.cc.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace dormouse::kernels {
namespace {

// VPDPBUSD in sixteen chains: latency 5, up to two a cycle.
std::int64_t int8_peak(std::int64_t rounds) {
  constexpr int kChains = 16;
  const __m512i a = _mm512_set1_epi8(1);
  const __m512i b = _mm512_set1_epi8(1);
  __m512i sum[kChains] = {};
  for (std::int64_t i = 0; i < rounds; ++i) {
    for (auto& chain : sum) chain = _mm512_dpbusd_epi32(chain, a, b);
  }
  for (auto& chain : sum) asm volatile("" : "+v"(chain));
  return rounds * kChains * 64 * 2;
}

}  // namespace
}  // namespace dormouse::kernels
