#include "kernels/layout.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/check.h"
#include "quant/blocks.h"

namespace dormouse::kernels {
namespace {

constexpr int kRows = kTileRows;
constexpr int kColumns = kTileColumns;
constexpr int kQuadCount = 64;
constexpr int kQuadBytes = 64;

// One row's 256 columns taken apart: unsigned quants as the format stores them, small scales, and d.
struct RowParts {
  std::array<std::uint8_t, kColumns> q;
  std::array<std::uint8_t, 16> scale;
  std::array<std::uint8_t, 16> min;
  std::uint16_t d;
  std::uint16_t dmin;
};

void get_pairs(RowParts& out, const std::uint8_t* q) {
  for (std::size_t i = 0; i < 256; ++i) {
    out.q[i] = static_cast<std::uint8_t>((q[32 * (i / 128) + i % 32] >> (2 * (i % 128 / 32))) & 3);
  }
}
void put_pairs(std::uint8_t* q, const RowParts& in) {
  std::fill_n(q, 64, std::uint8_t{0});
  for (std::size_t i = 0; i < 256; ++i) {
    q[32 * (i / 128) + i % 32] |= static_cast<std::uint8_t>((in.q[i] & 3) << (2 * (i % 128 / 32)));
  }
}
void get_nibbles(RowParts& out, const std::uint8_t* q) {
  for (std::size_t c = 0; c < 4; ++c) {
    for (std::size_t l = 0; l < 32; ++l) {
      out.q[64 * c + l] = q[32 * c + l] & 15;
      out.q[64 * c + 32 + l] = q[32 * c + l] >> 4;
    }
  }
}
void put_nibbles(std::uint8_t* q, const RowParts& in) {
  for (std::size_t c = 0; c < 4; ++c) {
    for (std::size_t l = 0; l < 32; ++l) {
      q[32 * c + l] = static_cast<std::uint8_t>((in.q[64 * c + l] & 15) | (in.q[64 * c + 32 + l] << 4));
    }
  }
}
void get_q4_scales(RowParts& out, const std::uint8_t* s) {
  for (std::size_t g = 0; g < 8; ++g) {
    out.scale[g] = static_cast<std::uint8_t>(g < 4 ? s[g] & 63 : (s[g + 4] & 15) | (s[g - 4] >> 6 << 4));
    out.min[g] = static_cast<std::uint8_t>(g < 4 ? s[g + 4] & 63 : (s[g + 4] >> 4) | (s[g] >> 6 << 4));
  }
}
void put_q4_scales(std::uint8_t* s, const RowParts& in) {
  for (std::size_t g = 0; g < 4; ++g) {
    s[g] = static_cast<std::uint8_t>(in.scale[g] | (in.scale[g + 4] >> 4 << 6));
    s[g + 4] = static_cast<std::uint8_t>(in.min[g] | (in.min[g + 4] >> 4 << 6));
    s[g + 8] = static_cast<std::uint8_t>((in.scale[g + 4] & 15) | (in.min[g + 4] << 4));
  }
}

void take_apart(RowParts& out, const quant::BlockQ2K& b) {
  out.d = b.d;
  out.dmin = b.dmin;
  get_pairs(out, b.q);
  std::copy_n(b.scales, 16, out.scale.begin());
}
void put_together(quant::BlockQ2K& b, const RowParts& in) {
  b.d = in.d;
  b.dmin = in.dmin;
  put_pairs(b.q, in);
  std::copy_n(in.scale.begin(), 16, b.scales);
}
void take_apart(RowParts& out, const quant::BlockQ3K& b) {
  out.d = b.d;
  get_pairs(out, b.q);
  for (std::size_t i = 0; i < 256; ++i) {
    out.q[i] |= static_cast<std::uint8_t>(((b.high_mask[i % 32] >> (i / 32)) & 1) << 2);
  }
  for (std::size_t g = 0; g < 16; ++g) {
    const int low = g < 8 ? b.scales[g] & 15 : b.scales[g - 8] >> 4;
    out.scale[g] = static_cast<std::uint8_t>(low | (((b.scales[8 + g % 4] >> (2 * (g / 4))) & 3) << 4));
  }
}
void put_together(quant::BlockQ3K& b, const RowParts& in) {
  b.d = in.d;
  put_pairs(b.q, in);
  std::fill_n(b.high_mask, 32, std::uint8_t{0});
  for (std::size_t i = 0; i < 256; ++i) {
    b.high_mask[i % 32] |= static_cast<std::uint8_t>(((in.q[i] >> 2) & 1) << (i / 32));
  }
  std::fill_n(b.scales, 12, std::uint8_t{0});
  for (std::size_t g = 0; g < 16; ++g) {
    b.scales[g % 8] |= static_cast<std::uint8_t>((in.scale[g] & 15) << (g < 8 ? 0 : 4));
    b.scales[8 + g % 4] |= static_cast<std::uint8_t>((in.scale[g] >> 4) << (2 * (g / 4)));
  }
}
void take_apart(RowParts& out, const quant::BlockQ4K& b) {
  out.d = b.d;
  out.dmin = b.dmin;
  get_q4_scales(out, b.scales);
  get_nibbles(out, b.q);
}
void put_together(quant::BlockQ4K& b, const RowParts& in) {
  b.d = in.d;
  b.dmin = in.dmin;
  put_q4_scales(b.scales, in);
  put_nibbles(b.q, in);
}
void take_apart(RowParts& out, const quant::BlockQ5K& b) {
  out.d = b.d;
  out.dmin = b.dmin;
  get_q4_scales(out, b.scales);
  get_nibbles(out, b.q);
  for (std::size_t i = 0; i < 256; ++i) {
    out.q[i] |= static_cast<std::uint8_t>(((b.high[i % 32] >> (i / 32)) & 1) << 4);
  }
}
void put_together(quant::BlockQ5K& b, const RowParts& in) {
  b.d = in.d;
  b.dmin = in.dmin;
  put_q4_scales(b.scales, in);
  put_nibbles(b.q, in);
  std::fill_n(b.high, 32, std::uint8_t{0});
  for (std::size_t i = 0; i < 256; ++i) {
    b.high[i % 32] |= static_cast<std::uint8_t>((in.q[i] >> 4) << (i / 32));
  }
}
void take_apart(RowParts& out, const quant::BlockQ6K& b) {
  out.d = b.d;
  for (std::size_t i = 0; i < 256; ++i) {
    const std::size_t half = i / 128;
    const std::size_t k = i % 128 / 32;
    const int low = (b.low[64 * half + 32 * (k % 2) + i % 32] >> (4 * (k / 2))) & 15;
    out.q[i] = static_cast<std::uint8_t>(low | (((b.high[32 * half + i % 32] >> (2 * k)) & 3) << 4));
  }
  for (std::size_t g = 0; g < 16; ++g) out.scale[g] = static_cast<std::uint8_t>(b.scales[g]);
}
void put_together(quant::BlockQ6K& b, const RowParts& in) {
  b.d = in.d;
  std::fill_n(b.low, 128, std::uint8_t{0});
  std::fill_n(b.high, 64, std::uint8_t{0});
  for (std::size_t i = 0; i < 256; ++i) {
    const std::size_t half = i / 128;
    const std::size_t k = i % 128 / 32;
    b.low[64 * half + 32 * (k % 2) + i % 32] |= static_cast<std::uint8_t>((in.q[i] & 15) << (4 * (k / 2)));
    b.high[32 * half + i % 32] |= static_cast<std::uint8_t>((in.q[i] >> 4) << (2 * k));
  }
  for (std::size_t g = 0; g < 16; ++g) b.scales[g] = static_cast<std::int8_t>(in.scale[g]);
}

// The same 256 columns of 16 rows, quad by quad.
using Quads = std::array<std::uint8_t, std::size_t{kQuadCount} * kQuadBytes>;

std::uint8_t* quad(Quads& quads, int index) {
  return quads.data() + std::ptrdiff_t{index} * kQuadBytes;
}
const std::uint8_t* quad(const Quads& quads, int index) {
  return quads.data() + std::ptrdiff_t{index} * kQuadBytes;
}

// The three ways bits of quads share bytes (layout.h). `shift` moves the quants' bits to the lowest place and back.
void write_nibbles(std::uint8_t* out, const Quads& quads) {
  for (int v = 0; v < 32; ++v) {
    const std::uint8_t* low = quad(quads, v / 8 * 16 + v % 8);
    const std::uint8_t* high = low + 8 * kQuadBytes;
    for (int i = 0; i < 64; ++i) out[64 * v + i] = static_cast<std::uint8_t>((low[i] & 15) | (high[i] << 4));
  }
}
void read_nibbles(Quads& quads, const std::uint8_t* in) {
  for (int v = 0; v < 32; ++v) {
    std::uint8_t* low = quad(quads, v / 8 * 16 + v % 8);
    std::uint8_t* high = low + 8 * kQuadBytes;
    for (int i = 0; i < 64; ++i) {
      low[i] = in[64 * v + i] & 15;
      high[i] = in[64 * v + i] >> 4;
    }
  }
}
void write_pairs(std::uint8_t* out, const Quads& quads, int shift) {
  std::fill_n(out, 1024, std::uint8_t{0});
  for (int j = 0; j < kQuadCount; ++j) {
    const std::uint8_t* from = quad(quads, j);
    std::uint8_t* to = out + j % 16 * 64;
    for (int i = 0; i < 64; ++i) to[i] |= static_cast<std::uint8_t>(((from[i] >> shift) & 3) << (j / 16 * 2));
  }
}
void read_pairs(Quads& quads, const std::uint8_t* in, int shift) {
  for (int j = 0; j < kQuadCount; ++j) {
    std::uint8_t* to = quad(quads, j);
    const std::uint8_t* from = in + j % 16 * 64;
    for (int i = 0; i < 64; ++i) to[i] |= static_cast<std::uint8_t>(((from[i] >> (j / 16 * 2)) & 3) << shift);
  }
}
void write_bits(std::uint8_t* out, const Quads& quads, int shift) {
  std::fill_n(out, 512, std::uint8_t{0});
  for (int j = 0; j < kQuadCount; ++j) {
    const std::uint8_t* from = quad(quads, j);
    std::uint8_t* to = out + j % 8 * 64;
    for (int i = 0; i < 64; ++i) to[i] |= static_cast<std::uint8_t>(((from[i] >> shift) & 1) << (j / 8));
  }
}
void read_bits(Quads& quads, const std::uint8_t* in, int shift) {
  for (int j = 0; j < kQuadCount; ++j) {
    std::uint8_t* to = quad(quads, j);
    const std::uint8_t* from = in + j % 8 * 64;
    for (int i = 0; i < 64; ++i) to[i] |= static_cast<std::uint8_t>(((from[i] >> (j / 8)) & 1) << shift);
  }
}

using SixBits = std::array<std::uint8_t, 256>;  // [16 entries][16 rows]
void write_six_bits(std::uint8_t* out, const SixBits& values) {
  for (std::size_t i = 0; i < 64; ++i) {
    for (std::size_t v = 0; v < 3; ++v) {
      out[64 * v + i] = static_cast<std::uint8_t>(values[64 * v + i] | ((values[192 + i] >> (2 * v)) << 6));
    }
  }
}
void read_six_bits(SixBits& values, const std::uint8_t* in) {
  for (std::size_t i = 0; i < 64; ++i) {
    for (std::size_t v = 0; v < 3; ++v) values[64 * v + i] = in[64 * v + i] & 63;
    values[192 + i] = static_cast<std::uint8_t>((in[i] >> 6) | (in[64 + i] >> 6 << 2) | (in[128 + i] >> 6 << 4));
  }
}

using Parts = std::array<RowParts, kRows>;

void write_halves(std::uint8_t* out, const Parts& parts, std::uint16_t RowParts::*field) {
  for (std::size_t r = 0; r < kRows; ++r) std::memcpy(out + 2 * r, &(parts[r].*field), 2);
}
void read_half(const std::uint8_t* in, int row, std::uint16_t& out) {
  std::memcpy(&out, in + 2 * row, 2);
}

// How a format's tile is written, and how one of its rows is read back. Reading fills the quads of all rows: one row is
// read once a token, from the embedding.
template <typename Block>
struct Format;

template <>
struct Format<quant::BlockQ2K> {
  static void write(std::uint8_t* tile, const Parts& parts, const Quads& quads) {
    write_halves(tile, parts, &RowParts::d);
    write_halves(tile + 32, parts, &RowParts::dmin);
    for (std::size_t g = 0; g < 16; ++g) {
      for (std::size_t r = 0; r < kRows; ++r) tile[64 + 16 * g + r] = parts[r].scale[g];
    }
    write_pairs(tile + 320, quads, 0);
  }
  static void read(RowParts& out, Quads& quads, const std::uint8_t* tile, int row) {
    read_half(tile, row, out.d);
    read_half(tile + 32, row, out.dmin);
    for (std::size_t g = 0; g < 16; ++g) out.scale[g] = tile[64 + 16 * g + static_cast<std::size_t>(row)];
    read_pairs(quads, tile + 320, 0);
  }
};

template <>
struct Format<quant::BlockQ3K> {
  static void write(std::uint8_t* tile, const Parts& parts, const Quads& quads) {
    write_halves(tile, parts, &RowParts::d);
    SixBits scales;
    for (std::size_t i = 0; i < 256; ++i) scales[i] = parts[i % 16].scale[i / 16];
    write_six_bits(tile + 32, scales);
    write_pairs(tile + 224, quads, 0);
    write_bits(tile + 1248, quads, 2);
  }
  static void read(RowParts& out, Quads& quads, const std::uint8_t* tile, int row) {
    read_half(tile, row, out.d);
    SixBits scales;
    read_six_bits(scales, tile + 32);
    for (std::size_t g = 0; g < 16; ++g) out.scale[g] = scales[16 * g + static_cast<std::size_t>(row)];
    read_pairs(quads, tile + 224, 0);
    read_bits(quads, tile + 1248, 2);
  }
};

void write_q4_header(std::uint8_t* tile, const Parts& parts) {
  write_halves(tile, parts, &RowParts::d);
  write_halves(tile + 32, parts, &RowParts::dmin);
  SixBits both;
  for (std::size_t i = 0; i < 128; ++i) {
    both[i] = parts[i % 16].scale[i / 16];
    both[128 + i] = parts[i % 16].min[i / 16];
  }
  write_six_bits(tile + 64, both);
}
void read_q4_header(RowParts& out, const std::uint8_t* tile, int row) {
  read_half(tile, row, out.d);
  read_half(tile + 32, row, out.dmin);
  SixBits both;
  read_six_bits(both, tile + 64);
  for (std::size_t g = 0; g < 8; ++g) {
    out.scale[g] = both[16 * g + static_cast<std::size_t>(row)];
    out.min[g] = both[128 + 16 * g + static_cast<std::size_t>(row)];
  }
}

template <>
struct Format<quant::BlockQ4K> {
  static void write(std::uint8_t* tile, const Parts& parts, const Quads& quads) {
    write_q4_header(tile, parts);
    write_nibbles(tile + 256, quads);
  }
  static void read(RowParts& out, Quads& quads, const std::uint8_t* tile, int row) {
    read_q4_header(out, tile, row);
    read_nibbles(quads, tile + 256);
  }
};

template <>
struct Format<quant::BlockQ5K> {
  static void write(std::uint8_t* tile, const Parts& parts, const Quads& quads) {
    write_q4_header(tile, parts);
    write_nibbles(tile + 256, quads);
    write_bits(tile + 2304, quads, 4);
  }
  static void read(RowParts& out, Quads& quads, const std::uint8_t* tile, int row) {
    read_q4_header(out, tile, row);
    read_nibbles(quads, tile + 256);
    read_bits(quads, tile + 2304, 4);
  }
};

template <>
struct Format<quant::BlockQ6K> {
  static void write(std::uint8_t* tile, const Parts& parts, const Quads& quads) {
    write_halves(tile, parts, &RowParts::d);
    for (std::size_t g = 0; g < 16; ++g) {
      for (std::size_t r = 0; r < kRows; ++r) tile[32 + 16 * g + r] = parts[r].scale[g];
    }
    write_nibbles(tile + 288, quads);
    write_pairs(tile + 2336, quads, 4);
  }
  static void read(RowParts& out, Quads& quads, const std::uint8_t* tile, int row) {
    read_half(tile, row, out.d);
    for (std::size_t g = 0; g < 16; ++g) out.scale[g] = tile[32 + 16 * g + static_cast<std::size_t>(row)];
    read_nibbles(quads, tile + 288);
    read_pairs(quads, tile + 2336, 4);
  }
};

// One tile: the block `index` of 16 rows, of which `rows` are there.
template <typename Block>
void pack_block_tile(std::uint8_t* tile, const std::uint8_t* first, std::int64_t row_bytes, int rows, int index) {
  Parts parts{};
  Quads quads{};
  for (int r = 0; r < rows; ++r) {
    Block block;
    std::memcpy(&block, first + r * row_bytes + index * std::int64_t{sizeof(Block)}, sizeof block);
    RowParts& part = parts[static_cast<std::size_t>(r)];
    take_apart(part, block);
    for (int j = 0; j < kQuadCount; ++j) std::memcpy(quad(quads, j) + 4 * r, part.q.data() + 4 * j, 4);
  }
  Format<Block>::write(tile, parts, quads);
}

template <typename Block>
void unpack_block(std::uint8_t* out, const std::uint8_t* tile, int row) {
  Quads quads{};
  RowParts part{};
  Format<Block>::read(part, quads, tile, row);
  for (int j = 0; j < kQuadCount; ++j) std::memcpy(part.q.data() + 4 * j, quad(quads, j) + 4 * row, 4);
  Block block;
  put_together(block, part);
  std::memcpy(out, &block, sizeof block);
}

// Q8_0: eight blocks a tile, of which `blocks` are there.
void pack_q8_tile(std::uint8_t* tile, const std::uint8_t* first, std::int64_t row_bytes, int rows, int index,
                  int blocks) {
  std::fill_n(tile, 4352, std::uint8_t{0});
  for (int r = 0; r < rows; ++r) {
    for (int g = 0; g < blocks; ++g) {
      quant::BlockQ8_0 block;
      std::memcpy(&block, first + r * row_bytes + (8 * index + g) * std::int64_t{sizeof block}, sizeof block);
      std::memcpy(tile + 32 * g + 2 * r, &block.d, 2);
      for (int t = 0; t < 8; ++t) std::memcpy(tile + 256 + 64 * (8 * g + t) + 4 * r, block.q + 4 * t, 4);
    }
  }
}
void unpack_q8_block(std::uint8_t* out, const std::uint8_t* tile, int row, int group) {
  quant::BlockQ8_0 block;
  std::memcpy(&block.d, tile + 32 * group + 2 * row, 2);
  for (int t = 0; t < 8; ++t) std::memcpy(block.q + 4 * t, tile + 256 + 64 * (8 * group + t) + 4 * row, 4);
  std::memcpy(out, &block, sizeof block);
}

// Where element (row, column) of an unquantised tile lies.
std::int64_t float_offset(TensorType type, int row, int column) {
  if (type == TensorType::kF32) return (std::int64_t{column} * kRows + row) * 4;
  return std::int64_t{column / 2} * 64 + 4 * row + 2 * (column % 2);
}
void pack_float_tile(TensorType type, std::uint8_t* tile, const std::uint8_t* first, std::int64_t row_bytes, int rows,
                     int columns) {
  const std::size_t bytes = traits(type).block_bytes;
  std::fill_n(tile, tile_bytes(type), std::uint8_t{0});
  for (int r = 0; r < rows; ++r) {
    for (int c = 0; c < columns; ++c) {
      std::memcpy(tile + float_offset(type, r, c), first + r * row_bytes + c * static_cast<std::int64_t>(bytes), bytes);
    }
  }
}

int tile_count(std::int32_t columns) {
  return (columns + kColumns - 1) / kColumns;
}

void pack_tile(const PackSource& source, const std::uint8_t* first, int rows, int index, std::uint8_t* tile) {
  const int columns = std::min(source.columns - index * kColumns, kColumns);
  switch (source.type) {
    case TensorType::kQ2_K: return pack_block_tile<quant::BlockQ2K>(tile, first, source.row_bytes, rows, index);
    case TensorType::kQ3_K: return pack_block_tile<quant::BlockQ3K>(tile, first, source.row_bytes, rows, index);
    case TensorType::kQ4_K: return pack_block_tile<quant::BlockQ4K>(tile, first, source.row_bytes, rows, index);
    case TensorType::kQ5_K: return pack_block_tile<quant::BlockQ5K>(tile, first, source.row_bytes, rows, index);
    case TensorType::kQ6_K: return pack_block_tile<quant::BlockQ6K>(tile, first, source.row_bytes, rows, index);
    case TensorType::kQ8_0: return pack_q8_tile(tile, first, source.row_bytes, rows, index, columns / 32);
    case TensorType::kF32:
    case TensorType::kF16:
    case TensorType::kBF16: {
      const std::int64_t offset = std::int64_t{index} * kColumns * traits(source.type).block_bytes;
      return pack_float_tile(source.type, tile, first + offset, source.row_bytes, rows, columns);
    }
  }
}

}  // namespace

std::int64_t tile_bytes(TensorType type) {
  const TensorTypeTraits t = traits(type);
  return std::int64_t{kRows} * (kColumns / static_cast<std::int64_t>(t.block_elements)) * t.block_bytes;
}

std::int64_t packed_strip_bytes(TensorType type, std::int32_t columns) {
  return tile_count(columns) * tile_bytes(type);
}

std::int64_t packed_matrix_bytes(TensorType type, std::int32_t rows, std::int32_t columns) {
  return (rows + kTileRows - 1) / kTileRows * packed_strip_bytes(type, columns);
}

void pack_strips(const PackSource& source, std::int32_t strip_begin, std::int32_t strip_end, std::uint8_t* out) {
  for (std::int32_t strip = strip_begin; strip < strip_end; ++strip) {
    const std::uint8_t* first = source.data + std::int64_t{strip} * kRows * source.row_bytes;
    const int rows = std::min(source.rows - strip * kRows, kRows);
    for (int index = 0; index < tile_count(source.columns); ++index, out += tile_bytes(source.type)) {
      pack_tile(source, first, rows, index, out);
    }
  }
}

void unpack_row(TensorType type, const std::uint8_t* packed, std::int32_t row, std::int32_t columns,
                std::uint8_t* out) {
  const std::uint8_t* tile = packed + std::int64_t{row / kRows} * packed_strip_bytes(type, columns);
  const int r = row % kRows;
  const std::size_t block_bytes = traits(type).block_bytes;
  for (int index = 0; index < tile_count(columns); ++index, tile += tile_bytes(type)) {
    const int here = std::min(columns - index * kColumns, kColumns);
    switch (type) {
      case TensorType::kQ2_K: unpack_block<quant::BlockQ2K>(out, tile, r); break;
      case TensorType::kQ3_K: unpack_block<quant::BlockQ3K>(out, tile, r); break;
      case TensorType::kQ4_K: unpack_block<quant::BlockQ4K>(out, tile, r); break;
      case TensorType::kQ5_K: unpack_block<quant::BlockQ5K>(out, tile, r); break;
      case TensorType::kQ6_K: unpack_block<quant::BlockQ6K>(out, tile, r); break;
      case TensorType::kQ8_0:
        for (int g = 0; g < here / 32; ++g) unpack_q8_block(out + g * std::ptrdiff_t{34}, tile, r, g);
        break;
      case TensorType::kF32:
      case TensorType::kF16:
      case TensorType::kBF16:
        for (int c = 0; c < here; ++c) {
          std::memcpy(out + static_cast<std::size_t>(c) * block_bytes, tile + float_offset(type, r, c), block_bytes);
        }
        break;
    }
    out += static_cast<std::size_t>(here) / traits(type).block_elements * block_bytes;
  }
}

}  // namespace dormouse::kernels
