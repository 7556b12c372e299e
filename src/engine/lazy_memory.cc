#include "engine/lazy_memory.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

namespace dormouse::engine {

Result<LazyMemory> LazyMemory::reserve(std::uint64_t bytes, Pages pages) {
  LazyMemory out;
  if (bytes == 0) return out;
  void* data = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED) {
    return make_error(Code::kOverloaded,
                      "memory: cannot reserve " + std::to_string(bytes) + " bytes: " + std::strerror(errno));
  }
  if (pages == Pages::kHuge) ::madvise(data, bytes, MADV_HUGEPAGE);
  out.data_ = static_cast<std::uint8_t*>(data);
  out.bytes_ = bytes;
  return out;
}

LazyMemory::LazyMemory(LazyMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

LazyMemory& LazyMemory::operator=(LazyMemory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

LazyMemory::~LazyMemory() {
  if (data_ != nullptr) ::munmap(data_, bytes_);
}

void LazyMemory::drop() const {
  if (data_ != nullptr) ::madvise(data_, bytes_, MADV_DONTNEED);
}

}  // namespace dormouse::engine
