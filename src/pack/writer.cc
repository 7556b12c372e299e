#include <fcntl.h>
#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/unique_fd.h"
#include "kernels/layout.h"
#include "pack/checksum.h"
#include "pack/packed_file.h"
#include "pack/plan.h"

namespace dormouse::pack {
namespace {

// Strips of one task: 64 rows x 2,560 columns of Q4_K are 92 KiB, about 0.1 ms.
constexpr std::int32_t kStripsPerTask = 4;

std::uint64_t round_up(std::uint64_t value, std::uint64_t to) {
  return (value + to - 1) / to * to;
}

std::vector<Entry> make_directory(const gguf::File& source, std::uint64_t data_offset) {
  std::vector<Entry> out;
  std::uint64_t offset = data_offset;
  for (const std::uint32_t index : execution_order(source)) {
    const gguf::TensorInfo& tensor = source.tensors()[index];
    Entry entry{};
    entry.source_index = index;
    entry.type = static_cast<std::uint32_t>(tensor.type);
    entry.rows = static_cast<std::int32_t>(tensor.rows());
    entry.columns = static_cast<std::int32_t>(tensor.row_length());
    entry.bytes = static_cast<std::uint64_t>(kernels::packed_matrix_bytes(tensor.type, entry.rows, entry.columns));
    entry.offset = offset;
    offset += round_up(entry.bytes, kMatrixAlignment);
    out.push_back(entry);
  }
  return out;
}

Status write_all(int fd, std::span<const std::uint8_t> bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == ENOSPC) return make_error(Code::kOverloaded, "packed weights: the disk is full");
    if (written <= 0) return errno_error("packed weights: write", errno);
    offset += static_cast<std::uint64_t>(written);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

// Writes one matrix after the other, and the tables, in pieces that begin and end at multiples of 8 MiB: the file
// system then keeps all of them in pages of 2 MiB, which can be mapped as such. Written matrix by matrix only a third
// was.
class PieceWriter {
 public:
  // offset: where the first byte goes.
  PieceWriter(int fd, std::uint64_t offset) : fd_(fd), offset_(offset) { piece_.reserve(kPiece); }
  Status append(std::span<const std::uint8_t> bytes) {
    while (!bytes.empty()) {
      const std::size_t room = kPiece - static_cast<std::size_t>((offset_ + piece_.size()) % kPiece);
      const std::size_t count = std::min(room, bytes.size());
      piece_.insert(piece_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(count));
      bytes = bytes.subspan(count);
      if (count == room) TRY_STATUS(flush());
    }
    return {};
  }
  Status flush() {
    TRY_STATUS(write_all(fd_, piece_, offset_));
    offset_ += piece_.size();
    piece_.clear();
    return {};
  }

