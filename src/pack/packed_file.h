// A packed weights file (docs/packed_weights.md): matrices in the kernels' order, used where they lie in the page
// cache, and the tokenizer's tables. Owner: the engine. Threads: const from any. Invariants of an open PackedFile: (1)
// it belongs to the source it was opened for: inode, size, mtime and header checksum agree; (2) every entry lies in the
// file, on a page of its own, with the bytes its type and shape need; (3) the tables lie in the file, on a page of
// their own.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "base/result.h"
#include "gguf/file.h"
#include "pack/format.h"

namespace dormouse::pack {

class PackedFile {
 public:
  // Errors: kNotFound (no file), kDataLoss (stale, short, damaged: the message says which).
  static Result<PackedFile> open(const std::string& path, const gguf::File& source);
  // The same of bytes that outlive it: the fuzz target's door.
  static Result<PackedFile> parse(std::span<const std::uint8_t> bytes, const gguf::File& source);

  [[nodiscard]] std::span<const Entry> entries() const { return entries_; }
  [[nodiscard]] std::span<const std::uint8_t> data(const Entry& entry) const {
    return bytes_.subspan(entry.offset, entry.bytes);
  }
  // What write_packed() was given, for text::Tokenizer::from_flat; empty: nothing. Not looked into before verify().
  [[nodiscard]] std::span<const std::uint8_t> tokenizer_tables() const { return tables_; }
  [[nodiscard]] const std::string& path() const { return path_; }  // empty when parsed from memory
  [[nodiscard]] std::uint64_t data_offset() const { return data_offset_; }
  [[nodiscard]] const MappedFile* mapping() const { return mapping_.empty() ? nullptr : mapping_.data(); }
  // Reads everything. Cost: the time to read the file; give it a thread of its own. Errors: kDataLoss (what).
  [[nodiscard]] Status verify(const std::function<bool()>& is_cancelled) const;

 private:
  PackedFile() = default;
  std::vector<MappedFile> mapping_;  // one, or none when parsed from memory
  std::string path_;
  std::span<const std::uint8_t> bytes_;
  std::vector<Entry> entries_;
  std::span<const std::uint8_t> tables_;
  std::uint64_t tables_checksum_ = 0;
  std::uint64_t data_offset_ = 0;
};

// Where the pack of a source lies: its file name, its inode and the layout's version, in `directory` (empty: beside the
// source).
[[nodiscard]] std::string packed_path(const std::string& source_path, const std::string& directory,
                                      std::uint64_t inode);
// Deletes what programs with older layouts packed of this source: each is as large as the new one. A process that has
// one mapped keeps it.
void remove_older_versions(const std::string& source_path, const std::string& directory, std::uint64_t inode);

// Runs task(i) for i in [0, count), at once where it can.
using Parallel = std::function<void(std::int32_t count, const std::function<void(std::int32_t)>& task)>;
// What is done so far; false stops.
using PackProgress = std::function<bool(std::uint64_t bytes_done, std::uint64_t bytes)>;

// Packs `source` and its tokenizer's tables (text::Tokenizer::flat; may be empty) into `path`, whole or not at all
// (written beside, synced, renamed). Memory: one matrix. Errors: kOverloaded (the disk has not enough room: says how
// much), kPermissionDenied, kCancelled, kInternal.
Status write_packed(const gguf::File& source, std::span<const std::uint8_t> tokenizer_tables, const std::string& path,
                    const Parallel& parallel, const PackProgress& progress);

}  // namespace dormouse::pack
