// A file mapped read-only, for as long as the object lives. Zero copy: the kernel's page cache is the memory.
// A file that shrinks under a mapping raises SIGBUS on access; model files are replaced by rename, never in place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"

namespace dormouse {

class MappedFile {
 public:
  // Errors: kNotFound, kPermissionDenied, kInvalidArgument (not a regular file or empty).
  // kHuge: at a 2 MiB border, with a request for huge pages of the page cache (Linux with large folios): 2.5 GB are
  // then 1,200 page table entries instead of 610,000. A hint; elsewhere it changes nothing.
  enum class Pages { kSmall, kHuge };
  static Result<MappedFile> open(const std::string& path, Pages pages = Pages::kSmall);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  [[nodiscard]] std::span<const std::uint8_t> bytes() const { return {data_, size_}; }
  // Faults the pages of [offset, offset+length) in now (MADV_POPULATE_READ), from the calling thread. A kernel without
  // it (< 5.14) makes this a hint. Never fails: the pages come at first touch otherwise.
  void populate(std::size_t offset, std::size_t length) const;
  // Takes the pages of [offset, offset+length) out of this process's memory; they stay in the page cache while there is
  // room, and come back at the next touch. For whoever reads a large file once.
  void release(std::size_t offset, std::size_t length) const;
  // inode, size, mtime: what tells one file from its replacement.
  struct Identity {
    std::uint64_t inode = 0;
    std::uint64_t size = 0;
    std::int64_t mtime_ns = 0;
    friend bool operator==(const Identity&, const Identity&) = default;
  };
  [[nodiscard]] Identity identity() const { return identity_; }

 private:
  MappedFile() = default;
  const std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
  Identity identity_;
};

}  // namespace dormouse
