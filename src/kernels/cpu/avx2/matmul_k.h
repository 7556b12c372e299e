// Matrix products of K-quant weights with Q8_K activations; the same bits as scalar/matmul_k.h. Included once, by
// table.cc. n: weight rows, k: reduction, m: activation rows. Two ways, both with 8 weight rows in the 8 lanes of the
// float part:
//
// m = 1 (gemv_k): reads the blocks where they lie. Napkin, Q4_K: 144 bytes a block; per 32 weights 1 load, 2 shift+and,
//   1 maddubs, 1 shuffle, 1 madd, 1 add; with scales, minima and the sums across lanes about 90 operations, 25 cycles
//   at 3.6 a cycle: 19 GB/s a core at 3.3 GHz, above what one core reads from memory.
// m > 1 (panels): 32 weight rows are unpacked once, transposed so that 4 bytes of each of 8 rows make a vector, and
//   swept by all activation rows: 4 broadcast bytes of an activation row times 8 rows is one maddubs of 32 products.
//   Unpacking a block of 8 rows costs about as much as 2 or 3 activation rows. Napkin, Q4_K, per 8 rows x 256 x 1: 64
//   broadcasts (loads), 64 maddubs, 64 adds, 8 madd, some 30 for minima and floats: 2,048 multiply-adds in about 52
//   cycles. Measured on Zen 4: maddubs with its add sustain 1.6 a cycle, not 2 (the adds take the multipliers' ports);
//   2 panels x 4 activation rows reach 60 cycles, 1 x 4 80 (two more loads per maddubs).
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/cpu/avx2/formats.h"
#include "kernels/kernels.h"

