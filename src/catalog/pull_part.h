// A download that is not whole yet: NAME.part with holes, and NAME.part.ranges, the journal of what is in it. Whatever
// ends the program, the next one goes on where the journal says; what is in the file but not in the journal is fetched
// again. The journal belongs to one sha256: another one's is thrown away.
// Invariants: (1) a range is in the journal only after its bytes are on the disk; (2) nothing takes the final name but
// finish(); (3) one process at a time holds the part (flock).
// Threads: one at a time. Everything blocks.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace dormouse::catalog {

struct ByteRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;  // half-open
  [[nodiscard]] std::int64_t size() const { return end - begin; }
  friend bool operator==(const ByteRange&, const ByteRange&) = default;
};

class PartFile {
 public:
  // `path`: the final name. Errors: kAlreadyExists (another pull holds it), kPermissionDenied and other errors of the
  // disk.
  static Result<PartFile> open(const std::string& path, std::int64_t bytes, const std::string& sha256);

  // Bytes that an earlier call left beside `path`, as its journal has them; 0: none. Takes no lock.
  static std::int64_t kept_bytes(const std::string& path);

  // What is missing, cut into pieces of at most `most` bytes, in order.
  [[nodiscard]] std::vector<ByteRange> missing(std::int64_t most) const;
  [[nodiscard]] std::int64_t done_bytes() const;

  // Errors: kTooLarge (the disk is full; what is there stays), others of the disk.
  Status write(std::int64_t offset, std::string_view data);
  // These bytes have been written.
  Status mark(ByteRange range);
  // Forgets what is there: the source cannot give pieces.
  Status restart();

  // The bytes of the whole file, for whoever checks them.
  [[nodiscard]] int fd() const { return file_.get(); }
  // On the disk under its final name, or not at all.
  Status finish();
  // Removes all of it.
  void discard();

 private:
  PartFile() = default;
  Status read_journal();
  // Takes the ranges that `lines` tell of; where it stopped believing is what is left.
  [[nodiscard]] std::string_view believe(std::string_view lines, std::int64_t file_bytes);
  void add(ByteRange range);

  std::string path_;
  std::int64_t bytes_ = 0;
  std::string sha256_;
  UniqueFd file_;
  UniqueFd journal_;
  std::vector<ByteRange> done_;  // sorted, apart
};

}  // namespace dormouse::catalog
