// Generated rows, more than a few: the integers of `generated` on tiles, as 256 * high + low. Included once, by
// table.cc.
// 32 activation rows x 16 weight rows x 2 planes are the four C tiles: 16 TDPB of 16 cycles a block, beside 32 x some
// 12 vector operations that scale the block before. One block of k at a time for all rows: both its planes (16 KiB)
// stay in L1, activations (8 KiB for 32 rows) come from L2 once and serve both strips.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/cpu/amx/gemm.h"
#include "kernels/kernels.h"

namespace dormouse::kernels {
namespace {

constexpr std::int32_t kExactRows = 256;

struct alignas(64) ExactScratch {
  ExactPanelData panel;
  Sums sums[2];
  Accumulators acc[kExactRows / 32];
};
static_assert(sizeof(ExactScratch) <= kMatmulScratchBytes);

// 32 activation rows x one strip whose tiles have run and whose sums still have to be scaled.
struct ExactPending {
  Accumulators* acc = nullptr;
  const Sums* sums = nullptr;  // tiles: high and low of the first 16 rows, then of the others
  const BlockScales* scales = nullptr;
  const Q8TileBlock* a = nullptr;
  int strip = 0;
  int quarters = 0;  // 2: only the first 16 rows
};

// What goes on between the tile instructions of a step.
template <typename Exact>
struct ExactBeside {
  ExactPending pending;
  const std::uint8_t* ahead = nullptr;  // weights to ask for
  int lines = 0;                        // a step

