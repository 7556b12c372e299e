#include "catalog/pull_part.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>

namespace dormouse::catalog {
namespace {

// A piece is 16 MiB at least, a line 40 bytes at most: more than this is no journal of ours.
constexpr std::size_t kMaxJournalBytes = 4 << 20;
constexpr std::string_view kJournalBegin = "dormouse pull 1 ";
constexpr mode_t kMode = 0644;

std::string part_of(const std::string& path) {
  return path + ".part";
}
std::string journal_of(const std::string& path) {
  return path + ".part.ranges";
}

Status write_whole(int fd, std::string_view data, std::int64_t offset, const std::string& what) {
  while (!data.empty()) {
    const ssize_t n = ::pwrite(fd, data.data(), data.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(what, errno);
    if (n == 0) return errno_error(what, ENOSPC);
    data.remove_prefix(static_cast<std::size_t>(n));
    offset += n;
  }
  return {};
}

Result<std::string> read_whole(int fd, const std::string& what) {
  struct stat found {};
  if (::fstat(fd, &found) != 0) return errno_error(what, errno);
  std::string out(std::min(kMaxJournalBytes, static_cast<std::size_t>(found.st_size)), '\0');
  std::size_t size = 0;
  while (size < out.size()) {
    const ssize_t n = ::pread(fd, out.data() + size, out.size() - size, static_cast<off_t>(size));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(what, errno);
    if (n == 0) break;
    size += static_cast<std::size_t>(n);
  }
  out.resize(size);
  return out;
}

// "BEGIN END"
bool read_range(std::string_view line, ByteRange& out) {
  const char* const end = line.data() + line.size();
  const auto first = std::from_chars(line.data(), end, out.begin);
  if (first.ec != std::errc() || first.ptr == end || *first.ptr != ' ') return false;
  const auto second = std::from_chars(first.ptr + 1, end, out.end);
  return second.ec == std::errc() && second.ptr == end && out.begin >= 0 && out.begin < out.end;
}

std::string first_line(std::int64_t bytes, const std::string& sha256) {
  return fmt::format("{}{} {}\n", kJournalBegin, bytes, sha256);
}

}  // namespace

Result<PartFile> PartFile::open(const std::string& path, std::int64_t bytes, const std::string& sha256) {
  PartFile out;
  out.path_ = path;
  out.bytes_ = bytes;
  out.sha256_ = sha256;
  out.file_ = UniqueFd(::open(part_of(path).c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, kMode));
  if (!out.file_.is_open()) return errno_error(part_of(path), errno);
  if (::flock(out.file_.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return errno_error(part_of(path), errno);
    return make_error(Code::kAlreadyExists, fmt::format("{}: another pull is at it", part_of(path)));
  }
  out.journal_ = UniqueFd(::open(journal_of(path).c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, kMode));
  if (!out.journal_.is_open()) return errno_error(journal_of(path), errno);
  TRY_STATUS(out.read_journal());
  return out;
}

// A line that is cut off, or makes no sense, ends what is believed.
Status PartFile::read_journal() {
  TRY(const std::string text, read_whole(journal_.get(), journal_of(path_)));
  struct stat found {};
  if (::fstat(file_.get(), &found) != 0) return errno_error(part_of(path_), errno);
  const std::string first = first_line(bytes_, sha256_);
  if (!text.starts_with(first)) return restart();
  const std::string_view rest = believe(std::string_view(text).substr(first.size()), found.st_size);
  if (rest.empty()) return {};
  // Nothing is written: the disk may be full.
  const auto believed = static_cast<off_t>(text.size() - rest.size());
  return ::ftruncate(journal_.get(), believed) == 0 ? Status() : errno_error(journal_of(path_), errno);
}

std::string_view PartFile::believe(std::string_view lines, std::int64_t file_bytes) {
  for (std::size_t end = lines.find('\n'); end != std::string_view::npos; end = lines.find('\n')) {
    ByteRange range;
    if (!read_range(lines.substr(0, end), range) || range.end > bytes_ || range.end > file_bytes) break;
    add(range);
    lines.remove_prefix(end + 1);
  }
  return lines;
}

std::int64_t PartFile::kept_bytes(const std::string& path) {
  const UniqueFd journal(::open(journal_of(path).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  struct stat file {};
  if (!journal.is_open() || ::lstat(part_of(path).c_str(), &file) != 0 || !S_ISREG(file.st_mode)) return 0;
  const Result<std::string> text = read_whole(journal.get(), path);
  if (!text.has_value() || !text->starts_with(kJournalBegin)) return 0;
  const std::size_t end = text->find('\n');
  if (end == std::string::npos) return 0;
  PartFile part;
  part.bytes_ = file.st_size;
  static_cast<void>(part.believe(std::string_view(*text).substr(end + 1), file.st_size));
  return part.done_bytes();
}

Status PartFile::restart() {
  done_.clear();
  if (::ftruncate(file_.get(), 0) != 0) return errno_error(part_of(path_), errno);
  if (::ftruncate(journal_.get(), 0) != 0) return errno_error(journal_of(path_), errno);
  return write_whole(journal_.get(), first_line(bytes_, sha256_), 0, journal_of(path_));
}

void PartFile::add(ByteRange range) {
  std::vector<ByteRange> merged;
  for (const ByteRange& known : done_) {
    if (known.end < range.begin || range.end < known.begin) {
      merged.push_back(known);
    } else {
      range = {std::min(range.begin, known.begin), std::max(range.end, known.end)};
    }
  }
  const auto place = std::find_if(merged.begin(), merged.end(),
                                  [&range](const ByteRange& known) { return range.begin < known.begin; });
  merged.insert(place, range);
  done_ = std::move(merged);
}

std::vector<ByteRange> PartFile::missing(std::int64_t most) const {
  std::vector<ByteRange> out;
  std::int64_t at = 0;
  const auto cut = [&out, &at, most](std::int64_t end) {
    for (; at < end; at = out.back().end) out.push_back({at, std::min(end, at + most)});
  };
  for (const ByteRange& range : done_) {
    cut(range.begin);
    at = range.end;
  }
  cut(bytes_);
  return out;
}

std::int64_t PartFile::done_bytes() const {
  std::int64_t out = 0;
  for (const ByteRange& range : done_) out += range.size();
  return out;
}

Status PartFile::write(std::int64_t offset, std::string_view data) {
  return write_whole(file_.get(), data, offset, part_of(path_));
}

Status PartFile::mark(ByteRange range) {
  if (range.size() <= 0) return {};
  if (::fdatasync(file_.get()) != 0) return errno_error(part_of(path_), errno);
  add(range);
  const off_t end = ::lseek(journal_.get(), 0, SEEK_END);
  if (end < 0) return errno_error(journal_of(path_), errno);
  return write_whole(journal_.get(), fmt::format("{} {}\n", range.begin, range.end), end, journal_of(path_));
}

Status PartFile::finish() {
  if (::fsync(file_.get()) != 0) return errno_error(part_of(path_), errno);
  if (::rename(part_of(path_).c_str(), path_.c_str()) != 0) return errno_error(path_, errno);
  ::unlink(journal_of(path_).c_str());
  const std::string folder = std::filesystem::path(path_).parent_path().string();
  const UniqueFd directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.is_open() || ::fsync(directory.get()) != 0) return errno_error(folder, errno);
  return {};
}

void PartFile::discard() {
  ::unlink(part_of(path_).c_str());
  ::unlink(journal_of(path_).c_str());
}

}  // namespace dormouse::catalog
