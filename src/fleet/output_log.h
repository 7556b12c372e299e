// Where a worker's stdout and stderr go: logs/<deployment>.log, appended by chunk, renamed to .1 beyond its bound.
// A full disk or a missing directory loses lines, never a worker. Threads: one.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/unique_fd.h"

namespace dormouse::fleet {

class OutputLog {
 public:
  // Of `deployment`, '/' and control characters become '_'.
  OutputLog(const std::string& directory, const std::string& deployment, std::size_t limit_bytes);
  void append(std::string_view chunk);
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  void open();
  std::string path_;
  std::size_t limit_bytes_;
  std::size_t bytes_ = 0;
  UniqueFd fd_;
};

}  // namespace dormouse::fleet