  // acc[r] += 256 * high + low, scaled, less the minimum term: the operations of add_tile() in avx512/matmul_k.h.
  // A quarter is 8 activation rows.
  void scale_quarter(int quarter) const {
    const __m512 d = _mm512_load_ps(pending.scales->d);
    const __m512 dmin = _mm512_load_ps(pending.scales->dmin);
    const int half = quarter / 2;
    const std::int32_t(*high)[16] = pending.sums->of[2 * half];
    const std::int32_t(*low)[16] = pending.sums->of[2 * half + 1];
    float(*acc)[16] = pending.acc->of[2 * half + pending.strip];
    __m512i mins[Exact::kGroups / 2];
    for (int pair = 0; pair < Exact::kGroups / 2; ++pair) mins[pair] = _mm512_load_si512(pending.scales->mins[pair]);
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      const int r = quarter % 2 * 8 + i;
      const int row = 16 * half + r;
      const __m512 da = _mm512_set1_ps(pending.a->d[row]);
      const __m512i sum = _mm512_add_epi32(_mm512_slli_epi32(_mm512_load_si512(high[r]), 8), _mm512_load_si512(low[r]));
      __m512 value = _mm512_fmadd_ps(_mm512_mul_ps(d, da), _mm512_cvtepi32_ps(sum), _mm512_load_ps(acc[r]));
      if constexpr (Exact::kHasMin) {
        const std::int16_t* sums = Exact::kGroups == 16 ? pending.a->sums16[row] : pending.a->sums32[row];
        __m512i min = _mm512_setzero_si512();
#pragma GCC unroll 8
        for (int pair = 0; pair < Exact::kGroups / 2; ++pair) {
          min = _mm512_dpwssd_epi32(min, mins[pair], broadcast_pair(sums + 2 * pair));
        }
        value = _mm512_fnmadd_ps(_mm512_mul_ps(dmin, da), _mm512_cvtepi32_ps(min), value);
      }
      _mm512_store_ps(acc[r], value);
    }
  }
  void step(int quarter) {
    for (int line = 0; line < lines; ++line, ahead += 64) {
      _mm_prefetch(reinterpret_cast<const char*>(ahead), _MM_HINT_T0);
    }
    if (quarter < pending.quarters) scale_quarter(quarter);
  }
};

#define DORMOUSE_EXACT_STEP(s)           \
  _tile_loadd(4, &a.q[0][s][0][0], 64);  \
  _tile_loadd(6, high + 1024 * (s), 64); \
  _tile_dpbssd(0, 4, 6);                 \
  _tile_loadd(7, low + 1024 * (s), 64);  \
  _tile_dpbsud(1, 4, 7);                 \
  _tile_loadd(5, &a.q[1][s][0][0], 64);  \
  _tile_dpbssd(2, 5, 6);                 \
  _tile_dpbsud(3, 5, 7)

template <typename Exact>
inline void exact_block(Sums& sums, const Q8TileBlock& a, const std::int8_t* high, const std::int8_t* low,
                        ExactBeside<Exact>& beside) {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  DORMOUSE_EXACT_STEP(0);
  beside.step(0);
  DORMOUSE_EXACT_STEP(1);
  beside.step(1);
  DORMOUSE_EXACT_STEP(2);
  beside.step(2);
  DORMOUSE_EXACT_STEP(3);
  beside.step(3);
  _tile_stored(0, sums.of[0], 64);
  _tile_stored(1, sums.of[1], 64);
  _tile_stored(2, sums.of[2], 64);
  _tile_stored(3, sums.of[3], 64);
}

#define DORMOUSE_EXACT_NARROW_STEP(s)    \
  _tile_loadd(4, &a.q[0][s][0][0], 64);  \
  _tile_loadd(6, high + 1024 * (s), 64); \
  _tile_dpbssd(0, 4, 6);                 \
  _tile_loadd(7, low + 1024 * (s), 64);  \
  _tile_dpbsud(1, 4, 7)

// The same for at most 16 activation rows: tiles 0 and 1.
template <typename Exact>
inline void exact_narrow_block(Sums& sums, const Q8TileBlock& a, const std::int8_t* high, const std::int8_t* low,
                               ExactBeside<Exact>& beside) {
  _tile_zero(0);
  _tile_zero(1);
  DORMOUSE_EXACT_NARROW_STEP(0);
  beside.step(0);
  DORMOUSE_EXACT_NARROW_STEP(1);
  beside.step(1);
  DORMOUSE_EXACT_NARROW_STEP(2);
  beside.step(2);
  DORMOUSE_EXACT_NARROW_STEP(3);
  beside.step(3);
  _tile_stored(0, sums.of[0], 64);
  _tile_stored(1, sums.of[1], 64);
}

// One panel with the activation rows of a part; their sums end in s.acc.
template <typename Tile>
inline void exact_panel(ExactScratch& s, const MatmulArgs& args, std::int32_t begin, const TilePart& part) {
  using Exact = ExactPanel<Tile>;
  for (std::int32_t row = part.begin; row < part.end; row += 32) clear(s.acc[(row - part.begin) / 32]);
  const int strips = args.row_end - begin > kRows ? 2 : 1;
  const std::int32_t calls = (part.end - part.begin + 31) / 32;
  ExactBeside<Exact> beside;
  beside.lines = (Tile::kBytes / 64 + 4 * calls - 1) / (4 * calls);
  int turn = 0;
  for (std::int32_t block = 0; block < part.k_blocks; ++block) {
    const std::uint8_t* tiles[kPanelStrips];
    for (int strip = 0; strip < strips; ++strip) {
      tiles[strip] = args.weights + (begin / kRows + strip) * args.strip_bytes + std::int64_t{block} * Tile::kBytes;
      ExactPanel<Tile>::unpack(s.panel, strip, tiles[strip]);
    }
    compiler_fence();
    beside.pending.quarters = 0;
    for (int strip = 0; strip < strips; ++strip) {
      // The strip's next block is needed when all rows are done with this one.
      beside.ahead = block + 1 < part.k_blocks ? tiles[strip] + Tile::kBytes
                                               : args.weights + ((begin + 32) / kRows + strip) * args.strip_bytes;
      for (std::int32_t row = part.begin; row < part.end; row += 32) {
        const Q8TileBlock& a = part.activations[std::int64_t{row / 32} * part.k_blocks + block];
        Sums& sums = s.sums[turn];
        turn ^= 1;
        const bool narrow = part.end - row <= 16;
        if (narrow) {
          exact_narrow_block<Exact>(sums, a, s.panel.high[strip], s.panel.low[strip], beside);
        } else {
          exact_block<Exact>(sums, a, s.panel.high[strip], s.panel.low[strip], beside);
        }
        beside.pending = {.acc = &s.acc[(row - part.begin) / 32],
                          .sums = &sums,
                          .scales = &s.panel.scales[strip],
                          .a = &a,
                          .strip = strip,
                          .quarters = narrow ? 2 : 4};
      }
    }
    for (int quarter = 0; quarter < beside.pending.quarters; ++quarter) beside.scale_quarter(quarter);
  }
}

template <typename Tile>
void matmul_exact(const MatmulArgs& args) {
  auto& scratch = *reinterpret_cast<ExactScratch*>(args.scratch);
  for_tile_parts(args.activations, args.k, args.first_row, args.m, kExactRows, [&](const TilePart& part) {
    for (std::int32_t begin = args.row_begin; begin < args.row_end; begin += kPanelStrips * kRows) {
      exact_panel<Tile>(scratch, args, begin, part);
      for (std::int32_t row = part.begin; row < part.end; row += 32) {
        store_results(scratch.acc[(row - part.begin) / 32], args, row - args.first_row, begin);
      }
    }
  });
}

}  // namespace
}  // namespace dormouse::kernels
