// Generated rows, five and more: the integers of `generated` on tiles, as 256 * high + low. Included once, by table.cc.
// 16 activation rows x 32 weight rows x 2 planes are the four C tiles: 256 cycles a block, beside some 300 vector
// operations that scale the block before. One block at a time: both its planes (16 KiB) stay in L1 for all rows;
// weights are read as two streams.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/cpu/amx/gemm.h"
#include "kernels/kernels.h"

namespace dormouse::kernels {
namespace {

constexpr std::int32_t kExactRows = 512;

struct alignas(64) ExactScratch {
  ExactPanelData panel;
  Sums sums[2];
  Accumulators acc[kExactRows / 32];  // tiles 2 and 3: the next 16 rows
};
static_assert(sizeof(ExactScratch) <= kMatmulScratchBytes);

// Rows beyond the last are scaled too: nobody reads them.
// acc[r] += 256 * high + low, scaled, less the minimum term: the operations of add_tile() in avx512/matmul_k.h.
template <typename Exact>
inline void add_exact_tile(float (*acc)[16], const std::int32_t (*high)[16], const std::int32_t (*low)[16],
                           const BlockScales& scales, const std::uint8_t* a, std::int64_t stride) {
  const __m512 d = _mm512_load_ps(scales.d);
  const __m512 dmin = _mm512_load_ps(scales.dmin);
#pragma GCC unroll 16
  for (int r = 0; r < 16; ++r) {
    const BlockQ8K& block = *reinterpret_cast<const BlockQ8K*>(a + r * stride);
    const __m512 da = _mm512_set1_ps(block.d);
    const __m512i sum = _mm512_add_epi32(_mm512_slli_epi32(_mm512_load_si512(high[r]), 8), _mm512_load_si512(low[r]));
    __m512 value = _mm512_fmadd_ps(_mm512_mul_ps(d, da), _mm512_cvtepi32_ps(sum), _mm512_load_ps(acc[r]));
    if constexpr (Exact::kHasMin) {
      __m512i min = _mm512_setzero_si512();
#pragma GCC unroll 8
      for (int pair = 0; pair < Exact::kGroups / 2; ++pair) {
        min = _mm512_dpwssd_epi32(min, _mm512_load_si512(scales.mins[pair]), sum_pair<Exact::kGroups>(block, pair));
      }
      value = _mm512_fnmadd_ps(_mm512_mul_ps(dmin, da), _mm512_cvtepi32_ps(min), value);
    }
    _mm512_store_ps(acc[r], value);
  }
}

#define DORMOUSE_EXACT_STEP(s)           \
  _tile_loadd(4, a0 + 64 * (s), stride); \
  _tile_loadd(5, h0 + 1024 * (s), 64);   \
  _tile_dpbssd(0, 4, 5);                 \
  _tile_loadd(6, l0 + 1024 * (s), 64);   \
  _tile_dpbsud(1, 4, 6);                 \
  _tile_loadd(7, h1 + 1024 * (s), 64);   \
  _tile_dpbssd(2, 4, 7);                 \
  _tile_loadd(5, l1 + 1024 * (s), 64);   \
  _tile_dpbsud(3, 4, 5)

// 16 activation rows whose tiles have run and whose sums still have to be scaled.
template <typename Exact>
struct ExactPending {
  float (*acc)[16][16] = nullptr;  // [strip]; null: nothing is pending
  const Sums* sums = nullptr;
  const BlockScales* scales = nullptr;  // [strip]
  const std::uint8_t* a = nullptr;
  std::int64_t stride = 0;
  void scale_strip(int strip) const {
    if (acc == nullptr) return;
    add_exact_tile<Exact>(acc[strip], sums->of[2 * strip], sums->of[2 * strip + 1], scales[strip], a, stride);
  }
};

// 16 activation rows x 32 weight rows x one block. What is pending is scaled between the steps.
template <typename Exact>
inline void exact_block(Sums& sums, const std::uint8_t* a0, std::int64_t stride, const ExactPanelData& panel,
                        const ExactPending<Exact>& pending) {
  const std::int8_t* h0 = panel.high[0];
  const std::int8_t* l0 = panel.low[0];
  const std::int8_t* h1 = panel.high[1];
  const std::int8_t* l1 = panel.low[1];
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  DORMOUSE_EXACT_STEP(0);
  DORMOUSE_EXACT_STEP(1);
  pending.scale_strip(0);
  DORMOUSE_EXACT_STEP(2);
  DORMOUSE_EXACT_STEP(3);
  pending.scale_strip(1);
  _tile_stored(0, sums.of[0], 64);
  _tile_stored(1, sums.of[1], 64);
  _tile_stored(2, sums.of[2], 64);
  _tile_stored(3, sums.of[3], 64);
}

// One panel with activation rows [first, first + rows).
template <typename Tile>
inline void exact_panel(ExactScratch& s, const MatmulArgs& args, std::int32_t begin, std::int32_t first,
                        std::int32_t rows) {
  const auto stride = args.activation_row_bytes;
  for (std::int32_t row = 0; row < rows; row += 32) s.acc[row / 32] = {};
  for (std::int32_t block = 0; block < args.k / kColumns; ++block) {
    for (int strip = 0; strip < kPanelStrips && begin + kRows * strip < args.row_end; ++strip) {
      const std::uint8_t* tile =
          args.weights + (begin / kRows + strip) * args.strip_bytes + std::int64_t{block} * Tile::kBytes;
      prefetch_tile<Tile::kBytes>(tile);
      ExactPanel<Tile>::unpack(s.panel, strip, tile);
    }
    compiler_fence();
    ExactPending<ExactPanel<Tile>> pending;
    for (std::int32_t row = 0; row < rows; row += 16) {
      const auto* a = reinterpret_cast<const std::uint8_t*>(activation_block(args, first + row, block));
      Sums& sums = s.sums[row / 16 % 2];
      exact_block(sums, a, stride, s.panel, pending);
      pending = {.acc = s.acc[row / 32].of + row % 32 / 16 * 2,
                 .sums = &sums,
                 .scales = s.panel.scales,
                 .a = a,
                 .stride = stride};
    }
    pending.scale_strip(0);
    pending.scale_strip(1);
  }
  for (std::int32_t row = 0; row < rows; row += 32) store_results(s.acc[row / 32], args, first + row, begin);
}

// Up to here the GEMV is faster: unpacking for tiles costs about as much as its further rows. Measured,
// docs/performance.md.
constexpr std::int32_t kGemvRows = 8;

template <typename Tile>
void matmul_exact(const MatmulArgs& args) {
  if (args.m <= kGemvRows) return matmul_k<Tile>(args);
  auto& scratch = *reinterpret_cast<ExactScratch*>(args.scratch);
  configure_tiles(args.m < 16 ? args.m : 16, 1);
  for (std::int32_t first = 0; first < args.m; first += kExactRows) {
    const std::int32_t rows = args.m - first < kExactRows ? args.m - first : kExactRows;
    for (std::int32_t begin = args.row_begin; begin < args.row_end; begin += kPanelStrips * kRows) {
      exact_panel<Tile>(scratch, args, begin, first, rows);
    }
  }
  _tile_release();
}

}  // namespace
}  // namespace dormouse::kernels
