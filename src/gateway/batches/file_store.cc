#include "gateway/batches/file_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <boost/json.hpp>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "api/fields.h"
#include "api/strict_json.h"
#include "base/log.h"
#include "base/unique_fd.h"

namespace dormouse::gateway {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

constexpr mode_t kOwnerOnly = 0600;

Error failed(std::string_view what, const std::string& path) {
  return make_error(errno == ENOENT ? Code::kNotFound : Code::kUnavailable,
                    fmt::format("{} {}: {}", what, path, std::strerror(errno)));
}

Status write_all(int fd, std::string_view content, const std::string& path) {
  while (!content.empty()) {
    const ssize_t written = ::write(fd, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return failed("write", path);
    content.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

Status sync_directory_of(const std::string& path) {
  const std::string directory = path.substr(0, path.find_last_of('/'));
  const UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.is_open() || ::fsync(fd.get()) != 0) return failed("fsync", directory);
  return {};
}

std::string record_of(const StoredFile& file) {
  return json::serialize(json::value{{"id", file.id},
                                     {"owner", file.owner},
                                     {"filename", file.filename},
                                     {"purpose", file.purpose},
                                     {"bytes", file.bytes},
                                     {"created_s", file.created_s},
                                     {"expires_s", file.expires_s}});
}

std::optional<StoredFile> file_from_record(std::string_view text) {
  const api::ApiResult<json::value> value = api::parse_strict_json(text);
  if (!value.has_value() || !value->is_object()) return std::nullopt;
  api::Problem problem;
  const api::Fields fields(value->get_object(), "", problem);
  constexpr std::size_t kMaxText = 4'096;
  StoredFile out;
  out.id = fields.string("id", kMaxText).value_or("");
  out.owner = fields.string("owner", kMaxText).value_or("");
  out.filename = fields.string("filename", kMaxText).value_or("");
  out.purpose = fields.string("purpose", kMaxText).value_or("");
  out.bytes = fields.integer("bytes", {.min = 0, .max = INT64_MAX}).value_or(0);
  out.created_s = fields.integer("created_s", {.min = 0, .max = INT64_MAX}).value_or(0);
  out.expires_s = fields.integer("expires_s", {.min = 0, .max = INT64_MAX}).value_or(0);
  if (problem.found() || out.id.empty()) return std::nullopt;
  return out;
}

}  // namespace

Status write_durably(const std::string& path, const std::string& content) {
  const std::string beside = path + ".new";
  {
    const UniqueFd fd(::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, kOwnerOnly));
    if (!fd.is_open()) return failed("open", beside);
    TRY_STATUS(write_all(fd.get(), content, beside));
    if (::fsync(fd.get()) != 0) return failed("fsync", beside);
  }
  if (::rename(beside.c_str(), path.c_str()) != 0) return failed("rename", beside);
  return sync_directory_of(path);
}

Status remove_durably(const std::string& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return failed("unlink", path);
  return sync_directory_of(path);
}

Result<std::string> read_whole(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.is_open()) return failed("open", path);
  std::string out;
  std::array<char, 64 * 1024> piece{};
  while (true) {
    const ssize_t got = ::read(fd.get(), piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed("read", path);
    if (got == 0) return out;
    out.append(piece.data(), static_cast<std::size_t>(got));
  }
}

std::string file_json(const StoredFile& file) {
  json::object out{{"id", file.id},
                   {"object", "file"},
                   {"bytes", file.bytes},
                   {"created_at", file.created_s},
                   {"filename", file.filename},
                   {"purpose", file.purpose},
                   {"status", "processed"}};
  if (file.expires_s > 0) out["expires_at"] = file.expires_s;
  return json::serialize(out);
}

FileStore::FileStore(asio::io_context& io, std::string directory, FileKeeping keeping)
    : io_(io), directory_(std::move(directory)), keeping_(keeping) {}

FileStore::~FileStore() {
  disk_.join();
}

Result<std::unique_ptr<FileStore>> FileStore::open(asio::io_context& io, std::string directory, FileKeeping keeping) {
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) return failed("mkdir", directory);
  auto out = std::unique_ptr<FileStore>(new FileStore(io, std::move(directory), keeping));
  TRY_STATUS(out->load());
  return out;
}

