#include "gateway/forwarding.h"

#include <fmt/format.h>

#include <utility>

#include "base/log.h"
#include "gateway/error_response.h"
#include "gateway/token_bounds.h"

namespace dormouse::gateway {
namespace {

// A worker says nothing until all is computed; a hung one is found by the fleet long before.
constexpr std::chrono::milliseconds kReadDeadline{600'000};
// Of an answer that is read whole: what our own worker writes at most, and a little.
constexpr std::size_t kMaxAnswerBytes = 80U << 20;

Call& with_names(Call& call, const ForwardPlan& plan) {
  call.deployment = plan.deployment->name;
  call.dialect = plan.dialect;
  return call;
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
      booking_(services.io, services.ledger, services.clock),
      place_(services, call) {}

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
    place_.error_kind.clear();
    outcome = co_await attempt();
  }
  call_.stop.on_fire({});
  if (outcome == Attempt::kDone) {
    co_await finish();
  } else {
    co_await fail(outcome);
  }
}

Task<Attempt> Forwarding::attempt() {
  fleet::AcquireRequest wish;
  wish.tokens_estimate = plan_.most_tokens;
  wish.keep_alive = plan_.keep_alive;
  std::optional<fleet::Lease> lease = co_await place_.acquire(std::move(wish));
  if (!lease.has_value()) {
    co_return call_.stop.reason() == StopReason::kNone ? Attempt::kFailed : Attempt::kStopped;
  }
  const Attempt outcome = co_await exchange(*lease);
  place_.account(*lease);
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

Task<Attempt> Forwarding::exchange(fleet::Lease& lease) {
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
  if (!body.has_value()) co_return co_await place_.lose(lease, AnswerState::kNotBegun);
  const Attempt outcome = take(status, *body);
  // A model without vectors is as good as before.
  const bool is_its_fault = outcome != Attempt::kDone && place_.error.code != api::ErrorCode::kNotImplemented &&
                            api::row(place_.error.code).status >= 500;
  lease.release(is_its_fault ? fleet::LeaseOutcome::kWorkerFailed : fleet::LeaseOutcome::kCompleted);
  co_return outcome;
}

Attempt Forwarding::take(int status, std::string_view body) {
  if (status == 200) {
    Result<ForwardedAnswer> answer = plan_.read(body);
    if (answer.has_value()) {
      answer_ = *std::move(answer);
      return Attempt::kDone;
    }
    log_warn("event=answer_unreadable id={} deployment={} error=\"{}\"", call_.request_id, call_.deployment,
             answer.error().message);
    place_.error = {api::ErrorCode::kInternalError, "The model's server sent an answer that cannot be read.", {}};
    return Attempt::kFailed;
  }
  place_.error = {status >= 500 ? api::ErrorCode::kWorkerCrashed : api::ErrorCode::kInternalError, {}, {}};
  const Result<api::ParsedChunk> parsed = api::parse_chunk(body);
  if (parsed.has_value() && parsed->error.has_value()) place_.error = *parsed->error;
  return Attempt::kFailed;
}

Task<void> Forwarding::finish() {
  const Status reserved = co_await booking_.durable();
  if (!reserved.has_value()) {
    place_.error = from_ledger(reserved.error());
    co_await fail(Attempt::kFailed);
    co_return;
  }
  if (call_.exchange.client_gone()) {
    call_.stop.fire(StopReason::kClientGone);
    co_await fail(Attempt::kStopped);
    co_return;
  }
  call_.prompt_tokens = answer_.prompt_tokens;
  if (place_.cost_micros().has_value()) {
    call_.charge = Money{*place_.cost_micros(), place_.price()->by_time.currency};
  }
  ledger::Settlement entry = settlement(ledger::Outcome::kOk, 200);
  entry.closing_follows = true;
  co_await settle(std::move(entry));
  const Status sent = co_await send_json(call_, 200, answer_.body);
  booking_.close(sent.has_value());
}

Task<void> Forwarding::fail(Attempt how) {
  const Placement::Ending end = place_.end(how);
  ledger::Settlement entry = settlement(end.outcome, end.status);
  co_await settle(std::move(entry));
  if (!end.is_gone()) co_await reply_error(call_, place_.error);
}

Task<void> Forwarding::settle(ledger::Settlement entry) {
  call_.admission.settle(entry.input_tokens, entry.micros.value_or(0));
  co_await booking_.settle(std::move(entry));
}

// Nothing delivered is nothing owed: only a whole answer is billed.
ledger::Settlement Forwarding::settlement(ledger::Outcome outcome, int status) const {
  ledger::Settlement out = place_.settlement(outcome, status);
  out.input_tokens = call_.prompt_tokens;
  if (out.cost_micros.has_value()) out.micros = outcome == ledger::Outcome::kOk ? *out.cost_micros : 0;
  return out;
}

}  // namespace dormouse::gateway
