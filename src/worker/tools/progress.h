// One line that tells how far a long command is: rewritten in place on a terminal, a line every tenth otherwise.
// Also notices Ctrl-C. Owner: the command. Threads: the command's own.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace dormouse::worker {

class Progress {
 public:
  // unit: what is counted, as shown: "weights", "bytes". quiet_for: nothing is shown before.
  Progress(std::string_view verb, std::string_view unit, std::uint64_t total, Nanoseconds quiet_for = {});
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `what` is the item in work now. Prints at most ten times a second on a terminal, once a second otherwise.
  void update(std::uint64_t done, std::string_view what);
  // A line of its own that stays.
  void note(std::string_view line);
  [[nodiscard]] double seconds() const;

 private:
  void clear_line();

  const SystemClock clock_;
  const MonoTime start_;
  const Nanoseconds quiet_for_;
  const bool is_terminal_;
  const std::string verb_;
  const std::string unit_;
  const std::uint64_t total_;
  MonoTime printed_at_ = start_;
  std::uint64_t tenths_printed_ = 0;
  bool line_is_open_ = false;
};

// "1.25 G", "340 k": three figures.
[[nodiscard]] std::string human_count(double value);

// While one lives, SIGINT and SIGTERM set a flag instead of ending the process; then the old handlers come back.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;
  [[nodiscard]] static bool is_interrupted();
};

}  // namespace dormouse::worker
