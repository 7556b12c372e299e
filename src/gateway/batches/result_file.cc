#include "gateway/batches/result_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <string_view>

#include "base/log.h"
#include "base/unique_fd.h"
#include "gateway/batches/batch.h"
#include "gateway/batches/file_store.h"

namespace dormouse::gateway {
namespace {

constexpr mode_t kOwnerOnly = 0600;

// The file's whole lines and what they are about; nothing where there is no file. Returns the bytes up to the end of
// the last: what follows was torn by a crash.
std::size_t each_result(std::string_view text,
                        const std::function<void(const ResultNames& names, std::string_view line)>& visit) {
  std::size_t begin = 0;
  for (std::size_t end = text.find('\n'); end != std::string_view::npos; end = text.find('\n', begin)) {
    const std::optional<ResultNames> names = names_of(text.substr(begin, end - begin));
    if (!names.has_value()) break;
    visit(*names, text.substr(begin, end + 1 - begin));
    begin = end + 1;
  }
  return begin;
}

}  // namespace

Status read_results(const std::string& path, std::set<std::string>& done, std::int64_t& count) {
  const Result<std::string> text = read_whole(path);
  if (!text.has_value()) return text.error().code == Code::kNotFound ? Status() : Status(text.error());
  const std::size_t begin = each_result(*text, [&](const ResultNames& names, std::string_view) {
    if (done.insert(names.custom_id).second) ++count;
  });
  if (begin == text->size()) return {};
  log_warn("event=batch_results_torn path={} bytes={}", path, text->size() - begin);
  if (::truncate(path.c_str(), static_cast<off_t>(begin)) != 0) {
    return make_error(Code::kUnavailable, fmt::format("truncate {}: {}", path, std::strerror(errno)));
  }
  return {};
}

Status drop_results(const std::string& path, const std::set<std::string>& request_ids) {
  const Result<std::string> text = read_whole(path);
  if (!text.has_value()) return text.error().code == Code::kNotFound ? Status() : Status(text.error());
  std::string kept;
  std::int64_t dropped = 0;
  each_result(*text, [&](const ResultNames& names, std::string_view line) {
    if (request_ids.contains(names.request_id)) {
      ++dropped;
    } else {
      kept += line;
    }
  });
  if (dropped == 0) return {};
  log_info("event=batch_results_unpaid path={} lines={}", path, dropped);
  return write_durably(path, kept);
}

Status append_durably(const std::string& path, const std::string& line) {
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, kOwnerOnly));
  if (!fd.is_open()) return make_error(Code::kUnavailable, fmt::format("open {}: {}", path, std::strerror(errno)));
  struct stat before {};
  const bool known = ::fstat(fd.get(), &before) == 0;
  const ssize_t written = ::write(fd.get(), line.data(), line.size());
  if (written == static_cast<ssize_t>(line.size()) && ::fsync(fd.get()) == 0) return {};
  const int error = errno;
  // Half a line must not be followed by another one.
  if (known && ::ftruncate(fd.get(), before.st_size) != 0) log_warn("event=batch_results_torn path={}", path);
  return make_error(Code::kUnavailable, fmt::format("write {}: {}", path, std::strerror(error)));
}

}  // namespace dormouse::gateway
