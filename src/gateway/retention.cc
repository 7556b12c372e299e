#include "gateway/retention.h"

#include <utility>

#include "base/log.h"

namespace dormouse::gateway {
namespace {

constexpr std::chrono::milliseconds kDay{86'400'000};
constexpr std::chrono::milliseconds kAfterFailure{600'000};
// Between two steps, so that what people wait for comes first: a step takes about as long.
constexpr std::chrono::milliseconds kPause{20};

}  // namespace

Retention::Retention(asio::io_context& io, const Clock& clock, ledger::Ledger& ledger, RetentionOptions options)
    : timer_(io), clock_(clock), ledger_(ledger), options_(std::move(options)), alive_(std::make_shared<bool>(true)) {}

void Retention::start() {
  if (options_.keep.count() > 0) wait(options_.first_after);
}

void Retention::stop() {
  *alive_ = false;
  timer_.cancel();
}

void Retention::wait(std::chrono::milliseconds how_long) {
  timer_.expires_after(how_long);
  timer_.async_wait([this, alive = alive_](boost::system::error_code ec) {
    if (!ec && *alive) step(cursor_);
  });
}

void Retention::step(ledger::CompactCursor cursor) {
  const std::int64_t before_us = clock_.wall().us - std::chrono::microseconds(options_.keep).count();
  if (before_us <= 0) return wait(kDay);
  ledger_.compact(before_us, options_.zone, cursor, [this, alive = alive_](Result<ledger::CompactCursor> next) {
    if (!*alive) return;
    if (!next.has_value()) {
      log_warn("event=retention_failed error=\"{}\"", next.error().message);
      cursor_ = {};
      return wait(kAfterFailure);
    }
    ++steps_;
    cursor_ = *next;
    if (!cursor_.is_done()) return wait(kPause);
    log_info("event=retention steps={} before_us={}", std::exchange(steps_, 0),
             clock_.wall().us - std::chrono::microseconds(options_.keep).count());
    cursor_ = {};
    wait(kDay);
  });
}

}  // namespace dormouse::gateway
