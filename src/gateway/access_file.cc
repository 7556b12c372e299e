#include "gateway/access_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <optional>
#include <utility>
#include <vector>

namespace dormouse::gateway {
namespace {

struct Found {
  std::string path;
  std::uint64_t inode = 0;
  std::int64_t bytes = 0;
  std::int64_t changed_us = 0;
};

struct Cursor {
  std::uint64_t inode = 0;
  std::int64_t offset = 0;
};

std::optional<Cursor> parse_cursor(const std::string& text) {
  Cursor out;
  const char* const end = text.data() + text.size();
  const auto [middle, ec] = std::from_chars(text.data(), end, out.inode);
  if (ec != std::errc() || middle == end || *middle != ':') return std::nullopt;
  const auto [last, second] = std::from_chars(middle + 1, end, out.offset);
  if (second != std::errc() || last != end || out.offset < 0) return std::nullopt;
  return out;
}

std::string cursor_text(const Found& file, std::int64_t offset) {
  return fmt::format("{}:{}", file.inode, offset);
}

std::string read_at(const Found& file, std::int64_t offset, std::int64_t bytes) {
  std::string out(static_cast<std::size_t>(bytes), '\0');
  const UniqueFd fd(::open(file.path.c_str(), O_RDONLY | O_CLOEXEC));
  const ssize_t got = fd.is_open() ? ::pread(fd.get(), out.data(), out.size(), offset) : 0;
  out.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return out;
}

std::string lines_since(std::string_view text, WallTime since) {
  std::string out;
  while (!text.empty()) {
    const std::size_t end = text.find('\n') + 1;
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end);
    if (!line.starts_with(kAccessLineBegin)) continue;  // the rest of one that a full disk cut off
    std::int64_t us = 0;
    std::from_chars(line.data() + kAccessLineBegin.size(), line.data() + line.size(), us);
    if (us >= since.us) out += line;
  }
  return out;
}

}  // namespace

AccessFile::AccessFile(std::string directory, AccessFileLimits limits)
    : directory_(std::move(directory)), limits_(limits) {
  open();
}

std::string AccessFile::path(int index) const {
  return index == 0 ? directory_ + "/access.jsonl" : fmt::format("{}/access.jsonl.{}", directory_, index);
}

void AccessFile::open() {
  fd_ = UniqueFd(::open(path(0).c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600));
  struct stat now {};
  bytes_ = fd_.is_open() && ::fstat(fd_.get(), &now) == 0 ? now.st_size : 0;
}

void AccessFile::rotate() {
  fd_ = UniqueFd();
  for (int i = limits_.files - 1; i > 0; --i) {
    static_cast<void>(std::rename(path(i - 1).c_str(), path(i).c_str()));  // fails for those that are not there yet
  }
  if (limits_.files == 1) ::unlink(path(0).c_str());
  open();
}

void AccessFile::append(std::string_view line) {
  const std::string text = fmt::format("{}\n", line);
  if (bytes_ > 0 && bytes_ + static_cast<std::int64_t>(text.size()) > limits_.file_bytes) rotate();
  if (!fd_.is_open()) open();
  const ssize_t written = fd_.is_open() ? ::write(fd_.get(), text.data(), text.size()) : -1;
  if (written > 0) bytes_ += written;
  if (written == static_cast<ssize_t>(text.size())) return;
  ++lost_;
  // What was cut off ends here, so that the next line is whole.
  if (written > 0 && ::write(fd_.get(), "\n", 1) == 1) ++bytes_;
}

Result<AccessFile::Page> AccessFile::read(WallTime since, const std::string& cursor, std::int64_t max_bytes) const {
  std::vector<Found> files;  // oldest first
  for (int i = limits_.files - 1; i >= 0; --i) {
    struct stat now {};
    if (::stat(path(i).c_str(), &now) != 0) continue;
    files.push_back(
        {path(i), now.st_ino, now.st_size, std::int64_t{now.st_mtim.tv_sec} * 1'000'000 + now.st_mtim.tv_nsec / 1'000});
  }
  std::size_t at = 0;
  std::int64_t offset = 0;
  if (!cursor.empty()) {
    const std::optional<Cursor> from = parse_cursor(cursor);
    if (!from.has_value()) return make_error(Code::kInvalidArgument, "cursor: not one of ours");
    while (at < files.size() && files[at].inode != from->inode) ++at;
    if (at < files.size()) offset = from->offset;
    if (at == files.size()) at = 0;  // dropped meanwhile: what is left is newer
  } else {
    while (at < files.size() && files[at].changed_us < since.us) ++at;
  }
  Page out;
  if (at >= files.size()) return out;
  std::string text = read_at(files[at], offset, max_bytes);
  const bool is_end = offset + static_cast<std::int64_t>(text.size()) >= files[at].bytes;
  const std::size_t whole = text.rfind('\n');
  // A piece without a newline is no line of ours; at the end it is one that is being written.
  if (whole != std::string::npos) text.resize(whole + 1);
  offset += static_cast<std::int64_t>(text.size());
  if (whole == std::string::npos) text.clear();
  out.lines = lines_since(text, since);
  if (!is_end) {
    out.cursor = cursor_text(files[at], offset);
  } else if (at + 1 < files.size()) {
    out.cursor = cursor_text(files[at + 1], 0);
  }
  return out;
}

}  // namespace dormouse::gateway
