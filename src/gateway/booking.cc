#include "gateway/booking.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace dormouse::gateway {

Booking::Booking(asio::io_context& io, ledger::Ledger& ledger, const Clock& clock)
    : io_(io), ledger_(ledger), clock_(clock), reserved_(io) {}

Booking::~Booking() {
  close(false);
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
  if (reservation.idempotency.has_value()) {
    repetition_ = std::make_shared<std::optional<ledger::IdempotencyRecord>>();
    reservation.repetition = repetition_;
  }
  const OneShot<Status> reserved = reserved_;
  ledger_.reserve(std::move(reservation), [reserved](Status status) { reserved.set(std::move(status)); });
}

const ledger::IdempotencyRecord* Booking::repetition() const {
  return repetition_ != nullptr && repetition_->has_value() ? &**repetition_ : nullptr;
}

void Booking::note(ledger::Checkpoint checkpoint) {
  const MonoTime now = clock_.now();
  // Delivered or not, what was made has cost something.
  const std::int64_t tokens = std::max(checkpoint.output_tokens, checkpoint.produced_tokens);
  if (settled_ || tokens <= noted_tokens_) return;
  if (tokens - noted_tokens_ < kCheckpointTokens && now - noted_at_ < kCheckpointPeriod) return;
  noted_tokens_ = tokens;
  noted_at_ = now;
  checkpoint.request_id = request_id_;
  ledger_.checkpoint(std::move(checkpoint), [](Status) {});  // a lost checkpoint errs in the client's favour
}

Task<void> Booking::settle(ledger::Settlement settlement) {
  if (request_id_.empty() || settled_) co_return;
  settled_ = true;
  const Status reserved = co_await reserved_.get();
  if (!reserved.has_value()) co_return;  // nothing was promised, nothing is owed
  settlement.request_id = request_id_;
  closing_follows_ = settlement.closing_follows;
  const OneShot<Status> done(io_);
  ledger_.settle(std::move(settlement), [done](Status status) { done.set(std::move(status)); });
  const Status status = co_await done.get();
  if (!status.has_value()) log_warn("event=settle_delayed id={} why={}", request_id_, status.error().message);
}

void Booking::close(bool written) {
  if (!std::exchange(closing_follows_, false)) return;
  ledger_.close({request_id_, written}, [id = request_id_](const Status& status) {
    if (!status.has_value()) log_warn("event=close_delayed id={} why={}", id, status.error().message);
  });
}

}  // namespace dormouse::gateway
