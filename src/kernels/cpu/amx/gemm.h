// What both products on AMX tiles share: tile configuration, places of sums, results. Included by matmul_fast.h and
// matmul_exact.h.
//
// Fast: per block of 256 columns, 32 activation rows x 32 weight rows = 2 x 2 C tiles x 4 steps of 64 columns = 16
// TDPBSSD of 16 cycles = 256 cycles for 262,144 multiply-adds. The block's sums (4 KiB of int32) are scaled and added
// to float sums while the next block's tiles run: 64 vectors x (convert, multiply, FMA), 192 operations on two ports.
// Blocks are added in order of k with one FMA each, in float: a row's result does not depend on m, on the panel or on
// where a call began.
//
// GCC 12's _tile_loadconfig names only the first 8 bytes of the configuration as its input, so the compiler may drop
// the stores to the rest and the first tile instruction traps; tile loads do not count as reads of memory either. Hence
// compiler_fence() before both.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/cpu/amx/panel.h"
#include "kernels/kernels.h"

namespace dormouse::kernels {
namespace {

inline void compiler_fence() {
  asm volatile("" ::: "memory");
}

// Intel SDM, "TILECFG": palette 1, then bytes a row and rows of each tile.
struct alignas(64) TileConfig {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};
};

// Tiles [0, 4) are C and [4, 4 + a_tiles) are A with `m` rows; the rest are B with 16.
inline void configure_tiles(int m, int a_tiles) {
  TileConfig config;
  for (int tile = 0; tile < 8; ++tile) {
    config.row_bytes[tile] = 64;
    config.rows[tile] = static_cast<std::uint8_t>(tile < 4 + a_tiles ? m : 16);
  }
  compiler_fence();
  _tile_loadconfig(&config);
}

struct alignas(64) Sums {
  std::int32_t of[4][16][16];  // [C tile][activation row][weight row]
};
struct alignas(64) Accumulators {
  float of[4][16][16];  // 2 x 2: [16 rows of 32][strip]
};

// As vectors: GCC makes `= {}` a rep stos, whose start alone costs more.
inline void clear(Accumulators& acc) {
  for (int i = 0; i < 64; ++i) _mm512_store_ps(acc.of[i / 16][i % 16], _mm512_setzero_ps());
}

// Which activation rows are multiplied, [begin, end) of the buffer, begin a multiple of 32, and which blocks of k.
struct TilePart {
  const Q8TileBlock* activations;  // of row 0
  std::int32_t k_blocks;
  std::int32_t begin;
  std::int32_t end;
  std::int32_t block;
  std::int32_t blocks;
};

// Calls each(part) for up to `most` rows at a time, from the tile row that holds the first.
template <typename Each>
inline void for_tile_parts(const std::uint8_t* activations, std::int32_t k, std::int32_t first, std::int32_t count,
                           std::int32_t most, const Each& each) {
  const std::int32_t begin = first / 32 * 32;
  const std::int32_t end = first + count;
  const bool few = begin == first && count < 16;
  configure_tiles(few ? count : 16, 2);
  for (std::int32_t row = begin; row < end; row += most) {
    each(TilePart{.activations = reinterpret_cast<const Q8TileBlock*>(activations),
                  .k_blocks = k / kColumns,
                  .begin = row,
                  .end = end - row < most ? end : row + most,
                  .block = 0,
                  .blocks = 0});
  }
  _tile_release();
}

// Finished sums of 32 activation rows from `row` of the output and 32 weight rows from `begin`; rows outside [0, m)
// stay out (a tile may begin before a call's first row).
inline void store_results(const Accumulators& acc, const MatmulArgs& args, std::int32_t row, std::int32_t begin) {
  for (int i = 0; i < 32; ++i) {
    if (row + i < 0 || row + i >= args.m) continue;
    float* out = args.out + (row + i) * args.out_stride + begin;
    for (int strip = 0; strip < 2 && begin + kRows * strip < args.row_end; ++strip) {
      const __m512 values = _mm512_load_ps(acc.of[i / 16 * 2 + strip][i % 16]);
      _mm512_mask_storeu_ps(out + kRows * strip, row_mask(args.row_end - begin - kRows * strip), values);
    }
  }
}

}  // namespace
}  // namespace dormouse::kernels
