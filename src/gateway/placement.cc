#include "gateway/placement.h"

#include <utility>

#include "base/log.h"
#include "gateway/error_response.h"

namespace dormouse::gateway {
namespace {

// How long a broken connection may wait for the news of its worker's death: pidfd events take milliseconds.
constexpr std::chrono::milliseconds kWhyLost{500};

std::int64_t microseconds(Nanoseconds d) {
  return d.count() / 1000;
}

}  // namespace

std::string error_kind(api::ErrorCode code) {
  switch (code) {
    case api::ErrorCode::kGenerationTimeout:
    case api::ErrorCode::kRequestTimeout:
    case api::ErrorCode::kQueueTimeout: return "timeout";
    case api::ErrorCode::kQueueFull:
    case api::ErrorCode::kOverloaded: return "queue_full";
    case api::ErrorCode::kWorkerCrashed: return "worker_crashed";
    case api::ErrorCode::kModelLoading:
    case api::ErrorCode::kModelLoadFailed: return "load_failed";
    case api::ErrorCode::kLedgerUnavailable: return "ledger_unavailable";
    case api::ErrorCode::kDraining: return "draining";
    default: break;
  }
  return api::row(code).status < 500 ? "bad_request" : "internal";
}

Task<std::optional<fleet::Lease>> Placement::acquire(fleet::AcquireRequest wish) {
  fleet::Cancellation cancellation;
  call_.stop.on_fire([&cancellation] { cancellation.cancel(); });
  wish.deployment = call_.deployment;
  wish.cancellation = &cancellation;
  fleet::AcquireResult lease = co_await services_.fleet.acquire(std::move(wish));
  call_.stop.on_fire({});
  if (call_.stop.reason() != StopReason::kNone) co_return std::nullopt;  // ~Lease gives it back, unused
  if (!lease.has_value()) {
    error = from_refusal(lease.error());
    if (lease.error().detail.starts_with("out_of_memory")) error_kind = "oom";
    log_info("event=refused id={} reason={} detail=\"{}\"", call_.request_id, fleet::to_string(lease.error().reason),
             lease.error().detail);
    co_return std::nullopt;
  }
  (lease->woke() ? call_.wake_wait : queued_) += lease->waited();
  call_.queue_wait = call_.wake_wait + queued_;
  instance_id_ = lease->instance_id();
  price_ = lease->price();
  co_return *std::move(lease);
}

Task<Attempt> Placement::lose(fleet::Lease& lease, AnswerState answer) {
  error = {api::ErrorCode::kWorkerCrashed, {}, {}};
  const std::optional<fleet::LossReason> why = co_await lease.why_lost(kWhyLost);
  error_kind = why == fleet::LossReason::kOutOfMemory ? "oom" : "";
  services_.client.forget(lease.address());
  lease.release(fleet::LeaseOutcome::kWorkerFailed);
  log_warn("event=worker_lost id={} deployment={} seen_dead={} answer_started={}", call_.request_id, call_.deployment,
           why.has_value(), answer == AnswerState::kBegun);
  co_return call_.stop.reason() == StopReason::kNone ? Attempt::kLost : Attempt::kStopped;
}

void Placement::account(const fleet::Lease& lease) {
  const policy::BusyMeter::Share share = lease.share();
  busy_ += share.time;
  if (share.micros.has_value()) cost_micros_ = cost_micros_.value_or(0) + *share.micros;
}

Placement::Ending Placement::end(Attempt how) {
  constexpr int kClientClosed = 499;  // nginx's: nobody is told
  Ending out;
  if (how == Attempt::kStopped) {
    error = from_stop(call_.stop.reason());
    if (call_.stop.reason() == StopReason::kClientGone) out.outcome = ledger::Outcome::kClientGone;
  }
  const api::ErrorRow& row = api::row(error.code);
  out.status = out.is_gone() ? kClientClosed : row.status;
  call_.error_code = out.is_gone() ? "client_closed" : std::string(row.code);
  return out;
}

ledger::Settlement Placement::settlement(ledger::Outcome outcome, int status) const {
  ledger::Settlement out;
  out.request_id = call_.request_id;
  out.outcome = outcome;
  out.error_code = call_.error_code;
  if (outcome != ledger::Outcome::kOk) {
    const bool is_gone = outcome == ledger::Outcome::kClientGone;
    out.error_kind = is_gone ? "cancelled" : error_kind.empty() ? gateway::error_kind(error.code) : error_kind;
  }
  out.http_status = status;
  out.queue_us = microseconds(queued_);
  out.wake_wait_us = microseconds(call_.wake_wait);
  out.duration_us = microseconds(services_.clock.now() - call_.accepted);
  if (!instance_id_.empty()) out.instance_id = instance_id_;
  out.busy_ns = busy_.count();
  if (!cost_micros_.has_value()) return out;
  out.cost_micros = cost_micros_;
  out.price_version = price_->version;
  out.currency = price_->by_time.currency;
  return out;
}

}  // namespace dormouse::gateway