 private:
  static constexpr std::size_t kPiece = 8U << 20;
  int fd_;
  std::uint64_t offset_;
  std::vector<std::uint8_t> piece_;
};

void pack_matrix(const gguf::File& source, const Entry& entry, const Parallel& parallel, std::uint8_t* out) {
  const gguf::TensorInfo& tensor = source.tensors()[entry.source_index];
  const kernels::PackSource from{.type = tensor.type,
                                 .data = source.data(tensor).data(),
                                 .row_bytes = static_cast<std::int64_t>(tensor.bytes / tensor.rows()),
                                 .rows = entry.rows,
                                 .columns = entry.columns};
  const std::int32_t strips = (entry.rows + kernels::kTileRows - 1) / kernels::kTileRows;
  const std::int64_t strip_bytes = kernels::packed_strip_bytes(tensor.type, entry.columns);
  parallel((strips + kStripsPerTask - 1) / kStripsPerTask, [&](std::int32_t task) {
    const std::int32_t begin = task * kStripsPerTask;
    kernels::pack_strips(from, begin, std::min(begin + kStripsPerTask, strips), out + begin * strip_bytes);
  });
}

std::string folder_of(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

Status check_room(const std::string& path, std::uint64_t bytes) {
  struct statvfs room {};
  const std::string folder = folder_of(path);
  if (::statvfs(folder.c_str(), &room) != 0) return errno_error(folder, errno);
  const std::uint64_t free = std::uint64_t{room.f_bavail} * room.f_frsize;
  if (free >= bytes) return {};
  return make_error(Code::kOverloaded, fmt::format("packed weights: {:.1f} GB are needed, {:.1f} GB are free",
                                                   static_cast<double>(bytes) / 1e9, static_cast<double>(free) / 1e9));
}

Header make_header(const gguf::File& source, std::span<const Entry> entries, std::span<const std::uint8_t> tables,
                   std::uint64_t data_offset) {
  Header header{};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  header.layout_version = kLayoutVersion;
  header.entry_count = static_cast<std::uint32_t>(entries.size());
  const MappedFile::Identity identity =
      source.mapping() != nullptr ? source.mapping()->identity() : MappedFile::Identity{0, source.bytes().size(), 0};
  header.source_inode = identity.inode;
  header.source_bytes = identity.size;
  header.source_mtime_ns = identity.mtime_ns;
  header.source_header_checksum = source_header_checksum(source);
  header.data_offset = data_offset;
  header.tables_offset =
      entries.empty() ? data_offset : entries.back().offset + round_up(entries.back().bytes, kMatrixAlignment);
  header.tables_bytes = tables.size();
  header.tables_checksum = checksum(tables);
  header.file_bytes = header.tables_offset + round_up(tables.size(), kMatrixAlignment);
  return header;
}

Status write_contents(int fd, const gguf::File& source, std::span<const std::uint8_t> tables, const Parallel& parallel,
                      const PackProgress& progress, Header& header, std::vector<Entry>& entries) {
  std::vector<std::uint8_t> buffer;
  std::uint64_t done = 0;
  PieceWriter writer(fd, header.data_offset);
  for (Entry& entry : entries) {
    buffer.assign(round_up(entry.bytes, kMatrixAlignment), 0);
    pack_matrix(source, entry, parallel, buffer.data());
    entry.checksum = checksum(std::span(buffer).first(entry.bytes));
    TRY_STATUS(writer.append(buffer));
    done += buffer.size();
    if (progress && !progress(done, header.tables_offset - header.data_offset)) {
      return make_error(Code::kCancelled, "packed weights: stopped");
    }
  }
  buffer.assign(header.file_bytes - header.tables_offset, 0);
  std::copy(tables.begin(), tables.end(), buffer.begin());
  TRY_STATUS(writer.append(buffer));
  TRY_STATUS(writer.flush());
  const std::span directory(reinterpret_cast<const std::uint8_t*>(entries.data()), entries.size() * sizeof(Entry));
  header.directory_checksum = checksum(directory);
  header.header_checksum = 0;
  header.header_checksum = checksum({reinterpret_cast<const std::uint8_t*>(&header), sizeof header});
  TRY_STATUS(write_all(fd, directory, kHeaderBytes));
  TRY_STATUS(write_all(fd, {reinterpret_cast<const std::uint8_t*>(&header), sizeof header}, 0));
  if (::fsync(fd) != 0) return errno_error("packed weights: fsync", errno);
  return {};
}

// A file that has no name until it is whole, so that a process killed while it packs leaves nothing. Where the file
// system cannot do that, a name that no other process uses, removed again on every path but a kill.
class PartialFile {
 public:
  static Result<PartialFile> create(const std::string& path) {
    PartialFile out;
    out.path_ = path;
    out.name_ = fmt::format("{}.{}.tmp", path, random_hex(8));
    out.fd_ = UniqueFd(::open(folder_of(path).c_str(), O_RDWR | O_TMPFILE | O_CLOEXEC, 0644));
    if (out.fd_.is_open()) return out;
    out.fd_ = UniqueFd(::open(out.name_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    if (!out.fd_.is_open()) return errno_error(out.name_, errno);
    out.has_name_ = true;
    return out;
  }
  PartialFile(PartialFile&& other) noexcept
      : path_(std::move(other.path_)),
        name_(std::move(other.name_)),
        fd_(std::move(other.fd_)),
        has_name_(std::exchange(other.has_name_, false)) {}
  PartialFile& operator=(PartialFile&&) = delete;
  ~PartialFile() {
    if (has_name_) ::unlink(name_.c_str());
  }

  [[nodiscard]] int fd() const { return fd_.get(); }
  // To its final name, in place of what was there.
  Status publish() {
    if (!has_name_) {
      const std::string self = fmt::format("/proc/self/fd/{}", fd_.get());
      if (::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, name_.c_str(), AT_SYMLINK_FOLLOW) != 0) {
        return errno_error(name_, errno);
      }
      has_name_ = true;
    }
    ::unlink((path_ + ".verified").c_str());  // said of the file that this one replaces
    if (std::rename(name_.c_str(), path_.c_str()) != 0) return errno_error(path_, errno);
    has_name_ = false;
    const UniqueFd directory(::open(folder_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (directory.is_open()) ::fsync(directory.get());
    return {};
  }

 private:
  PartialFile() = default;
  std::string path_;
  std::string name_;
  UniqueFd fd_;
  bool has_name_ = false;
};

}  // namespace

Status write_packed(const gguf::File& source, std::span<const std::uint8_t> tokenizer_tables, const std::string& path,
                    const Parallel& parallel, const PackProgress& progress) {
  const std::size_t count = execution_order(source).size();
  const std::uint64_t data_offset = round_up(kHeaderBytes + count * sizeof(Entry), kDataAlignment);
  std::vector<Entry> entries = make_directory(source, data_offset);
  Header header = make_header(source, entries, tokenizer_tables, data_offset);
  TRY_STATUS(check_room(path, header.file_bytes));
  TRY(PartialFile partial, PartialFile::create(path));
  TRY_STATUS(write_contents(partial.fd(), source, tokenizer_tables, parallel, progress, header, entries));
  return partial.publish();
}

}  // namespace dormouse::pack
