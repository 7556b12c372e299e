// The access log as files: logs/access.jsonl, one JSON object a line, renamed to .1, .2, ... when it is full, so that
// all of them together have a bound. Never prompts or answers, never paths beyond the route's pattern. A full disk
// loses lines, never a request. Threads: one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace dormouse::gateway {

struct AccessFileLimits {
  std::int64_t file_bytes = 16 << 20;
  int files = 10;  // the one being written among them
};

class AccessFile {
 public:
  explicit AccessFile(std::string directory, AccessFileLimits limits = {});

  // `line` without its newline.
  void append(std::string_view line);
  [[nodiscard]] std::uint64_t lost() const { return lost_; }

  struct Page {
    std::string lines;   // whole ones, each with its newline; may be empty though there is more
    std::string cursor;  // where the next page begins; empty: that was the end
  };
  // Lines from `since` on, oldest first, about `max_bytes` of the file at a time. An empty cursor begins. Files that
  // are renamed between two pages are followed; what was dropped meanwhile is skipped. Errors: kInvalidArgument
  // (cursor).
  [[nodiscard]] Result<Page> read(WallTime since, const std::string& cursor, std::int64_t max_bytes = 1 << 20) const;

 private:
  [[nodiscard]] std::string path(int index) const;
  void open();
  void rotate();

  const std::string directory_;
  const AccessFileLimits limits_;
  UniqueFd fd_;
  std::int64_t bytes_ = 0;
  std::uint64_t lost_ = 0;
};

// How every line begins: read() looks there for the time.
inline constexpr std::string_view kAccessLineBegin = "{\"time_us\":";

}  // namespace dormouse::gateway
