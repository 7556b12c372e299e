#include "cli/wait_line.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

namespace dormouse::cli {
namespace {

constexpr double kQuietSeconds = 2;  // what is over by then needs no progress

}  // namespace

WaitLine::WaitLine(const Context& context) : context_(context), is_terminal_(::isatty(STDERR_FILENO) == 1) {}

WaitLine::~WaitLine() {
  if (is_shown_) fmt::print(stderr, "\r\x1b[2K");
}

void WaitLine::show(std::string_view what, double seconds) {
  if (!is_terminal_ || seconds < kQuietSeconds) return;
  is_shown_ = true;
  fmt::print(stderr, "\r\x1b[2K{} … {}", what, duration_words(seconds, context_.language));
  std::fflush(stderr);
}

}  // namespace dormouse::cli
