// How weights lie in a packed matrix: one layout for every instruction set, GEMV and matrix tiles alike, with exactly
// the bytes of the file's own blocks (so that reading all weights once costs what the format promises).
//
// A matrix [rows, columns] is cut into strips of 16 rows, a strip into tiles of 16 rows x 256 columns, stored strip by
// strip, tile by tile: a strip is one sequential stream. Rows and columns are padded with zeros to whole tiles.
// Inside a tile a "quad" is 64 bytes: 16 rows x 4 neighbouring columns, quad[4 * r + i] = q[r, 4 * j + i] for quad j in
// [0, 64). That is what VPDPBUSD multiplies with one broadcast of four activations, and 16 such quads are what the AMX
// instructions call a B tile. Bits of several quads share a byte:
//   nibbles   32 vectors of 64 bytes; vector 8p + t, t < 8: low nibble quad 16p + t, high nibble quad 16p + 8 + t
//   pairs     16 vectors; vector t, bits 2p and 2p + 1: quad 16p + t
//   bits      8 vectors; vector h, bit b: quad 8b + h
// Six-bit scales, 256 of them (16 entries x 16 rows): 3 vectors z; low six bits of z[0..2] are entries 0-3, 4-7, 8-11
// (byte 16 * (entry % 4) + row), entry 12-15's six bits are z[0] >> 6 | z[1] >> 6 << 2 | z[2] >> 6 << 4.
//
//   Q4_K  d[16] dmin[16] (fp16), six-bit scales (entries 0-7: scale of 32 columns, 8-15: min), nibbles       2,304
//   bytes Q5_K  as Q4_K, then bits (the fifth bit)                                                                2,816
//   Q6_K  d[16], int8 scale[16 groups of 16 columns][16 rows], nibbles (low four), pairs (high two); q - 32 3,360
//   Q2_K  d[16] dmin[16], uint8 [16 groups][16 rows] (low nibble scale, high nibble min), pairs             1,344
//   Q3_K  d[16], six-bit scales (entry g: group g of 16 columns; - 32), pairs, bits (set: q, clear: q - 4)   1,760
//   Q8_0  fp16 d[8 groups of 32 columns][16 rows], 64 quads of int8                                          4,352
//   F16 BF16  [128 column pairs][16 rows][2]                                                                 8,192
//   F32   [256 columns][16 rows]                                                                            16,384
// Threads: pure functions.
#pragma once

#include <cstdint>

#include "base/tensor_type.h"

namespace dormouse::kernels {

inline constexpr std::int32_t kTileRows = 16;
inline constexpr std::int32_t kTileColumns = 256;

[[nodiscard]] std::int64_t tile_bytes(TensorType type);
// Bytes of 16 packed rows, and of a whole packed matrix. Alignment wanted: 64.
[[nodiscard]] std::int64_t packed_strip_bytes(TensorType type, std::int32_t columns);
[[nodiscard]] std::int64_t packed_matrix_bytes(TensorType type, std::int32_t rows, std::int32_t columns);

// The file's rows, as they are: [rows, columns] row-major in blocks.
struct PackSource {
  TensorType type;
  const std::uint8_t* data;
  std::int64_t row_bytes;
  std::int32_t rows;
  std::int32_t columns;  // a multiple of the type's block
};
// Strips [strip_begin, strip_end) into `out`, which is where strip_begin lies. A permutation of bits: lossless.
void pack_strips(const PackSource& source, std::int32_t strip_begin, std::int32_t strip_end, std::uint8_t* out);
// One row back to the file's own bytes ([row_bytes]): for embedding rows and for tests (unpack(pack(x)) == x).
void unpack_row(TensorType type, const std::uint8_t* packed, std::int32_t row, std::int32_t columns, std::uint8_t* out);

}  // namespace dormouse::kernels