Status FileStore::load() {
  std::error_code ec;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory_, ec)) {
    const std::string path = entry.path().string();
    if (path.ends_with(".new")) ::unlink(path.c_str());
    if (!path.ends_with(".json")) continue;
    TRY(const std::string text, read_whole(path));
    std::optional<StoredFile> file = file_from_record(text);
    if (!file.has_value() || path != directory_ + "/" + file->id + ".json") {
      log_warn("event=file_record_unreadable path={}", path);
      continue;
    }
    bytes_ += file->bytes;
    files_.emplace(file->id, *std::move(file));
  }
  if (ec) return make_error(Code::kUnavailable, fmt::format("files: {}: {}", directory_, ec.message()));
  return {};
}

const StoredFile* FileStore::find(const std::string& id) const {
  const auto found = files_.find(id);
  return found == files_.end() ? nullptr : &found->second;
}

std::int64_t FileStore::expiry(std::int64_t from_s, std::chrono::seconds asked) const {
  std::chrono::seconds longest = keeping_.keep;
  if (asked.count() > 0 && (longest.count() == 0 || asked < longest)) longest = asked;
  return longest.count() == 0 ? 0 : from_s + longest.count();
}

Task<Status> FileStore::run(std::function<Status()> work) {
  const OneShot<Status> done(io_);
  asio::io_context* const io = &io_;
  asio::post(disk_, [io, done, work = std::move(work)] {
    Status status = work();
    asio::post(*io, [done, status = std::move(status)] { done.set(status); });
  });
  co_return co_await done.get();
}

Task<Status> FileStore::put(StoredFile file, std::string content) {
  file.bytes = static_cast<std::int64_t>(content.size());
  if (files_.size() >= kMaxFiles || bytes_ + file.bytes > keeping_.most_bytes) {
    co_return make_error(
        Code::kTooLarge,
        fmt::format("This file has {} bytes; {} files with {} bytes are kept here, of at most {} with {}. Delete files "
                    "that are no longer needed, or have [batches] most_bytes raised.",
                    file.bytes, files_.size(), bytes_, kMaxFiles, keeping_.most_bytes));
  }
  bytes_ += file.bytes;  // before the first await: two uploads at once must not both fit
  const std::int64_t bytes = file.bytes;
  std::function<Status()> work = [data = data_path(file.id), record = directory_ + "/" + file.id + ".json",
                                  text = record_of(file), content = std::move(content)]() -> Status {
    TRY_STATUS(write_durably(data, content));
    return write_durably(record, text);
  };
  const Status written = co_await run(std::move(work));
  if (!written.has_value()) {
    bytes_ -= bytes;
    co_return written;
  }
  files_[file.id] = std::move(file);
  co_return Status();
}

Task<Status> FileStore::adopt(StoredFile file) {
  const auto bytes = std::make_shared<std::int64_t>(0);
  std::function<Status()> work = [bytes, data = data_path(file.id), record = directory_ + "/" + file.id + ".json",
                                  file]() mutable -> Status {
    struct stat about {};
    if (::stat(data.c_str(), &about) != 0) return failed("stat", data);
    *bytes = file.bytes = about.st_size;
    return write_durably(record, record_of(file));
  };
  const Status written = co_await run(std::move(work));
  if (!written.has_value()) co_return written;
  file.bytes = *bytes;
  StoredFile& kept = files_[file.id];
  bytes_ += file.bytes - kept.bytes;
  kept = std::move(file);
  co_return Status();
}

Task<Result<std::string>> FileStore::read(std::string id) {
  const auto content = std::make_shared<std::string>();
  std::function<Status()> work = [content, path = data_path(id)]() -> Status {
    TRY(*content, read_whole(path));
    return {};
  };
  const Status read = co_await run(std::move(work));
  if (!read.has_value()) co_return read.error();
  co_return std::move(*content);
}

// The record first: without it there is no file.
Task<Status> FileStore::remove(std::string id) {
  const auto found = files_.find(id);
  if (found == files_.end()) co_return make_error(Code::kNotFound, "files: no such file");
  bytes_ -= found->second.bytes;
  files_.erase(found);
  std::function<Status()> work = [record = directory_ + "/" + id + ".json", data = data_path(id)]() -> Status {
    TRY_STATUS(remove_durably(record));
    ::unlink(data.c_str());
    return {};
  };
  co_return co_await run(std::move(work));
}

}  // namespace dormouse::gateway
