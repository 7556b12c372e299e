// One request's account in the ledger: reserved before the first byte leaves, checkpointed while it runs, settled
// exactly once whatever happens (requirements ), and closed once its last bytes are known to be written or
// lost. Lives in the request's frame. Threads: the loop's.
// Invariant: after begin(), exactly one Settlement is sent to the ledger, and one Closing after a settlement whose
// closing bytes were to follow; the destructor sends what nobody did.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "gateway/one_shot.h"
#include "ledger/ledger.h"

namespace dormouse::gateway {

class Booking {
 public:
  Booking(asio::io_context& io, ledger::Ledger& ledger, const Clock& clock);
  ~Booking();
  Booking(const Booking&) = delete;
  Booking& operator=(const Booking&) = delete;

  // Hands the reservation to the ledger and returns at once.
  void begin(ledger::Reservation reservation);
  // The outcome of begin(), once it is on disk.
  [[nodiscard]] Task<Status> durable() const { return reserved_.get(); }
  // After durable() said kAlreadyExists: what the client's idempotency key stands for. Null: it was not that.
  [[nodiscard]] const ledger::IdempotencyRecord* repetition() const;
  // How far the answer is; written at most every 1 s or 64 tokens: what a crash of ours can cost at most.
  // request_id need not be filled in.
  void note(ledger::Checkpoint checkpoint);
  // Returns when the settlement is on disk, or the ledger keeps it in memory until it can be. The first call counts.
  Task<void> settle(ledger::Settlement settlement);
  // After settle() with closing_follows: the kernel has taken the closing bytes, or they are lost and refunded.
  void close(bool written);

 private:
  static constexpr std::int64_t kCheckpointTokens = 64;
  static constexpr Nanoseconds kCheckpointPeriod = std::chrono::seconds(1);

  asio::io_context& io_;
  ledger::Ledger& ledger_;
  const Clock& clock_;
  OneShot<Status> reserved_;
  std::shared_ptr<std::optional<ledger::IdempotencyRecord>> repetition_;
  std::string request_id_;  // empty: not begun
  bool settled_ = false;
  bool closing_follows_ = false;
  std::int64_t noted_tokens_ = 0;
  MonoTime noted_at_;
};

}  // namespace dormouse::gateway
