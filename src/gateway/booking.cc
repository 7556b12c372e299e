#include "gateway/booking.h"

#include <utility>

#include "base/log.h"

namespace dormouse::gateway {

Booking::Booking(asio::io_context& io, ledger::Ledger& ledger, const Clock& clock)
    : io_(io), ledger_(ledger), clock_(clock), reserved_(io) {}

Booking::~Booking() {
  if (request_id_.empty() || settled_) return;
  ledger::Settlement settlement;
  settlement.request_id = request_id_;
  settlement.outcome = ledger::Outcome::kFailed;
  settlement.error_code = "internal_error";
  settlement.http_status = 500;
  ledger_.settle(std::move(settlement), [](Status) {});
}

void Booking::begin(ledger::Reservation reservation) {
  request_id_ = reservation.request_id;
  noted_at_ = clock_.now();
  const OneShot<Status> reserved = reserved_;
  ledger_.reserve(std::move(reservation), [reserved](Status status) { reserved.set(std::move(status)); });
}

void Booking::note(std::int64_t input_tokens, std::int64_t cached_tokens, std::int64_t output_tokens) {
  const MonoTime now = clock_.now();
  if (settled_ || output_tokens <= noted_tokens_) return;
  if (output_tokens - noted_tokens_ < kCheckpointTokens && now - noted_at_ < kCheckpointPeriod) return;
  noted_tokens_ = output_tokens;
  noted_at_ = now;
  ledger::Checkpoint checkpoint;
  checkpoint.request_id = request_id_;
  checkpoint.input_tokens = input_tokens;
  checkpoint.cached_tokens = cached_tokens;
  checkpoint.output_tokens = output_tokens;
  ledger_.checkpoint(std::move(checkpoint), [](Status) {});  // a lost checkpoint errs in the client's favour
}

Task<void> Booking::settle(ledger::Settlement settlement) {
  if (request_id_.empty() || settled_) co_return;
  settled_ = true;
  const Status reserved = co_await reserved_.get();
  if (!reserved.has_value()) co_return;  // nothing was promised, nothing is owed
  settlement.request_id = request_id_;
  const OneShot<Status> done(io_);
  ledger_.settle(std::move(settlement), [done](Status status) { done.set(std::move(status)); });
  const Status status = co_await done.get();
  if (!status.has_value()) log_warn("event=settle_delayed id={} why={}", request_id_, status.error().message);
}

}  // namespace dormouse::gateway
