#include "gateway/forwarding.h"

#include <fmt/format.h>

#include <utility>

#include "base/log.h"
#include "gateway/error_response.h"
#include "gateway/token_bounds.h"

namespace dormouse::gateway {
namespace {

// How long a broken connection may wait for the news of its worker's death, as in generation.cc.
constexpr std::chrono::milliseconds kWhyLost{500};
// A worker says nothing until all is computed; a hung one is found by the fleet long before.
constexpr std::chrono::milliseconds kReadDeadline{600'000};
// Of an answer that is read whole: what our own worker writes at most, and a little.
constexpr std::size_t kMaxAnswerBytes = 80U << 20;

Call& with_names(Call& call, const ForwardPlan& plan) {
  call.deployment = plan.deployment->name;
  call.dialect = plan.dialect;
  return call;
}

std::int64_t microseconds(Nanoseconds d) {
  return d.count() / 1000;
}

}  // namespace

ForwardPlan embeddings_plan(const api::EmbeddingsRequest& request, const Deployment& deployment) {
  ForwardPlan out;
  out.target = "/v1/embeddings";
  out.body = api::to_json(request);
  out.most_tokens = prompt_bound(request);
  out.deployment = &deployment;
  return out;
}

Forwarding::Forwarding(Services services, Call& call, ForwardPlan plan)
    : services_(services),
      call_(call),
      plan_(std::move(plan)),
      answering_(services.metrics, with_names(call, plan_)),
      booking_(services.io, services.ledger, services.clock) {}

Task<void> Forwarding::run() {
  ledger::Reservation reservation;
  reservation.request_id = call_.request_id;
  reservation.client_request_id = call_.client_request_id;
  reservation.deployment = call_.deployment;
  reservation.dialect = plan_.dialect;
  reservation.input_tokens = plan_.most_tokens;
  if (call_.caller != nullptr) reservation.key_id = call_.caller->key_id;
  booking_.begin(std::move(reservation));
  Attempt outcome = co_await attempt();
  // Once only: a second loss is the model's or the machine's fault.
  if (outcome == Attempt::kLost) {
    log_warn("event=retry id={} deployment={}", call_.request_id, call_.deployment);
    services_.metrics.count_retry();
    error_kind_.clear();
    outcome = co_await attempt();
  }
  call_.stop.on_fire({});
  if (outcome == Attempt::kDone) {
    co_await finish();
  } else {
    co_await fail(outcome);
  }
}

Task<Forwarding::Attempt> Forwarding::attempt() {
  fleet::Cancellation cancellation;
  call_.stop.on_fire([&cancellation] { cancellation.cancel(); });
  fleet::AcquireRequest wish;
  wish.deployment = call_.deployment;
  wish.tokens_estimate = plan_.most_tokens;
  wish.keep_alive = plan_.keep_alive;
  wish.cancellation = &cancellation;
  fleet::AcquireResult lease = co_await services_.fleet.acquire(std::move(wish));
  call_.stop.on_fire({});
  if (call_.stop.reason() != StopReason::kNone) co_return Attempt::kStopped;  // ~Lease gives it back, unused
  if (!lease.has_value()) {
    error_ = from_refusal(lease.error());
    if (lease.error().detail.starts_with("out_of_memory")) error_kind_ = "oom";
    log_info("event=refused id={} reason={} detail=\"{}\"", call_.request_id, fleet::to_string(lease.error().reason),
             lease.error().detail);
    co_return Attempt::kFailed;
  }
  (lease->woke() ? call_.wake_wait : queued_) += lease->waited();
  call_.queue_wait = call_.wake_wait + queued_;
  instance_id_ = lease->instance_id();
  price_ = lease->price();
  const Attempt outcome = co_await exchange(*lease);
  const policy::BusyMeter::Share share = lease->share();
  busy_ += share.time;
  if (share.micros.has_value()) cost_micros_ = cost_micros_.value_or(0) + *share.micros;
  co_return outcome;
}

http::ClientRequest Forwarding::request_for(const fleet::Lease& lease) const {
  const Nanoseconds left = call_.deadline - services_.clock.now();
  http::ClientRequest out;
  out.method = "POST";
  out.target = plan_.target;
  out.headers.set("content-type", "application/json");
  out.headers.set("x-request-id", call_.request_id);
  out.headers.set("x-dormouse-tenant", "default");
  out.headers.set("x-dormouse-deadline-ms",
                  fmt::format("{}", std::chrono::duration_cast<std::chrono::milliseconds>(left).count()));
  out.headers.set("x-dormouse-max-prompt-tokens", fmt::format("{}", plan_.most_tokens));
  if (!lease.token().empty()) out.headers.set("authorization", "Bearer " + lease.token());
  out.body = plan_.body;
  out.header_deadline = kReadDeadline;
  out.read_deadline = kReadDeadline;
  out.max_body_bytes = kMaxAnswerBytes;
  out.canceller = canceller_;
  return out;
}

Task<Forwarding::Attempt> Forwarding::exchange(fleet::Lease& lease) {
  canceller_ = std::make_shared<http::Canceller>();
  call_.stop.on_fire([canceller = canceller_] { canceller->cancel(); });
  http::ClientRequest request = request_for(lease);
  http::Address address = lease.address();
  Result<std::unique_ptr<http::ClientResponse>> response =
      co_await services_.client.send(std::move(address), std::move(request));
  std::optional<std::string> body;
  int status = 0;
  if (response.has_value()) {
    status = (*response)->status();
    Result<std::string> read = co_await (*response)->read_all();
    if (read.has_value()) body = *std::move(read);
  }
  call_.stop.on_fire({});
  if (call_.stop.reason() != StopReason::kNone) {
    lease.release(fleet::LeaseOutcome::kClientGone);
    co_return Attempt::kStopped;
  }
  if (!body.has_value()) co_return co_await lost(lease);
  const Attempt outcome = take(status, *body);
  // A model without vectors is as good as before.
  const bool is_its_fault = outcome != Attempt::kDone && error_.code != api::ErrorCode::kNotImplemented &&
                            api::row(error_.code).status >= 500;
  lease.release(is_its_fault ? fleet::LeaseOutcome::kWorkerFailed : fleet::LeaseOutcome::kCompleted);
  co_return outcome;
}

Forwarding::Attempt Forwarding::take(int status, std::string_view body) {
  if (status == 200) {
    Result<ForwardedAnswer> answer = plan_.read(body);
    if (answer.has_value()) {
      answer_ = *std::move(answer);
      return Attempt::kDone;
    }
    log_warn("event=answer_unreadable id={} deployment={} error=\"{}\"", call_.request_id, call_.deployment,
             answer.error().message);
    error_ = {api::ErrorCode::kInternalError, "The model's server sent an answer that cannot be read.", {}};
    return Attempt::kFailed;
  }
  error_ = {status >= 500 ? api::ErrorCode::kWorkerCrashed : api::ErrorCode::kInternalError, {}, {}};
  const Result<api::ParsedChunk> parsed = api::parse_chunk(body);
  if (parsed.has_value() && parsed->error.has_value()) error_ = *parsed->error;
  return Attempt::kFailed;
}

Task<Forwarding::Attempt> Forwarding::lost(fleet::Lease& lease) {
  error_ = {api::ErrorCode::kWorkerCrashed, {}, {}};
  const std::optional<fleet::LossReason> why = co_await lease.why_lost(kWhyLost);
  error_kind_ = why == fleet::LossReason::kOutOfMemory ? "oom" : "";
  services_.client.forget(lease.address());
  lease.release(fleet::LeaseOutcome::kWorkerFailed);
  log_warn("event=worker_lost id={} deployment={} seen_dead={} answer_started=false", call_.request_id,
           call_.deployment, why.has_value());
  co_return call_.stop.reason() == StopReason::kNone ? Attempt::kLost : Attempt::kStopped;
}

Task<void> Forwarding::finish() {
  const Status reserved = co_await booking_.durable();
  if (!reserved.has_value()) {
    error_ = from_ledger(reserved.error());
    co_await fail(Attempt::kFailed);
    co_return;
  }
  if (call_.exchange.client_gone()) {
    call_.stop.fire(StopReason::kClientGone);
    co_await fail(Attempt::kStopped);
    co_return;
  }
  call_.prompt_tokens = answer_.prompt_tokens;
  if (cost_micros_.has_value()) call_.charge = Money{*cost_micros_, price_->by_time.currency};
  ledger::Settlement entry = settlement(ledger::Outcome::kOk, 200);
  entry.closing_follows = true;
  co_await settle(std::move(entry));
  const Status sent = co_await send_json(call_, 200, answer_.body);
  booking_.close(sent.has_value());
}

Task<void> Forwarding::fail(Attempt how) {
  ledger::Outcome outcome = ledger::Outcome::kFailed;
  if (how == Attempt::kStopped) {
    error_ = from_stop(call_.stop.reason());
    if (call_.stop.reason() == StopReason::kClientGone) outcome = ledger::Outcome::kClientGone;
  }
  const bool gone = outcome == ledger::Outcome::kClientGone;
  const api::ErrorRow& row = api::row(error_.code);
  call_.error_code = gone ? "client_closed" : std::string(row.code);
  ledger::Settlement entry = settlement(outcome, gone ? 499 : row.status);
  co_await settle(std::move(entry));
  if (!gone) co_await reply_error(call_, error_);
}

Task<void> Forwarding::settle(ledger::Settlement entry) {
  call_.admission.settle(entry.input_tokens, entry.micros.value_or(0));
  co_await booking_.settle(std::move(entry));
}

// Nothing delivered is nothing owed: only a whole answer is billed.
ledger::Settlement Forwarding::settlement(ledger::Outcome outcome, int status) const {
  const bool is_ok = outcome == ledger::Outcome::kOk;
  ledger::Settlement out;
  out.request_id = call_.request_id;
  out.outcome = outcome;
  out.error_code = call_.error_code;
  if (!is_ok) {
    const bool gone = outcome == ledger::Outcome::kClientGone;
    out.error_kind = gone ? "cancelled" : error_kind_.empty() ? error_kind(error_.code) : error_kind_;
  }
  out.http_status = status;
  out.input_tokens = call_.prompt_tokens;
  out.queue_us = microseconds(queued_);
  out.wake_wait_us = microseconds(call_.wake_wait);
  out.duration_us = microseconds(services_.clock.now() - call_.accepted);
  if (!instance_id_.empty()) out.instance_id = instance_id_;
  out.busy_ns = busy_.count();
  if (!cost_micros_.has_value()) return out;
  out.cost_micros = cost_micros_;
  out.micros = is_ok ? *cost_micros_ : 0;
  out.price_version = price_->version;
  out.currency = price_->by_time.currency;
  return out;
}

}  // namespace dormouse::gateway
