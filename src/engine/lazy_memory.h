// A private anonymous mapping, zeroed, page-aligned, reserved now and paid for at first touch. Scratch buffers and the
// KV cache live in such mappings: their worst case is address space, not memory. Owner: one object; threads: any for
// the bytes, one for drop().
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/result.h"

namespace dormouse::engine {

class LazyMemory {
 public:
  LazyMemory() = default;
  // Errors: kOverloaded (the address space or an rlimit refuses; the message says how many bytes).
  // kHuge asks for 2 MiB pages (a hint): fewer TLB misses over a large walk, but 2 MiB zeroed at each first touch.
  enum class Pages { kSmall, kHuge };
  static Result<LazyMemory> reserve(std::uint64_t bytes, Pages pages);

  LazyMemory(LazyMemory&& other) noexcept;
  LazyMemory& operator=(LazyMemory&& other) noexcept;
  LazyMemory(const LazyMemory&) = delete;
  LazyMemory& operator=(const LazyMemory&) = delete;
  ~LazyMemory();

  [[nodiscard]] std::uint8_t* data() const { return data_; }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  // Gives the pages back to the system; they read as zero afterwards.
  void drop() const;

 private:
  std::uint8_t* data_ = nullptr;
  std::uint64_t bytes_ = 0;
};

}  // namespace dormouse::engine
