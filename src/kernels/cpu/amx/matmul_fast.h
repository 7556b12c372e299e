// Prompt rows: int8 products with one scale per 256 columns. Included once, by table.cc.
//
// Blocking. A call's weight rows are taken up to 512 at a time (16 panels), its activation rows 512 at a time, k two
// blocks at a time: then the activations of two blocks (320 KiB) and all float sums (1 MiB) stay in L2, a panel's two
// blocks (16 KiB) in L1, and per block of 256 cycles 8 KiB of activations and 4 KiB of sums cross from L2: 48 bytes a
// cycle. With few activation rows one panel at a time, so that weights are read as two streams.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/cpu/amx/gemm.h"
#include "kernels/cpu/avx2/quantize.h"
#include "kernels/cpu/avx512/elementwise.h"
#include "kernels/kernels.h"

namespace dormouse::kernels {
namespace {

constexpr std::int32_t kFastRows = 512;
constexpr std::int32_t kFastPanels = 16;  // 256 weight rows of gate and 256 of up, or 512 of one matrix
constexpr std::int32_t kFastBlocks = kFastPanelBlocks;

struct alignas(64) FastScratch {
  FastPanelData panel;
  Sums sums[2];
  Accumulators acc[kFastPanels][kFastRows / 32];
};
static_assert(sizeof(FastScratch) <= kMatmulScratchBytes);

// acc[r] += float(sums[r]) * (d * a[r]) for the 16 rows of one C tile.
inline void add_fast_tile(float (*acc)[16], const std::int32_t (*sums)[16], const float* d, const float* a) {
  const __m512 scale = _mm512_load_ps(d);
#pragma GCC unroll 16
  for (int r = 0; r < 16; ++r) {
    const __m512 sum = _mm512_cvtepi32_ps(_mm512_load_si512(sums[r]));
    const __m512 factor = _mm512_mul_ps(scale, _mm512_set1_ps(a[r]));
    _mm512_store_ps(acc[r], _mm512_fmadd_ps(factor, sum, _mm512_load_ps(acc[r])));
  }
}

// One step of 64 columns: 2 x 2 tiles.
#define DORMOUSE_FAST_STEP(s)           \
  _tile_loadd(4, &a.q[0][s][0][0], 64); \
  _tile_loadd(6, b0 + 1024 * (s), 64);  \
  _tile_dpbssd(0, 4, 6);                \
  _tile_loadd(7, b1 + 1024 * (s), 64);  \
  _tile_dpbssd(1, 4, 7);                \
  _tile_loadd(5, &a.q[1][s][0][0], 64); \
  _tile_dpbssd(2, 5, 6);                \
  _tile_dpbssd(3, 5, 7)

// A block whose tiles have run and whose sums still have to be scaled.
struct FastPending {
  Accumulators* acc = nullptr;
  const Sums* sums = nullptr;
  const float (*d)[16] = nullptr;  // [strip]
  const float* a = nullptr;        // scales of its 32 activation rows
  int tiles = 0;                   // 2: only the first 16 rows
  void scale_tile(int tile) const {
    if (tile < tiles) add_fast_tile(acc->of[tile], sums->of[tile], d[tile % 2], a + tile / 2 * 16);
  }
};

// 32 activation rows x 32 weight rows x one block. What is pending is scaled between the steps.
inline void fast_block(Sums& sums, const Q8TileBlock& a, const std::int8_t* b0, const std::int8_t* b1,
                       const FastPending& pending) {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  DORMOUSE_FAST_STEP(0);
  pending.scale_tile(0);
  DORMOUSE_FAST_STEP(1);
  pending.scale_tile(1);
  DORMOUSE_FAST_STEP(2);
  pending.scale_tile(2);
  DORMOUSE_FAST_STEP(3);
  pending.scale_tile(3);
  _tile_stored(0, sums.of[0], 64);
  _tile_stored(1, sums.of[1], 64);
  _tile_stored(2, sums.of[2], 64);
  _tile_stored(3, sums.of[3], 64);
}

#define DORMOUSE_NARROW_STEP(s)         \
  _tile_loadd(4, &a.q[0][s][0][0], 64); \
  _tile_loadd(6, b0 + 1024 * (s), 64);  \
  _tile_dpbssd(0, 4, 6);                \
  _tile_loadd(7, b1 + 1024 * (s), 64);  \
  _tile_dpbssd(1, 4, 7)

// The same for at most 16 activation rows: tiles 0 and 1.
inline void fast_narrow_block(Sums& sums, const Q8TileBlock& a, const std::int8_t* b0, const std::int8_t* b1,
                              const FastPending& pending) {
  _tile_zero(0);
  _tile_zero(1);
  DORMOUSE_NARROW_STEP(0);
  DORMOUSE_NARROW_STEP(1);
  for (int tile = 0; tile < 4; ++tile) pending.scale_tile(tile);
  DORMOUSE_NARROW_STEP(2);
  DORMOUSE_NARROW_STEP(3);
  _tile_stored(0, sums.of[0], 64);
  _tile_stored(1, sums.of[1], 64);
}

// All activation rows x the panel's blocks; acc: [32 rows each].
inline void fast_rows(FastScratch& s, Accumulators* acc, const TilePart& part) {
  FastPending pending;
  int turn = 0;
  for (std::int32_t row = part.begin; row < part.end; row += 32, ++acc) {
    const Q8TileBlock* a = part.activations + std::int64_t{row / 32} * part.k_blocks + part.block;
    for (std::int32_t b = 0; b < part.blocks; ++b) {
      Sums& sums = s.sums[turn];
      turn ^= 1;
      const bool narrow = part.end - row <= 16;
      if (narrow) {
        fast_narrow_block(sums, a[b], s.panel.of[b][0], s.panel.of[b][1], pending);
      } else {
        fast_block(sums, a[b], s.panel.of[b][0], s.panel.of[b][1], pending);
      }
      pending = {.acc = acc, .sums = &sums, .d = s.panel.d[b], .a = a[b].d, .tiles = narrow ? 2 : 4};
    }
  }
  for (int tile = 0; tile < 4; ++tile) pending.scale_tile(tile);
}

// Where a panel's block lies in the weights.
template <typename Tile>
inline const std::uint8_t* tile_at(const std::uint8_t* weights, std::int64_t strip_bytes, std::int32_t strip,
                                   std::int32_t block) {
  return weights + strip * strip_bytes + std::int64_t{block} * Tile::kBytes;
}

// A matrix's two strips from `strip`; the last may be missing.
struct Strips {
  const std::uint8_t* weights;
  std::int64_t strip_bytes;
  std::int32_t strip;
  std::int32_t count;
};

template <typename Tile>
inline void unpack_panel(FastPanelData& panel, const Strips& from, std::int32_t block, std::int32_t blocks) {
  for (int strip = 0; strip < from.count; ++strip) {
    const std::uint8_t* tile = tile_at<Tile>(from.weights, from.strip_bytes, from.strip + strip, block);
    for (std::int32_t b = 0; b < blocks; ++b, tile += Tile::kBytes) {
      FastPanel<Tile>::unpack(panel.of[b][strip], panel.d[b][strip], tile);
    }
  }
  compiler_fence();
}

// Asks for the tiles of a panel's blocks: while one panel is multiplied (8,000 cycles at 512 rows) the next one's lines
// arrive; without it unpacking waits for each.
template <typename Tile>
inline void prefetch_panel(const Strips& from, std::int32_t block, std::int32_t blocks) {
  for (int strip = 0; strip < from.count; ++strip) {
    const std::uint8_t* at = tile_at<Tile>(from.weights, from.strip_bytes, from.strip + strip, block);
    for (std::int32_t byte = 0; byte < blocks * Tile::kBytes; byte += 64) {
      _mm_prefetch(reinterpret_cast<const char*>(at + byte), _MM_HINT_T1);
    }
  }
}

// All panels of a group; their sums end in s.acc.
template <typename Tile, typename StripsOf>
inline void fast_group(FastScratch& s, std::int32_t panels, const StripsOf& strips_of, TilePart part) {
  for (std::int32_t panel = 0; panel < panels; ++panel) {
    for (std::int32_t row = part.begin; row < part.end; row += 32) clear(s.acc[panel][(row - part.begin) / 32]);
  }
  const std::int32_t total = part.k_blocks;
  for (part.block = 0; part.block < total; part.block += kFastBlocks) {
    part.blocks = total - part.block < kFastBlocks ? total - part.block : kFastBlocks;
    for (std::int32_t panel = 0; panel < panels; ++panel) {
      unpack_panel<Tile>(s.panel, strips_of(panel), part.block, part.blocks);
      const bool last = panel + 1 == panels;
      const std::int32_t next = last ? part.block + part.blocks : part.block;
      const std::int32_t next_blocks = total - next < kFastBlocks ? total - next : kFastBlocks;
      prefetch_panel<Tile>(strips_of(last ? 0 : panel + 1), next, next_blocks);
      fast_rows(s, s.acc[panel], part);
    }
  }
}

template <typename Tile>
void matmul_fast(const MatmulArgs& args) {
  auto& scratch = *reinterpret_cast<FastScratch*>(args.scratch);
  const std::int32_t step = 32 * (args.m <= 64 ? 1 : kFastPanels);
  for_tile_parts(args.activations, args.k, args.first_row, args.m, kFastRows, [&](const TilePart& part) {
    for (std::int32_t begin = args.row_begin; begin < args.row_end; begin += step) {
      const std::int32_t end = args.row_end - begin < step ? args.row_end : begin + step;
      const std::int32_t panels = (end - begin + 31) / 32;
      const auto strips_of = [&](std::int32_t panel) {
        const std::int32_t at = begin + 32 * panel;
        return Strips{.weights = args.weights,
                      .strip_bytes = args.strip_bytes,
                      .strip = at / kRows,
                      .count = end - at > kRows ? 2 : 1};
      };
      fast_group<Tile>(scratch, panels, strips_of, part);
      for (std::int32_t row = part.begin; row < part.end; row += 32) {
        for (std::int32_t panel = 0; panel < panels; ++panel) {
          store_results(scratch.acc[panel][(row - part.begin) / 32], args, row - args.first_row, begin + 32 * panel);
        }
      }
    }
  });
}

// Where row `row` of a kQ8Tiles buffer keeps block `block`.
inline Q8TileBlock& tile_block(std::uint8_t* buffer, std::int32_t k_blocks, std::int32_t row, std::int32_t block) {
  return reinterpret_cast<Q8TileBlock*>(buffer)[std::int64_t{row / 32} * k_blocks + block];
}

// The integers of 64 columns.
inline __m512i quantize_64(const __m512* x, float inverse) {
  // An infinity times zero is no number: blocks without a factor are all zero.
  if (inverse == 0) return _mm512_setzero_si512();
  const __m512 factor = _mm512_set1_ps(inverse);
  __m128i q[4];
  for (int v = 0; v < 4; ++v) q[v] = _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(_mm512_mul_ps(x[v], factor)));
  const __m256i low = _mm256_inserti128_si256(_mm256_castsi128_si256(q[0]), q[1], 1);
  const __m256i high = _mm256_inserti128_si256(_mm256_castsi128_si256(q[2]), q[3], 1);
  return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

// Sums of 16 neighbours of the four times 64 columns.
inline __m256i sums_of_16(const __m512i* q) {
  __m512i four[4];
  for (int step = 0; step < 4; ++step) {
    four[step] = _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_set1_epi8(1), q[step]);
  }
  // Each 128-bit lane holds 4 x 4 numbers to be added up; place 4 * lane + step becomes 4 * step + lane.
  const __m512i a = _mm512_add_epi32(_mm512_unpacklo_epi32(four[0], four[1]), _mm512_unpackhi_epi32(four[0], four[1]));
  const __m512i b = _mm512_add_epi32(_mm512_unpacklo_epi32(four[2], four[3]), _mm512_unpackhi_epi32(four[2], four[3]));
  const __m512i sums = _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return _mm512_cvtepi32_epi16(_mm512_permutexvar_epi32(order, sums));
}

// 256 floats of one row, quantised: the scale and the rounding of quantize_q8_k().
inline void quantize_tile_row(Q8TileBlock& out, std::int32_t row, const __m512* x) {
  __m512i largest = _mm512_setzero_si512();
  for (int v = 0; v < 16; ++v) {
    const __m512i bits = _mm512_and_si512(_mm512_castps_si512(x[v]), _mm512_set1_epi32(0x7FFFFFFF));
    largest = _mm512_max_epi32(largest, bits);
  }
  const QuantScale scale = quant_scale(static_cast<std::uint32_t>(_mm512_reduce_max_epi32(largest)));
  out.d[row % 32] = scale.d;
  __m512i q[4];
  for (int step = 0; step < 4; ++step) {
    q[step] = quantize_64(x + 4 * step, scale.inverse);
    store_64(out.q[row % 32 / 16][step][row % 16], q[step]);
  }
  const __m256i sums16 = sums_of_16(q);
  _mm256_store_si256(reinterpret_cast<__m256i*>(out.sums16[row % 32]), sums16);
  const __m256i sums32 = _mm256_madd_epi16(sums16, _mm256_set1_epi16(1));
  _mm_store_si128(reinterpret_cast<__m128i*>(out.sums32[row % 32]), _mm256_cvtepi32_epi16(sums32));
}

void quantize_q8_tiles(std::uint8_t* buffer, std::int32_t row, const float* x, std::int32_t k) {
  for (std::int32_t block = 0; block < k / kColumns; ++block, x += kColumns) {
    __m512 values[16];
    for (int v = 0; v < 16; ++v) values[v] = _mm512_loadu_ps(x + 16 * v);
    quantize_tile_row(tile_block(buffer, k / kColumns, row, block), row, values);
  }
}

// silu(gate) * up of one row and 256 results, whose sums are panels 0 to 7 and 8 to 15.
inline void swiglu_row(__m512* h, const FastScratch& s, std::int32_t row) {
  for (int v = 0; v < 16; ++v) {
    const int tile = row % 32 / 16 * 2 + v % 2;
    const __m512 gate = _mm512_load_ps(s.acc[v / 2][row / 32].of[tile][row % 16]);
    const __m512 up = _mm512_load_ps(s.acc[8 + v / 2][row / 32].of[tile][row % 16]);
    const __m512 minus = _mm512_xor_ps(gate, _mm512_set1_ps(-0.0F));
    h[v] = _mm512_mul_ps(_mm512_div_ps(gate, _mm512_add_ps(_mm512_set1_ps(1.0F), exp_approx_512(minus))), up);
  }
}

// Blocks of 256 results of gate and up, the activation function and the quantisation between them: 5 lines a row and
// block are written instead of 32, and nothing is read again.
template <typename Tile>
void swiglu_fast(const SwigluArgs& args) {
  auto& scratch = *reinterpret_cast<FastScratch*>(args.scratch);
  for_tile_parts(args.activations, args.k, args.first_row, args.m, kFastRows, [&](const TilePart& part) {
    for (std::int32_t block = args.block_begin; block < args.block_end; ++block) {
      const auto strips_of = [&](std::int32_t panel) {
        return Strips{.weights = panel < 8 ? args.gate : args.up,
                      .strip_bytes = args.strip_bytes,
                      .strip = 16 * block + 2 * (panel % 8),
                      .count = 2};
      };
      fast_group<Tile>(scratch, kFastPanels, strips_of, part);
      const std::int32_t first = part.begin > args.first_row ? part.begin : args.first_row;
      for (std::int32_t row = first; row < part.end; ++row) {
        __m512 h[16];
        swiglu_row(h, scratch, row - part.begin);
        quantize_tile_row(tile_block(args.out, args.out_columns / kColumns, row, block), row, h);
      }
    }
  });
}

}  // namespace
}  // namespace dormouse::kernels
