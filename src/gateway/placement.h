// A request's place at an instance, over all its attempts: what it waited for, where it ran, what that time costs and
// why it failed. What Generation and Forwarding have in common.
// Threads: the loop's. One a request, in the handler's frame.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "fleet/supervisor.h"
#include "gateway/call.h"
#include "gateway/services.h"
#include "ledger/ledger.h"

namespace dormouse::gateway {

// How one ended. kLost: its worker went, and it may be tried once more. kStopped: call.stop says why.
enum class Attempt { kDone, kLost, kFailed, kStopped };
enum class AnswerState { kNotBegun, kBegun };  // whether the caller has seen a part of it

// What a failed request was, for reports: an error code is what the client was told. Fixed set: timeout, oom,
// worker_crashed, load_failed, queue_full, ledger_unavailable, draining, bad_request, internal.
[[nodiscard]] std::string error_kind(api::ErrorCode code);

class Placement {
 public:
  Placement(Services services, Call& call) : services_(services), call_(call) {}

  // A place as soon as there is one, for call.deployment; `wish` without its name. nullopt: stopped, or refused, and
  // then `error` says what the caller is told.
  Task<std::optional<fleet::Lease>> acquire(fleet::AcquireRequest wish);
  // The connection to the worker broke: the lease goes back, and its end says why. kLost or kStopped.
  Task<Attempt> lose(fleet::Lease& lease, AnswerState answer);
  // What the lease's part of the instance's time came to, after its release.
  void account(const fleet::Lease& lease);

  // Of an attempt that was not done: sets `error`, where a stop is the reason, and the call's code for the log.
  struct Ending {
    ledger::Outcome outcome = ledger::Outcome::kFailed;
    int status = 0;
    [[nodiscard]] bool is_gone() const { return outcome == ledger::Outcome::kClientGone; }
  };
  [[nodiscard]] Ending end(Attempt how);
  // All but the tokens and what is billed of the cost.
  [[nodiscard]] ledger::Settlement settlement(ledger::Outcome outcome, int status) const;

  [[nodiscard]] const std::optional<fleet::InstancePrice>& price() const { return price_; }
  [[nodiscard]] std::optional<std::int64_t> cost_micros() const { return cost_micros_; }

  api::ApiError error;
  std::string error_kind;  // more exact than the code says; empty: it is not

 private:
  const Services services_;
  Call& call_;
  std::string instance_id_;
  std::optional<fleet::InstancePrice> price_;
  Nanoseconds busy_{0};  // its shares, over all attempts
  std::optional<std::int64_t> cost_micros_;
  Nanoseconds queued_{0};
};

}  // namespace dormouse::gateway
