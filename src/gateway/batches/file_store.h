// Uploaded files and what batches keep, under DATA-DIR/files. A file is ID.data and ID.json beside it; the latter comes
// last, by rename, so that what a crash leaves half is no file. All disk work happens on one thread of the store's own.
// Threads: the loop's. Outlives every request and batch.
#pragma once

#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "gateway/one_shot.h"

namespace dormouse::gateway {

// At the limit an upload is refused; what batches write counts, and is not refused, as it was promised.
inline constexpr std::size_t kMaxFiles = 10'000;

struct FileKeeping {
  std::chrono::seconds keep{0};  // zero: for ever
  std::int64_t most_bytes = 0;   // of all files together
};

struct StoredFile {
  std::string id;
  std::string owner;  // key id; empty: nobody had to say who they were
  std::string filename;
  std::string purpose;  // "batch" | "batch_output"
  std::int64_t bytes = 0;
  std::int64_t created_s = 0;
  std::int64_t expires_s = 0;  // 0: never. As it was told: a change of the rules is for files to come
};
// OpenAI's file object.
[[nodiscard]] std::string file_json(const StoredFile& file);

class FileStore {
 public:
  // Makes the directory and reads what is in it; leftovers of a crash go. Blocking. Errors: kUnavailable (the disk).
  static Result<std::unique_ptr<FileStore>> open(asio::io_context& io, std::string directory, FileKeeping keeping);
  ~FileStore();
  FileStore(const FileStore&) = delete;
  FileStore& operator=(const FileStore&) = delete;

  [[nodiscard]] const StoredFile* find(const std::string& id) const;
  [[nodiscard]] const std::map<std::string, StoredFile>& all() const { return files_; }
  // When something made at `from_s` goes, whose owner wanted it for `asked` (zero: did not say); 0: never.
  [[nodiscard]] std::int64_t expiry(std::int64_t from_s, std::chrono::seconds asked) const;
  // Errors: kTooLarge (a limit; the message is for the caller), kUnavailable (the disk).
  Task<Status> put(StoredFile file, std::string content);
  Task<Result<std::string>> read(std::string id);
  Task<Status> remove(std::string id);
  // What was written to data_path(file.id) by somebody else becomes a file. Again: its size is taken again.
  Task<Status> adopt(StoredFile file);

  [[nodiscard]] std::string data_path(const std::string& id) const { return directory_ + "/" + id + ".data"; }
  [[nodiscard]] const std::string& directory() const { return directory_; }
  // `work` on the store's thread. It owns what it touches.
  Task<Status> run(std::function<Status()> work);

 private:
  FileStore(asio::io_context& io, std::string directory, FileKeeping keeping);
  Status load();

  asio::io_context& io_;
  const std::string directory_;
  const FileKeeping keeping_;
  std::map<std::string, StoredFile> files_;  // by id
  std::int64_t bytes_ = 0;
  asio::thread_pool disk_{1};
};

// Blocking. The whole content durable under `path`, or nothing new there. Errors: kUnavailable.
[[nodiscard]] Status write_durably(const std::string& path, const std::string& content);
// Blocking. One that is not there is no error. Errors: kUnavailable.
[[nodiscard]] Status remove_durably(const std::string& path);
// Errors: kNotFound, kUnavailable.
[[nodiscard]] Result<std::string> read_whole(const std::string& path);

}  // namespace dormouse::gateway
