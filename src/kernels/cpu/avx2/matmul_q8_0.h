// Matrix products of Q8_0 weights with Q8_0 activations; the same bits as scalar/matmul_q8_0.h. Included once, by
// table.cc. maddubs wants one unsigned factor: |w| * (a with the sign of w). Two products of 128 * 127 fit int16, four
// do not, so every maddubs is widened at once: 5 operations per 32 products where K-quants need 3. Napkin, m = 1: 34
// bytes a block, about 11 operations, 3 cycles: 35 GB/s a core, memory is the limit. m > 1: panels of 8 rows as in
// matmul_k.h, 4 bytes of each row a vector: 2,048 multiply-adds in about 80 cycles.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/cpu/avx2/matmul_k.h"
#include "kernels/kernels.h"
#include "quant/blocks.h"

namespace dormouse::kernels {
namespace {

// 8 weight rows x 32, unpacked. 288 bytes; 8 of them are less than one K-quant panel, so the scratch fits.
struct alignas(32) PanelQ8 {
  std::int8_t q[8][8][4];  // [k / 4][row][k % 4]
  float d[8];
};
static_assert(sizeof(PanelQ8) == 288 && 8 * sizeof(PanelQ8) <= sizeof(Panel));

// The activation rows' two parts.
struct ActivationQ8 {
  const std::int8_t* q;
  const float* d;
};

inline ActivationQ8 activation_q8(const MatmulArgs& args, std::int32_t i) {
  const std::uint8_t* row = args.activations + i * args.activation_row_bytes;
  return {reinterpret_cast<const std::int8_t*>(row), reinterpret_cast<const float*>(row + (args.k + 63) / 64 * 64)};
}

inline __m256i dot_signed(__m256i acc, __m256i w, __m256i magnitude, __m256i a) {
  const __m256i products = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(a, w));
  return _mm256_add_epi32(acc, _mm256_madd_epi16(products, _mm256_set1_epi16(1)));
}

inline void gemv_q8_0(const MatmulArgs& args) {
  using Block = quant::BlockQ8_0;
  const ActivationQ8 a = activation_q8(args, 0);
  const std::int64_t ahead = 8 * args.weight_row_bytes;
  const std::int32_t blocks = args.k / 32;
  for (std::int32_t row = args.row_begin; row < args.row_end; row += 8) {
    const std::uint8_t* rows[8];
    row_addresses(rows, args, row);
    __m256 acc = _mm256_setzero_ps();
    for (std::int32_t block = 0; block < blocks; ++block) {
      const __m256i x = load_256(reinterpret_cast<const std::uint8_t*>(a.q) + 32 * block);
      __m256i dots[8];
      std::uint32_t d[8];
      for (int r = 0; r < 8; ++r) {
        const std::uint8_t* at = rows[r] + block * static_cast<std::int64_t>(sizeof(Block));
        // Two blocks are 68 bytes: about one line.
        if (block % 2 == 0) _mm_prefetch(reinterpret_cast<const char*>(at + ahead), _MM_HINT_T0);
        const Block& b = *reinterpret_cast<const Block*>(at);
        __m256i w = load_256(reinterpret_cast<const std::uint8_t*>(b.q));
        asm("" : "+x"(w));  // GCC 12 would load it twice, and every other load crosses a line
        dots[r] = dot_signed(_mm256_setzero_si256(), w, _mm256_abs_epi8(w), x);
        d[r] = b.d;
      }
      // Joined in scalar registers: eight 2-byte stores read back as one vector would wait for their commit.
      const auto pair = [&d](int r) { return static_cast<int>(d[r] | d[r + 1] << 16); };
      const __m128i halves = _mm_setr_epi32(pair(0), pair(2), pair(4), pair(6));
      const __m256 scale = _mm256_mul_ps(_mm256_cvtph_ps(halves), _mm256_broadcast_ss(a.d + block));
      acc = _mm256_fmadd_ps(scale, _mm256_cvtepi32_ps(sum_lanes(dots)), acc);
    }
    store_rows(args.out + row, acc, args.row_end - row);
  }
}

inline void unpack_panel_q8(PanelQ8& panel, const std::uint8_t* const* rows, std::int32_t block) {
  __m256i v[8];
  alignas(16) std::uint16_t d[8];
  for (int r = 0; r < 8; ++r) {
    const auto& b = reinterpret_cast<const quant::BlockQ8_0*>(rows[r])[block];
    v[r] = load_256(reinterpret_cast<const std::uint8_t*>(b.q));
    d[r] = b.d;
  }
  transpose_8x8(v);
  for (int i = 0; i < 8; ++i) _mm256_store_si256(vectors(panel.q) + i, v[i]);
  _mm256_store_ps(panel.d, halves_to_floats(d));
}

template <int kActs>
inline void sweep_panels_q8(const MatmulArgs& args, const PanelQ8* panels, std::int32_t row, std::int32_t first) {
  const std::int32_t blocks = args.k / 32;
  ActivationQ8 a[kActs];
  for (int i = 0; i < kActs; ++i) a[i] = activation_q8(args, first + i);
  for (int p = 0; p < kPanels && row + 8 * p < args.row_end; ++p) {
    __m256 acc[kActs];
    for (int i = 0; i < kActs; ++i) acc[i] = _mm256_setzero_ps();
    for (std::int32_t block = 0; block < blocks; ++block) {
      const PanelQ8& panel = panels[p * blocks + block];
      __m256i dots[kActs];
      for (int i = 0; i < kActs; ++i) dots[i] = _mm256_setzero_si256();
      for (int step = 0; step < 8; ++step) {
        const __m256i w = _mm256_load_si256(vectors(panel.q) + step);
        const __m256i magnitude = _mm256_abs_epi8(w);
        for (int i = 0; i < kActs; ++i) {
          dots[i] = dot_signed(dots[i], w, magnitude, broadcast_dword(a[i].q, 8 * block + step));
        }
      }
      const __m256 d = _mm256_load_ps(panel.d);
      for (int i = 0; i < kActs; ++i) {
        const __m256 scale = _mm256_mul_ps(d, _mm256_broadcast_ss(a[i].d + block));
        acc[i] = _mm256_fmadd_ps(scale, _mm256_cvtepi32_ps(dots[i]), acc[i]);
      }
    }
    for (int i = 0; i < kActs; ++i) {
      store_rows(args.out + (first + i) * args.out_stride + row + 8 * p, acc[i], args.row_end - row - 8 * p);
    }
  }
}

void matmul_q8_0(const MatmulArgs& args) {
  if (args.m == 1) return gemv_q8_0(args);
  if (args.m <= kFewRows) return few_rows(args, gemv_q8_0);
  const std::int32_t blocks = args.k / 32;
  auto* panels = reinterpret_cast<PanelQ8*>(args.scratch);
  for (std::int32_t row = args.row_begin; row < args.row_end; row += kRowTile) {
    for (int p = 0; p < kPanels && row + 8 * p < args.row_end; ++p) {
      const std::uint8_t* rows[8];
      row_addresses(rows, args, row + 8 * p);
      for (std::int32_t block = 0; block < blocks; ++block) unpack_panel_q8(panels[p * blocks + block], rows, block);
    }
    std::int32_t i = 0;
    for (; i + 4 <= args.m; i += 4) sweep_panels_q8<4>(args, panels, row, i);
    for (; i + 2 <= args.m; i += 2) sweep_panels_q8<2>(args, panels, row, i);
    if (i < args.m) sweep_panels_q8<1>(args, panels, row, i);
  }
}

}  // namespace
}  // namespace dormouse::kernels
