// Prompt rows of F16 and BF16 weights: both sides as bf16, sums in float inside the tiles. Included once, by table.cc.
// 32 activation rows x 32 weight rows are 2 x 2 C tiles over all of k: 4 TDPBF16PS of 16 cycles for 32 columns, and 4
// tile loads. BF16 weights lie packed as B tiles and are used in place; F16 becomes a panel of bf16 first (160 KiB for
// k = 2,560, in L2), three operations a line for all activation rows. A row's sum runs over k in order.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/cpu/amx/gemm.h"
#include "kernels/kernels.h"

namespace dormouse::kernels {
namespace {

constexpr std::int32_t kBf16Columns = 32;         // of a tile
constexpr std::int64_t kBf16TileBytes = 1024;     // 16 rows x 32 columns
constexpr std::int32_t kBf16PanelColumns = 8192;  // of k at a time: 512 KiB for two strips
constexpr std::int32_t kBf16Rows = 512;

// Row `row` of a kBF16Tiles buffer: [rows / 32][k / 32][16 rows of the 32][16][32].
inline std::uint16_t* bf16_tile(std::uint8_t* buffer, std::int32_t k, std::int32_t row, std::int32_t column) {
  const std::int64_t tile = (std::int64_t{row / 32} * (k / kBf16Columns) + column / kBf16Columns) * 2 + row % 32 / 16;
  return reinterpret_cast<std::uint16_t*>(buffer + tile * kBf16TileBytes);
}

void quantize_bf16_tiles(std::uint8_t* buffer, std::int32_t row, const float* x, std::int32_t k) {
  for (std::int32_t j = 0; j < k; j += kBf16Columns) {
    const __m512bh both = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(x + j + 16), _mm512_loadu_ps(x + j));
    store_64(bf16_tile(buffer, k, row, j) + row % 16 * kBf16Columns, reinterpret_cast<__m512i>(both));
  }
}

// Where the B tiles of `columns` columns of a strip lie.
struct PanelBF16 {
  static const std::uint8_t* strip(std::uint8_t*, const std::uint8_t* weights, std::int32_t) { return weights; }
};
struct PanelF16 {
  static const std::uint8_t* strip(std::uint8_t* panel, const std::uint8_t* weights, std::int32_t columns) {
    for (std::int64_t at = 0; at < std::int64_t{columns} * 2 * kRows; at += 64) {
      _mm_prefetch(reinterpret_cast<const char*>(weights + at + kPrefetchBytes), _MM_HINT_T0);
      const __m512bh both = _mm512_cvtne2ps_pbh(load_halves(weights + at + 32), load_halves(weights + at));
      store_64(panel + at, reinterpret_cast<__m512i>(both));
    }
    compiler_fence();
    return panel;
  }
};

// acc += 32 activation rows x two strips over `columns` columns.
inline void bf16_block(Accumulators& acc, const std::uint8_t* a, const std::uint8_t* b0, const std::uint8_t* b1,
                       std::int32_t columns) {
  compiler_fence();
  _tile_loadd(0, acc.of[0], 64);
  _tile_loadd(1, acc.of[1], 64);
  _tile_loadd(2, acc.of[2], 64);
  _tile_loadd(3, acc.of[3], 64);
  for (std::int32_t j = 0; j < columns; j += kBf16Columns) {
    _tile_loadd(4, a, 64);
    _tile_loadd(6, b0, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, b1, 64);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, a + kBf16TileBytes, 64);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
    a += 2 * kBf16TileBytes;
    b0 += kBf16TileBytes;
    b1 += kBf16TileBytes;
  }
  _tile_stored(0, acc.of[0], 64);
  _tile_stored(1, acc.of[1], 64);
  _tile_stored(2, acc.of[2], 64);
  _tile_stored(3, acc.of[3], 64);
}

struct alignas(64) Bf16Scratch {
  Accumulators acc[kBf16Rows / 32];
  std::uint8_t panel[kPanelStrips][kBf16PanelColumns * 2 * kRows];
};
static_assert(sizeof(Bf16Scratch) <= kMatmulScratchBytes);

// One panel with the activation rows [first, first + 32 * tiles) of the buffer; their sums end in s.acc.
template <typename Panel>
inline void bf16_panel(Bf16Scratch& s, const MatmulArgs& args, std::int32_t begin, std::int32_t first,
                       std::int32_t tiles) {
  for (std::int32_t i = 0; i < tiles; ++i) clear(s.acc[i]);
  // A panel of one strip multiplies it twice; nobody reads the second.
  const bool two = args.row_end - begin > kRows;
  for (std::int32_t column = 0; column < args.k; column += kBf16PanelColumns) {
    const std::int32_t columns = args.k - column < kBf16PanelColumns ? args.k - column : kBf16PanelColumns;
    const std::uint8_t* weights = args.weights + begin / kRows * args.strip_bytes + std::int64_t{column} * 2 * kRows;
    const std::uint8_t* b0 = Panel::strip(s.panel[0], weights, columns);
    const std::uint8_t* b1 = two ? Panel::strip(s.panel[1], weights + args.strip_bytes, columns) : b0;
    for (std::int32_t i = 0; i < tiles; ++i) {
      // A row of the buffer is k columns of two bytes; 32 of them are k / 32 pairs of tiles.
      const std::uint8_t* a = args.activations + std::int64_t{first + 32 * i} * args.k * 2 + std::int64_t{column} * 64;
      bf16_block(s.acc[i], a, b0, b1, columns);
    }
  }
}

template <typename Panel>
void matmul_bf16(const MatmulArgs& args) {
  auto& s = *reinterpret_cast<Bf16Scratch*>(args.scratch);
  configure_tiles(16, 2);
  const std::int32_t end = args.first_row + args.m;
  for (std::int32_t first = args.first_row / 32 * 32; first < end; first += kBf16Rows) {
    const std::int32_t left = (end - first + 31) / 32;
    const std::int32_t tiles = left < kBf16Rows / 32 ? left : kBf16Rows / 32;
    for (std::int32_t begin = args.row_begin; begin < args.row_end; begin += kPanelStrips * kRows) {
      bf16_panel<Panel>(s, args, begin, first, tiles);
      for (std::int32_t i = 0; i < tiles; ++i) {
        store_results(s.acc[i], args, first + 32 * i - args.first_row, begin);
      }
    }
  }
  _tile_release();
}

}  // namespace
}  // namespace dormouse::kernels
