// The packed weights file on disk: little endian, plain structs, docs/packed_weights.md. Everything read from a file is
// checked by packed_file.cc before it is used; what does not add up is "no pack", and a new one is made.
//   [0, 4096)    Header
//   [4096, ...)  Directory: one Entry a matrix, in the order of the matrices in the file
//   [data_offset, ...)  the matrices, in execution order, each on a page of its own; data_offset is a multiple of 2 MiB
//   [tables_offset, file_bytes)  the tokenizer's tables, on pages of their own: bytes that only text/ understands
#pragma once

#include <cstdint>

namespace dormouse::pack {

inline constexpr char kMagic[8] = {'D', 'O', 'R', 'M', 'P', 'A', 'C', 'K'};
// Goes up whenever kernels/layout.h, text/flat_tables.h or this page changes: an old file is then simply not found.
inline constexpr std::uint32_t kLayoutVersion = 2;
inline constexpr std::uint64_t kHeaderBytes = 4096;
inline constexpr std::uint64_t kMatrixAlignment = 4096;
inline constexpr std::uint64_t kDataAlignment = 2U << 20;  // huge pages of the page cache can back it
inline constexpr std::uint32_t kMaxEntries = 1U << 16;

struct Header {
  char magic[8];
  std::uint32_t layout_version;
  std::uint32_t entry_count;
  // The source: what tells one model file from its replacement, and a checksum of its header (at most 1 MiB of it).
  std::uint64_t source_inode;
  std::uint64_t source_bytes;
  std::int64_t source_mtime_ns;
  std::uint64_t source_header_checksum;
  std::uint64_t data_offset;
  std::uint64_t file_bytes;
  std::uint64_t tables_offset;
  std::uint64_t tables_bytes;  // 0: none
  std::uint64_t tables_checksum;
  std::uint64_t directory_checksum;
  std::uint64_t header_checksum;  // of everything above
};
static_assert(sizeof(Header) == 104);

struct Entry {
  std::uint32_t source_index;  // of the tensor in the source file
  std::uint32_t type;          // TensorType
  std::int32_t rows;
  std::int32_t columns;
  std::uint64_t offset;  // from the start of the file
  std::uint64_t bytes;
  std::uint64_t checksum;
};
static_assert(sizeof(Entry) == 40);

}  // namespace dormouse::pack
