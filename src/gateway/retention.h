// Once a day, in small steps with pauses between them: what the ledger has kept longer than it should loses its detail
// and keeps its sums. Owner: the house. Threads: the loop's; stopped before the loop ends.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>

#include "base/clock.h"
#include "base/time_zone.h"
#include "http/asio.h"
#include "ledger/ledger.h"

namespace dormouse::gateway {

struct RetentionOptions {
  std::chrono::milliseconds keep{0};              // zero: for ever
  TimeZone zone;                                  // whose days the old quarters become
  std::chrono::milliseconds first_after{60'000};  // a start has better to do
};

class Retention {
 public:
  // Borrowed: all outlive this.
  Retention(asio::io_context& io, const Clock& clock, ledger::Ledger& ledger, RetentionOptions options);
  ~Retention() { stop(); }
  Retention(const Retention&) = delete;
  Retention& operator=(const Retention&) = delete;

  void start();
  void stop();

 private:
  void wait(std::chrono::milliseconds how_long);
  void step(ledger::CompactCursor cursor);

  asio::steady_timer timer_;
  const Clock& clock_;
  ledger::Ledger& ledger_;
  const RetentionOptions options_;
  std::shared_ptr<bool> alive_;  // false: an answer that comes late has nobody to tell
  ledger::CompactCursor cursor_;
  std::int64_t steps_ = 0;
};

}  // namespace dormouse::gateway
