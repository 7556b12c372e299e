// The victim of compact_test.cc: opens the ledger named by argv[1] and takes every step of retention for what lies
// before argv[2] (microseconds), by the days of Asia/Shanghai.
#include <charconv>
#include <future>
#include <string_view>

#include "base/clock.h"
#include "base/log.h"
#include "ledger/ledger.h"

int main(int argc, char** argv) {
  namespace ledger = dormouse::ledger;
  if (argc != 3) return 2;
  dormouse::set_log_level(dormouse::LogLevel::kError);
  const std::string_view text(argv[2]);
  std::int64_t before_us = 0;
  std::from_chars(text.data(), text.data() + text.size(), before_us);
  const dormouse::SystemClock clock;
  ledger::Options options;
  options.path = argv[1];
  options.clock = &clock;
  options.ballast_bytes = 0;
  auto opened = ledger::Ledger::open(options);
  const auto zone = dormouse::TimeZone::load("Asia/Shanghai");
  if (!opened.has_value() || !zone.has_value()) return 4;
  ledger::CompactCursor cursor;
  while (!cursor.is_done()) {
    std::promise<dormouse::Result<ledger::CompactCursor>> promise;
    (*opened)->compact(before_us, *zone, cursor, [&](auto answer) { promise.set_value(std::move(answer)); });
    const dormouse::Result<ledger::CompactCursor> next = promise.get_future().get();
    if (!next.has_value()) return 5;
    cursor = *next;
  }
  return 0;
}
