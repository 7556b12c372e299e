#include "base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/unique_fd.h"

namespace dormouse {

namespace {

// Maps the file at a 2 MiB border: a reservation large enough holds one, and the file is mapped over it.
void* map_huge(std::size_t size, int fd) {
  constexpr std::size_t kHuge = 2U << 20;
  const std::size_t reserved = size + kHuge;
  void* whole = ::mmap(nullptr, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (whole == MAP_FAILED) return MAP_FAILED;
  auto* const begin = static_cast<std::uint8_t*>(whole);
  const std::size_t lead = (kHuge - reinterpret_cast<std::uintptr_t>(begin) % kHuge) % kHuge;
  void* data = ::mmap(begin + lead, size, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0);
  if (data == MAP_FAILED) {
    ::munmap(whole, reserved);
    return MAP_FAILED;
  }
  // What is left of the reservation before and after, in whole pages.
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const std::size_t end = lead + (size + page - 1) / page * page;
  if (lead > 0) ::munmap(begin, lead);
  if (end < reserved) ::munmap(begin + end, reserved - end);
  ::madvise(data, size, MADV_HUGEPAGE);
  return data;
}

struct PageRange {
  std::size_t begin = 0;  // of a page
  std::size_t end = 0;
};

PageRange pages_of(std::size_t offset, std::size_t length, std::size_t file_size) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return {offset / page * page, length > file_size - offset ? file_size : offset + length};
}

}  // namespace

Result<MappedFile> MappedFile::open(const std::string& path, Pages pages) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.is_open()) return errno_error(path, errno);
  struct stat st {};
  if (::fstat(fd.get(), &st) != 0) return errno_error(path, errno);
  if (!S_ISREG(st.st_mode)) return make_error(Code::kInvalidArgument, path + ": not a regular file");
  if (st.st_size <= 0) return make_error(Code::kInvalidArgument, path + ": empty file");
  const auto size = static_cast<std::size_t>(st.st_size);
  void* data =
      pages == Pages::kHuge ? map_huge(size, fd.get()) : ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd.get(), 0);
  if (data == MAP_FAILED) return errno_error(path, errno);
  MappedFile out;
  out.data_ = static_cast<const std::uint8_t*>(data);
  out.size_ = size;
  out.identity_ = {st.st_ino, static_cast<std::uint64_t>(st.st_size),
                   std::int64_t{st.st_mtim.tv_sec} * 1'000'000'000 + st.st_mtim.tv_nsec};
  return out;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)), identity_(other.identity_) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(identity_, other.identity_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::uint8_t*>(data_), size_);
}

void MappedFile::populate(std::size_t offset, std::size_t length) const {
  if (offset >= size_) return;
  const auto [begin, end] = pages_of(offset, length, size_);
  constexpr int kPopulateRead = 22;  // MADV_POPULATE_READ, Linux 5.14; Debian 12's headers lack the name in places
  if (::madvise(const_cast<std::uint8_t*>(data_) + begin, end - begin, kPopulateRead) == 0) return;
  ::madvise(const_cast<std::uint8_t*>(data_) + begin, end - begin, MADV_WILLNEED);
}

void MappedFile::release(std::size_t offset, std::size_t length) const {
  if (offset >= size_) return;
  const auto [begin, end] = pages_of(offset, length, size_);
  ::madvise(const_cast<std::uint8_t*>(data_) + begin, end - begin, MADV_DONTNEED);
}

}  // namespace dormouse