namespace dormouse::kernels {
namespace {

// 8 weight rows x 256, unpacked. 2,880 bytes.
struct alignas(64) Panel {
  std::uint8_t q[64][8][4];       // [k / 4][row][k % 4]
  std::int16_t scales[16][8][2];  // [group][row], each twice: one per 16-bit half of a row's products
  std::int16_t mins[8][8][2];     // [pair of groups][row]; formats of 8 groups use 4 of the 8
  float d[8];
  float dmin[8];
};
static_assert(sizeof(Panel) == 2880);
constexpr int kPanelRows = 8;
constexpr int kPanels = kRowTile / kPanelRows;

inline const __m256i* vectors(const void* at) {
  return static_cast<const __m256i*>(at);
}
inline __m256i* vectors(void* at) {
  return static_cast<__m256i*>(at);
}

// 8 rows of 8 dwords to 8 columns, in place.
inline void transpose_8x8(__m256i* v) {
  __m256i t[8];
  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_epi32(v[i], v[i + 1]);
    t[i + 1] = _mm256_unpackhi_epi32(v[i], v[i + 1]);
  }
  __m256i u[8];
  for (int i = 0; i < 8; i += 4) {
    u[i] = _mm256_unpacklo_epi64(t[i], t[i + 2]);
    u[i + 1] = _mm256_unpackhi_epi64(t[i], t[i + 2]);
    u[i + 2] = _mm256_unpacklo_epi64(t[i + 1], t[i + 3]);
    u[i + 3] = _mm256_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  for (int i = 0; i < 4; ++i) {
    v[i] = _mm256_permute2x128_si256(u[i], u[i + 4], 0x20);
    v[i + 4] = _mm256_permute2x128_si256(u[i], u[i + 4], 0x31);
  }
}

// v[i] has 8 lanes; the sums of v[0] .. v[7] in lanes 0 .. 7.
inline __m256i sum_lanes(const __m256i* v) {
  const __m256i a = _mm256_hadd_epi32(_mm256_hadd_epi32(v[0], v[1]), _mm256_hadd_epi32(v[2], v[3]));
  const __m256i b = _mm256_hadd_epi32(_mm256_hadd_epi32(v[4], v[5]), _mm256_hadd_epi32(v[6], v[7]));
  return _mm256_add_epi32(_mm256_permute2x128_si256(a, b, 0x20), _mm256_permute2x128_si256(a, b, 0x31));
}

// Halves of 8 rows to floats.
inline __m256 halves_to_floats(const std::uint16_t* halves) {
  return _mm256_cvtph_ps(_mm_load_si128(reinterpret_cast<const __m128i*>(halves)));
}

// Broadcasts 16-bit word i of each 128-bit half to that whole half.
template <int i>
inline __m256i broadcast_word(__m256i words) {
  return _mm256_shuffle_epi8(words, _mm256_set1_epi16(static_cast<short>(2 * i | (2 * i + 1) << 8)));
}

// Scales so that broadcast_word<j> gives both groups of chunk j: even groups in the low half, odd ones in the high half
// (formats of 8 groups: the same 8 in both).
template <typename Format>
inline __m256i chunk_scales(__m128i bytes) {
  if constexpr (Format::kEightGroups) return _mm256_broadcastsi128_si256(_mm_cvtepi8_epi16(bytes));
  const __m128i order = _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
  return _mm256_cvtepi8_epi16(_mm_shuffle_epi8(bytes, order));
}

// Minima times sums of activations: 8 lanes to be added up.
template <typename Format>
inline __m256i dot_mins(__m128i bytes, const BlockQ8K& a) {
  if constexpr (Format::kEightGroups) {
    const __m128i sums = _mm_load_si128(reinterpret_cast<const __m128i*>(a.sums32));
    return _mm256_zextsi128_si256(_mm_madd_epi16(_mm_cvtepi8_epi16(bytes), sums));
  }
  return _mm256_madd_epi16(_mm256_cvtepi8_epi16(bytes), _mm256_load_si256(vectors(a.sums16)));
}

template <typename Format, int j>
inline __m256i dot_chunk(const typename Format::Block& w, const BlockQ8K& a, __m256i scales, __m256i acc) {
  const __m256i products = _mm256_maddubs_epi16(Format::template load<j>(w), _mm256_load_si256(vectors(a.q) + j));
  return _mm256_add_epi32(acc, _mm256_madd_epi16(products, broadcast_word<j>(scales)));
}

// One block of one row: 8 lanes whose sum is sum_g scale_g * dot_g, unsigned quants.
template <typename Format>
inline __m256i dot_block(const typename Format::Block& w, const BlockQ8K& a) {
  const __m256i scales = chunk_scales<Format>(Format::scale_bytes(w));
  __m256i even = _mm256_setzero_si256();
  __m256i odd = _mm256_setzero_si256();
  even = dot_chunk<Format, 0>(w, a, scales, even);
  odd = dot_chunk<Format, 1>(w, a, scales, odd);
  even = dot_chunk<Format, 2>(w, a, scales, even);
  odd = dot_chunk<Format, 3>(w, a, scales, odd);
  even = dot_chunk<Format, 4>(w, a, scales, even);
  odd = dot_chunk<Format, 5>(w, a, scales, odd);
  even = dot_chunk<Format, 6>(w, a, scales, even);
  odd = dot_chunk<Format, 7>(w, a, scales, odd);
  return _mm256_add_epi32(even, odd);
}

// The float part of one block for 8 rows: kernels.h's formula. dots of offset formats have their offset subtracted.
template <typename Format>
inline __m256 add_floats(__m256 acc, __m256i dots, __m256i mins, __m256 d, __m256 dmin, __m256 da) {
  acc = _mm256_fmadd_ps(_mm256_mul_ps(d, da), _mm256_cvtepi32_ps(dots), acc);
  if constexpr (Format::kOffset == 0) acc = _mm256_fnmadd_ps(_mm256_mul_ps(dmin, da), _mm256_cvtepi32_ps(mins), acc);
  return acc;
}

// What gemv_k keeps of one block of 8 rows between its two passes; lives in the scratch.
struct alignas(64) RowSums {
  std::int32_t dots[8][8];  // [row]: 8 lanes to be added up
  std::int32_t mins[8][4];  // [row]: 4 lanes
  std::uint16_t d[8];
  std::uint16_t dmin[8];
};
static_assert(sizeof(RowSums) <= sizeof(Panel));

// Rows of up to so many blocks are read whole, one after the other; longer ones 8 at a time, a block of each in turn.
// What memory likes was found by measuring (Q6_K, one core, GB/s): k = 2560 whole 16.3, in turn 11.8; k = 9728
// whole 9.1, in turn 16.5 (8 KB rows are streams the hardware can follow, and the sums of 8 whole ones overflow L1).
constexpr std::int32_t kWholeRowBlocks = 16;

// First pass: some blocks of one row, while as many at `next` are fetched.
template <typename Format>
inline void gemv_row(RowSums* sums, const std::uint8_t* row, const std::uint8_t* next, int lane, const BlockQ8K* a,
                     std::int32_t blocks) {
  using Block = typename Format::Block;
  for (std::int32_t block = 0; block < blocks; ++block) {
    const std::int64_t offset = block * static_cast<std::int64_t>(sizeof(Block));
    for (std::size_t line = 0; line < sizeof(Block); line += 64) {
      _mm_prefetch(reinterpret_cast<const char*>(next + offset + line), _MM_HINT_T0);
    }
    const Block& w = *reinterpret_cast<const Block*>(row + offset);
    __m256i dots = dot_block<Format>(w, a[block]);
    const __m256i mins = dot_mins<Format>(Format::min_bytes(w), a[block]);
    RowSums& out = sums[block];
    if constexpr (Format::kOffset != 0) {
      constexpr int kShift = Format::kOffset == 32 ? 5 : 2;
      static_assert(1 << kShift == Format::kOffset);
      dots = _mm256_sub_epi32(dots, _mm256_slli_epi32(mins, kShift));
    } else {
      const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(mins), _mm256_extracti128_si256(mins, 1));
      _mm_store_si128(reinterpret_cast<__m128i*>(out.mins[lane]), four);
      out.dmin[lane] = Format::dmin(w);
    }
    _mm256_store_si256(vectors(out.dots[lane]), dots);
    out.d[lane] = Format::d(w);
  }
}

// Second pass: 8 rows in 8 lanes, block by block.
template <typename Format>
inline __m256 gemv_floats(__m256 acc, const RowSums* sums, const BlockQ8K* a, std::int32_t blocks) {
  for (std::int32_t block = 0; block < blocks; ++block) {
    const RowSums& in = sums[block];
    __m256i v[8];
    for (int r = 0; r < 8; ++r) v[r] = _mm256_load_si256(vectors(in.dots[r]));
    __m256i mins = _mm256_setzero_si256();
    __m256 dmin = _mm256_setzero_ps();
    if constexpr (Format::kOffset == 0) {
      __m256i m[4];  // rows r and r + 4
      for (int r = 0; r < 4; ++r) {
        const __m128i low = _mm_load_si128(reinterpret_cast<const __m128i*>(in.mins[r]));
        const __m128i high = _mm_load_si128(reinterpret_cast<const __m128i*>(in.mins[r + 4]));
        m[r] = _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
      }
      mins = _mm256_hadd_epi32(_mm256_hadd_epi32(m[0], m[1]), _mm256_hadd_epi32(m[2], m[3]));
      dmin = halves_to_floats(in.dmin);
    }
    acc = add_floats<Format>(acc, sum_lanes(v), mins, halves_to_floats(in.d), dmin, _mm256_broadcast_ss(&a[block].d));
  }
  return acc;
}

// Addresses of 8 weight rows; beyond the last row the last one again, whose results are not stored.
inline void row_addresses(const std::uint8_t** rows, const MatmulArgs& args, std::int32_t row) {
  for (int r = 0; r < 8; ++r) {
    const std::int32_t clamped = row + r < args.row_end ? row + r : args.row_end - 1;
    rows[r] = args.weights + clamped * args.weight_row_bytes;
  }
}

inline void store_rows(float* out, __m256 values, std::int32_t count) {
  if (count >= 8) {
    _mm256_storeu_ps(out, values);
    return;
  }
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  _mm256_maskstore_ps(out, _mm256_cmpgt_epi32(_mm256_set1_epi32(count), lanes), values);
}

template <typename Format>
inline void gemv_k(const MatmulArgs& args) {
  constexpr auto kBlockBytes = static_cast<std::int64_t>(sizeof(typename Format::Block));
  const auto* a = reinterpret_cast<const BlockQ8K*>(args.activations);
  auto* sums = reinterpret_cast<RowSums*>(args.scratch);
  const std::int32_t blocks = args.k / 256;
  const std::int32_t stretch = blocks <= kWholeRowBlocks ? blocks : 1;
  const std::int64_t group_bytes = 8 * args.weight_row_bytes;
  for (std::int32_t row = args.row_begin; row < args.row_end; row += 8) {
    const std::uint8_t* rows[8];
    row_addresses(rows, args, row);
    __m256 acc = _mm256_setzero_ps();
    for (std::int32_t begin = 0; begin < blocks; begin += stretch) {
      for (int r = 0; r < 8; ++r) {
        const std::uint8_t* at = rows[r] + begin * kBlockBytes;
        const std::uint8_t* next = at + (stretch == 1 ? group_bytes : args.weight_row_bytes);
        gemv_row<Format>(sums, at, next, r, a + begin, stretch);
      }
      acc = gemv_floats<Format>(acc, sums, a + begin, stretch);
    }
    store_rows(args.out + row, acc, args.row_end - row);
  }
}

// A few activation rows, one after the other over each group of 8 weight rows, which the first pass brings into the
// cache. Panels cost as much as two to three rows to unpack; up to kFewRows this is cheaper (measured on 4B Q4_K_M,
// docs/performance.md). Same sums in the same order as one row alone.
constexpr std::int32_t kFewRows = 4;

inline void few_rows(const MatmulArgs& args, Matmul gemv) {
  for (std::int32_t row = args.row_begin; row < args.row_end; row += 8) {
    MatmulArgs one = args;
    one.row_begin = row;
    one.row_end = row + 8 < args.row_end ? row + 8 : args.row_end;
    one.m = 1;
    for (std::int32_t i = 0; i < args.m; ++i) {
      gemv(one);
      one.activations += args.activation_row_bytes;
      one.out += args.out_stride;
    }
  }
}

template <typename Format, int j>
inline void unpack_chunk(Panel& panel, const typename Format::Block* const* w) {
  __m256i v[8];
  for (int r = 0; r < 8; ++r) v[r] = Format::template load<j>(*w[r]);
  transpose_8x8(v);
  for (int i = 0; i < 8; ++i) _mm256_store_si256(vectors(panel.q) + 8 * j + i, v[i]);
}

// Rows of 8 (low half only) or 16 words to vectors of one pair of words per row: out[i] = words 2 i, 2 i + 1 of each
// row.
template <typename Format>
inline void transpose_words(__m256i* v) {
  if constexpr (Format::kEightGroups) {
    // Only dwords 0..3 of each row count; rows 4..7 go to the high halves.
    __m256i joined[4];
    for (int r = 0; r < 4; ++r) joined[r] = _mm256_permute2x128_si256(v[r], v[r + 4], 0x20);
    const __m256i a = _mm256_unpacklo_epi32(joined[0], joined[1]);
    const __m256i b = _mm256_unpackhi_epi32(joined[0], joined[1]);
    const __m256i c = _mm256_unpacklo_epi32(joined[2], joined[3]);
    const __m256i d = _mm256_unpackhi_epi32(joined[2], joined[3]);
    v[0] = _mm256_unpacklo_epi64(a, c);
    v[1] = _mm256_unpackhi_epi64(a, c);
    v[2] = _mm256_unpacklo_epi64(b, d);
    v[3] = _mm256_unpackhi_epi64(b, d);
  } else {
    transpose_8x8(v);
  }
}

template <typename Format>
inline void unpack_panel(Panel& panel, const typename Format::Block* const* w) {
  unpack_chunk<Format, 0>(panel, w);
  unpack_chunk<Format, 1>(panel, w);
  unpack_chunk<Format, 2>(panel, w);
  unpack_chunk<Format, 3>(panel, w);
  unpack_chunk<Format, 4>(panel, w);
  unpack_chunk<Format, 5>(panel, w);
  unpack_chunk<Format, 6>(panel, w);
  unpack_chunk<Format, 7>(panel, w);
  constexpr int kPairs = Format::kEightGroups ? 4 : 8;
  const __m256i first = _mm256_set1_epi32(0x01000100);   // words 0, 0 of each dword
  const __m256i second = _mm256_set1_epi32(0x03020302);  // words 1, 1
  // shuffle_epi8 counts bytes within 16: add each dword's position.
  const __m256i base = _mm256_setr_epi32(0, 0x04040404, 0x08080808, 0x0C0C0C0C, 0, 0x04040404, 0x08080808, 0x0C0C0C0C);
  alignas(16) std::uint16_t d[8];
  alignas(16) std::uint16_t dmin[8];
  __m256i scales[8];
  __m256i mins[8];
  for (int r = 0; r < 8; ++r) {
    scales[r] = _mm256_cvtepi8_epi16(Format::scale_bytes(*w[r]));
    mins[r] = _mm256_cvtepi8_epi16(Format::min_bytes(*w[r]));
    d[r] = Format::d(*w[r]);
    dmin[r] = Format::dmin(*w[r]);
  }
  transpose_words<Format>(scales);
  transpose_words<Format>(mins);
  for (int i = 0; i < kPairs; ++i) {
    _mm256_store_si256(vectors(panel.scales) + 2 * i, _mm256_shuffle_epi8(scales[i], _mm256_add_epi8(base, first)));
    _mm256_store_si256(vectors(panel.scales) + 2 * i + 1,
                       _mm256_shuffle_epi8(scales[i], _mm256_add_epi8(base, second)));
    constexpr int kShift = Format::kOffset == 32 ? 5 : Format::kOffset == 4 ? 2 : 0;
    _mm256_store_si256(vectors(panel.mins) + i, _mm256_slli_epi16(mins[i], kShift));
  }
  _mm256_store_ps(panel.d, halves_to_floats(d));
  _mm256_store_ps(panel.dmin, halves_to_floats(dmin));
}

inline __m256i broadcast_dword(const void* at, int index) {
  return _mm256_castps_si256(_mm256_broadcast_ss(static_cast<const float*>(at) + index));
}

// kWide panels of one block of k times kActs activation blocks, `stride` blocks apart; adds to sums[act * kPanels +
// panel].
template <typename Format, int kWide, int kActs>
inline void multiply_panels(float (*sums)[kPanelRows], const Panel* panels, const BlockQ8K* a, std::int64_t stride) {
  constexpr int kGroupSteps = Format::kEightGroups ? 8 : 4;  // dword steps that share a scale
  __m256i dots[kWide][kActs];
#pragma GCC unroll 8
  for (int p = 0; p < kWide; ++p) {
#pragma GCC unroll 8
    for (int i = 0; i < kActs; ++i) dots[p][i] = _mm256_setzero_si256();
  }
#pragma GCC unroll 1
  for (int group = 0; group < 64 / kGroupSteps; ++group) {
    for (int part = 0; part < kGroupSteps; part += Format::kSteps) {
      __m256i products[kWide][kActs];
#pragma GCC unroll 8
      for (int step = 0; step < Format::kSteps; ++step) {
        const int at = group * kGroupSteps + part + step;
        __m256i w[kWide];
#pragma GCC unroll 8
        for (int p = 0; p < kWide; ++p) w[p] = _mm256_load_si256(vectors(panels[p].q) + at);
#pragma GCC unroll 8
        for (int i = 0; i < kActs; ++i) {
          const __m256i x = broadcast_dword(a[i * stride].q, at);
#pragma GCC unroll 8
          for (int p = 0; p < kWide; ++p) {
            const __m256i product = _mm256_maddubs_epi16(w[p], x);
            products[p][i] = step == 0 ? product : _mm256_add_epi16(products[p][i], product);
            // GCC 12 computes all products of a group first and spills them; this makes it add each at once.
            asm volatile("" : "+x"(products[p][i]));
          }
        }
      }
#pragma GCC unroll 8
      for (int p = 0; p < kWide; ++p) {
        const __m256i scale = _mm256_load_si256(vectors(panels[p].scales) + group);
#pragma GCC unroll 8
        for (int i = 0; i < kActs; ++i) {
          dots[p][i] = _mm256_add_epi32(dots[p][i], _mm256_madd_epi16(products[p][i], scale));
        }
      }
    }
  }
#pragma GCC unroll 8
  for (int p = 0; p < kWide; ++p) {
    const __m256 d = _mm256_load_ps(panels[p].d);
    const __m256 dmin = _mm256_load_ps(panels[p].dmin);
#pragma GCC unroll 8
    for (int i = 0; i < kActs; ++i) {
      const BlockQ8K& block = a[i * stride];
      const void* words = Format::kEightGroups ? static_cast<const void*>(block.sums32) : block.sums16;
      __m256i mins = _mm256_setzero_si256();
      for (int pair = 0; pair < (Format::kEightGroups ? 4 : 8); ++pair) {
        const __m256i pairs = _mm256_load_si256(vectors(panels[p].mins) + pair);
        mins = _mm256_add_epi32(mins, _mm256_madd_epi16(pairs, broadcast_dword(words, pair)));
      }
      if constexpr (Format::kOffset != 0) dots[p][i] = _mm256_sub_epi32(dots[p][i], mins);
      float* sum = sums[i * kPanels + p];
      const __m256 da = _mm256_broadcast_ss(&block.d);
      _mm256_store_ps(sum, add_floats<Format>(_mm256_load_ps(sum), dots[p][i], mins, d, dmin, da));
    }
  }
}

// Activation rows that pass one block of k together. Working set: 4 panels 11.5 KB, 16 activation blocks 5 KB, sums 2
// KB: an L1, with 260 bytes from L2 per panel and activation row (45 cycles). Sweeping all of k for 4 rows at a time
// instead reads 720 bytes for the same work and ran at two thirds of the speed.
constexpr int kSweepRows = 16;

template <typename Format, int kActs>
inline void sweep_block(float (*sums)[kPanelRows], const Panel* panels, std::int32_t panel_count, const BlockQ8K* a,
                        std::int64_t stride) {
  std::int32_t p = 0;
  for (; p + 2 <= panel_count; p += 2) multiply_panels<Format, 2, kActs>(sums + p, panels + p, a, stride);
  if (p < panel_count) multiply_panels<Format, 1, kActs>(sums + p, panels + p, a, stride);
}

// Up to kSweepRows activation rows from `first` on, times the rows of the panels: panels[block * kPanels + p].
template <typename Format>
inline void sweep_panels(const MatmulArgs& args, const Panel* panels, std::int32_t row, std::int32_t first) {
  const std::int32_t blocks = args.k / 256;
  const std::int32_t count = args.m - first < kSweepRows ? args.m - first : kSweepRows;
  const std::int32_t rows_left = args.row_end - row;
  const std::int32_t panel_count = rows_left >= kRowTile ? kPanels : (rows_left + kPanelRows - 1) / kPanelRows;
  const auto* a = reinterpret_cast<const BlockQ8K*>(args.activations + first * args.activation_row_bytes);
  const std::int64_t stride = args.activation_row_bytes / static_cast<std::int64_t>(sizeof(BlockQ8K));
  alignas(64) float sums[kSweepRows * kPanels][kPanelRows] = {};
  for (std::int32_t block = 0; block < blocks; ++block) {
    const Panel* panel = panels + static_cast<std::int64_t>(block) * kPanels;
    std::int32_t i = 0;
    for (; i + 4 <= count; i += 4)
      sweep_block<Format, 4>(sums + i * kPanels, panel, panel_count, a + i * stride + block, stride);
    for (; i + 2 <= count; i += 2)
      sweep_block<Format, 2>(sums + i * kPanels, panel, panel_count, a + i * stride + block, stride);
    if (i < count) sweep_block<Format, 1>(sums + i * kPanels, panel, panel_count, a + i * stride + block, stride);
  }
  for (std::int32_t i = 0; i < count; ++i) {
    for (std::int32_t p = 0; p < panel_count; ++p) {
      store_rows(args.out + (first + i) * args.out_stride + row + kPanelRows * p, _mm256_load_ps(sums[i * kPanels + p]),
                 rows_left - kPanelRows * p);
    }
  }
}

template <typename Format>
void matmul_k(const MatmulArgs& args) {
  using Block = typename Format::Block;
  if (args.m == 1) return gemv_k<Format>(args);
  if (args.m <= kFewRows) return few_rows(args, gemv_k<Format>);
  const std::int32_t blocks = args.k / 256;
  auto* panels = reinterpret_cast<Panel*>(args.scratch);
  for (std::int32_t row = args.row_begin; row < args.row_end; row += kRowTile) {
    for (int p = 0; p < kPanels && row + 8 * p < args.row_end; ++p) {
      const std::uint8_t* rows[8];
      row_addresses(rows, args, row + 8 * p);
      for (std::int32_t block = 0; block < blocks; ++block) {
        const Block* w[8];
        for (int r = 0; r < 8; ++r) w[r] = reinterpret_cast<const Block*>(rows[r]) + block;
        unpack_panel<Format>(panels[static_cast<std::int64_t>(block) * kPanels + p], w);
      }
    }
    for (std::int32_t i = 0; i < args.m; i += kSweepRows) sweep_panels<Format>(args, panels, row, i);
  }
}

}  // namespace
}  // namespace dormouse::kernels
