#include "worker/tools/progress.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>

namespace dormouse::worker {
namespace {

constexpr Nanoseconds kBetweenRedraws = std::chrono::milliseconds(100);
constexpr Nanoseconds kBetweenLines = std::chrono::seconds(1);

// Written by the handler, read by the working threads: a flag, nothing is published through it.
volatile sig_atomic_t g_interrupted = 0;
struct sigaction g_old_int {};
struct sigaction g_old_term {};

void on_signal(int) {
  g_interrupted = 1;
}

}  // namespace

std::string human_count(double value) {
  struct Unit {
    double size;
    const char* name;
  };
  constexpr std::array kUnits{Unit{1e9, " G"}, Unit{1e6, " M"}, Unit{1e3, " k"}};
  for (const Unit& unit : kUnits) {
    if (value >= unit.size) return fmt::format("{:.3g}{}", value / unit.size, unit.name);
  }
  return fmt::format("{:.3g}", value);
}

Progress::Progress(std::string_view verb, std::string_view unit, std::uint64_t total, Nanoseconds quiet_for)
    : start_(clock_.now()),
      quiet_for_(quiet_for),
      is_terminal_(::isatty(STDERR_FILENO) == 1),
      verb_(verb),
      unit_(unit),
      total_(total) {}

Progress::~Progress() {
  clear_line();
}

double Progress::seconds() const {
  return std::chrono::duration<double>(clock_.now() - start_).count();
}

void Progress::clear_line() {
  if (line_is_open_) std::fputs("\r\x1b[K", stderr);
  line_is_open_ = false;
}

void Progress::note(std::string_view line) {
  clear_line();
  std::fwrite(line.data(), 1, line.size(), stderr);
  std::fputc('\n', stderr);
}

void Progress::update(std::uint64_t done, std::string_view what) {
  const MonoTime now = clock_.now();
  const double share = total_ == 0 ? 1.0 : static_cast<double>(done) / static_cast<double>(total_);
  const auto tenths = static_cast<std::uint64_t>(share * 10);
  const bool is_due = is_terminal_ ? now - printed_at_ >= kBetweenRedraws
                                   : tenths > tenths_printed_ && now - printed_at_ >= kBetweenLines;
  if (!is_due || now - start_ < quiet_for_) return;
  printed_at_ = now;
  tenths_printed_ = tenths;
  const double elapsed = seconds();
  const double rate = elapsed > 0 ? static_cast<double>(done) / elapsed : 0;
  const double left = rate > 0 ? static_cast<double>(total_ - done) / rate : 0;
  const std::string line =
      fmt::format("{} {:3.0f} %  {} {}/s  {:.0f} s left  {}", verb_, 100 * share, human_count(rate), unit_, left, what);
  if (is_terminal_) {
    fmt::print(stderr, "\r{}\x1b[K", line);
    std::fflush(stderr);
    line_is_open_ = true;
    return;
  }
  fmt::print(stderr, "{}\n", line);
}

InterruptGuard::InterruptGuard() {
  g_interrupted = 0;
  struct sigaction action {};
  action.sa_handler = on_signal;
  ::sigaction(SIGINT, &action, &g_old_int);
  ::sigaction(SIGTERM, &action, &g_old_term);
}

InterruptGuard::~InterruptGuard() {
  ::sigaction(SIGINT, &g_old_int, nullptr);
  ::sigaction(SIGTERM, &g_old_term, nullptr);
}

bool InterruptGuard::is_interrupted() {
  return g_interrupted != 0;
}

}  // namespace dormouse::worker
