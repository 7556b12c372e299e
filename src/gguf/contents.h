// What a GGUF file says, checked: the parser behind gguf::File. Internal to src/gguf.
// Invariants of what parse_contents returns: those of gguf::File (file.h).
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gguf/file.h"
#include "gguf/format.h"

namespace dormouse::gguf {

struct Entry {
  std::string_view key;
  ValueType type = ValueType::kUint8;
  // The value as it lies in the file; for an array from its element type on, for a string from its length on.
  std::span<const std::uint8_t> payload;
  // Arrays only:
  ValueType element_type = ValueType::kUint8;
  std::uint64_t count = 0;
  std::span<const std::uint8_t> elements;   // arrays of scalars
  std::vector<std::string_view> strings;    // arrays of strings
};

struct Contents {
  std::uint32_t version = 0;
  std::uint64_t alignment = kAlignmentDefault;
  std::uint64_t data_offset = 0;
  std::vector<Entry> entries;                    // file order
  std::vector<std::uint32_t> entries_by_key;     // sorted
  std::vector<TensorInfo> tensors;               // file order
  std::vector<std::uint32_t> tensors_by_name;    // sorted

  [[nodiscard]] const Entry* find_entry(std::string_view key) const;
  [[nodiscard]] const TensorInfo* find_tensor(std::string_view name) const;
};

// Cost: one pass; a 151,936-token vocabulary with its merges takes about 2 ms.
// `bytes` may be the beginning of a file of file_bytes, if the metadata lies in it: so the writer checks its header.
[[nodiscard]] Result<Contents> parse_contents(std::span<const std::uint8_t> bytes, std::uint64_t file_bytes);

// Strict UTF-8 (no overlong forms, no surrogates) without control characters: what may appear in a log line.
[[nodiscard]] bool is_printable_utf8(std::string_view text);

}  // namespace dormouse::gguf
