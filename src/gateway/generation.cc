#include "gateway/generation.h"

#include <algorithm>
#include <functional>
#include <string_view>
#include <utility>

#include "base/crashpoint.h"
#include "base/log.h"
#include "gateway/error_response.h"
#include "gateway/token_bounds.h"

namespace dormouse::gateway {
namespace {

// What a request without max_tokens counts for in the waiting queue: its bound would fill the queue by itself.
constexpr std::int64_t kTypicalOutputTokens = 4'096;
// How long a broken connection may wait for the news of its worker's death: pidfd events take milliseconds.
constexpr std::chrono::milliseconds kWhyLost{500};
// A worker notices a closed connection at once and stops after its current step: 100 ms on a CPU, more for a prompt.
constexpr std::chrono::milliseconds kLastCount{1'000};

double seconds(Nanoseconds d) {
  return static_cast<double>(d.count()) / 1e9;
}

std::int64_t microseconds(Nanoseconds d) {
  return d.count() / 1000;
}

// Who got a part of an answer pays for that part; nothing delivered is nothing owed.
std::int64_t billed_part(std::int64_t cost_micros, std::int64_t delivered, std::int64_t produced) {
  return produced > 0 ? proportion(cost_micros, std::min(delivered, produced), produced) : 0;
}

// Names a conversation by how it begins: its next turn goes where its pages are. Not by the system prompt alone, which
// all requests of an application share: they would crowd on one instance.
std::uint64_t prefix_of(const api::GenerationRequest& request) {
  constexpr std::size_t kMostBytes = 4'096;
  std::uint64_t out = 0;
  const auto add = [&out](std::string_view text) {
    constexpr std::uint64_t kOddConstant = 0x9E3779B97F4A7C15;  // 2^64 / golden ratio: spreads the low bits
    out = (out ^ std::hash<std::string_view>{}(text.substr(0, kMostBytes))) * kOddConstant;
  };
  for (std::size_t i = 0; i < std::min<std::size_t>(2, request.messages.size()); ++i) {
    add(request.messages[i].role);
    add(request.messages[i].content);
  }
  if (!request.prompt.empty()) add(request.prompt);
  return out;
}

// What the log and the counters call the request.
Call& with_names(Call& call, const GenerationPlan& plan) {
  call.deployment = plan.deployment->name;
  call.dialect = plan.dialect;
  return call;
}

}  // namespace

Generation::Generation(Services services, Call& call, GenerationPlan plan)
    : services_(services),
      call_(call),
      plan_(std::move(plan)),
      answering_(services.metrics, with_names(call, plan_)),
      booking_(services.io, services.ledger, services.clock),
      held_(services.io, call, booking_, plan_.answer->form()) {}

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

// Two of one key must not both run, so that one is not dispatched before it is known to be the first.
Task<bool> Generation::is_answered_at_once() {
  if (!plan_.idempotency.has_value()) co_return false;
  const Status reserved = co_await booking_.durable();
  if (reserved.has_value()) co_return false;
  const ledger::IdempotencyRecord* const other = booking_.repetition();
  if (other == nullptr) {
    error_ = from_ledger(reserved.error());
  } else if (other->body_sha256 != plan_.idempotency->body_sha256) {
    error_.code = api::ErrorCode::kIdempotencyMismatch;
  } else if (!other->settled) {
    error_.code = api::ErrorCode::kIdempotencyInProgress;
  } else if (const KeptAnswer* const kept = plan_.kept_answers->find(other->request_id, services_.clock.now())) {
    co_await answer_again(*kept);
    co_return true;
  } else {
    error_.code = api::ErrorCode::kIdempotencyFinished;
  }
  co_await fail(Attempt::kFailed);
  co_return true;
}

// Nothing is reserved and nothing billed: it was.
Task<void> Generation::answer_again(const KeptAnswer& kept) {
  http::Response response;
  response.headers.set("content-type", kept.content_type);
  response.headers.set("idempotent-replayed", "true");
  response.body = kept.body;
  return reply(call_, std::move(response));
}

void Generation::keep_answer(std::string content_type, std::string body) {
  if (!plan_.idempotency.has_value()) return;
  plan_.kept_answers->put(call_.request_id, {std::move(content_type), std::move(body), services_.clock.now()});
}

Task<void> Generation::run() {
  booking_.begin(reservation());
  crashpoint("gateway.reserving");
  const bool answered = co_await is_answered_at_once();
  if (answered) co_return;
  if (plan_.request.stream) held_.start();
  Attempt outcome = co_await attempt();
  // Once only: a second loss is the model's or the machine's fault, and the caller should hear of it.
  if (outcome == Attempt::kLost && !answer_started_) {
    log_warn("event=retry id={} deployment={}", call_.request_id, call_.deployment);
    services_.metrics.count_retry();
    plan_.answer->reset();
    produced_ = {};
    usage_reported_ = false;
    pending_.clear();
    finish_reason_.clear();
    error_kind_.clear();
    first_token_ = {};
    call_.first_token = {};
    outcome = co_await attempt();
  }
  call_.stop.on_fire({});
  co_await held_.stop();
  if (outcome == Attempt::kDone) {
    co_await finish();
  } else {
    co_await fail(outcome);
  }
}

Task<Generation::Attempt> Generation::attempt() {
  fleet::Cancellation cancellation;
  call_.stop.on_fire([&cancellation] { cancellation.cancel(); });
  fleet::AcquireRequest wish;
  wish.deployment = call_.deployment;
  wish.tokens_estimate = prompt_bound() + std::min(output_bound(), kTypicalOutputTokens);
  wish.prefix = prefix_of(plan_.request);
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
  lease_ = &*lease;
  crashpoint("gateway.placed");

  std::optional<Upstream> upstream(std::in_place, services_.client);
  call_.stop.on_fire([&upstream] { upstream->cancel(); });
  UpstreamRequest request;
  request.request = plan_.request;
  request.request.model.clear();  // a worker has one model; the caller's name for it is ours to know
  request.request_id = call_.request_id;
  request.token = lease->token();
  request.max_prompt_tokens = prompt_bound();
  sent_ = services_.clock.now();
  request.time_left = std::chrono::duration_cast<std::chrono::milliseconds>(call_.deadline - sent_);
  co_await upstream->open(lease->address(), std::move(request));
  crashpoint("gateway.dispatched");
  const Attempt outcome = co_await relay(*upstream, *lease);
  call_.stop.on_fire({});
  upstream.reset();  // an answer that is not whole: its connection closes, and the worker stops
  lease_ = nullptr;
  account(*lease);
  if (outcome == Attempt::kStopped && lease->tells_ends()) co_await learn_end();
  crashpoint("gateway.attempted");
  co_return outcome;
}

// The connection was closed in the middle: how much was made until the worker stopped, only it knows.
Task<void> Generation::learn_end() {
  std::string id = call_.request_id;
  const std::optional<control::Ended> ended = co_await services_.fleet.ended(std::move(id), kLastCount);
  if (!ended.has_value()) {
    log_info("event=end_not_told id={} deployment={}", call_.request_id, call_.deployment);
    co_return;
  }
  produced_.prompt_tokens = std::max(produced_.prompt_tokens, ended->prompt_tokens);
  produced_.completion_tokens = std::max(produced_.completion_tokens, ended->generated_tokens);
}

void Generation::account(const fleet::Lease& lease) {
  const policy::BusyMeter::Share share = lease.share();
  busy_ += share.time;
  if (share.micros.has_value()) cost_micros_ = cost_micros_.value_or(0) + *share.micros;
}

std::optional<std::int64_t> Generation::cost_so_far() const {
  if (lease_ == nullptr) return cost_micros_;
  const std::optional<std::int64_t> running = lease_->share().micros;
  return running.has_value() ? std::optional(cost_micros_.value_or(0) + *running) : cost_micros_;
}

// Of what has cost so far, recovery bills the part that was delivered.
ledger::Checkpoint Generation::checkpoint() const {
  ledger::Checkpoint out;
  out.output_tokens = delivered_tokens_;
  out.produced_tokens = produced_.completion_tokens;
  if (delivered_tokens_ > 0) {
    out.input_tokens = produced_.prompt_tokens;
    out.cached_tokens = produced_.cached_tokens;
    out.reasoning_tokens = std::min(produced_.reasoning_tokens, delivered_tokens_);
  }
  const std::optional<std::int64_t> cost = cost_so_far();
  if (!cost.has_value()) return out;
  out.micros = billed_part(*cost, delivered_tokens_, produced_.completion_tokens);
  out.price_version = price_->version;
  out.currency = price_->by_time.currency;
  call_.charge = Money{*out.micros, out.currency};
  return out;
}

Task<Generation::Attempt> Generation::relay(Upstream& upstream, fleet::Lease& lease) {
  while (true) {
    Upstream::Step step = co_await upstream.next();
    switch (step.kind) {
      case Upstream::Step::Kind::kChunks:
        if (!co_await forward(std::move(step.chunks))) {
          lease.release(fleet::LeaseOutcome::kClientGone);
          co_return call_.stop.reason() == StopReason::kNone ? Attempt::kFailed : Attempt::kStopped;
        }
        break;
      case Upstream::Step::Kind::kDone: lease.release(fleet::LeaseOutcome::kCompleted); co_return Attempt::kDone;
      case Upstream::Step::Kind::kRefused:
        error_ = step.error;
        if (error_.param == "messages") error_.param = plan_.answer->prompt_field();
        lease.release(api::row(error_.code).status >= 500 ? fleet::LeaseOutcome::kWorkerFailed
                                                          : fleet::LeaseOutcome::kCompleted);
        co_return Attempt::kFailed;
      case Upstream::Step::Kind::kCancelled:
        lease.release(fleet::LeaseOutcome::kClientGone);
        co_return Attempt::kStopped;
      case Upstream::Step::Kind::kLost: co_return co_await lost(lease);
    }
  }
}

Task<Generation::Attempt> Generation::lost(fleet::Lease& lease) {
  error_ = api::ApiError{api::ErrorCode::kWorkerCrashed, {}, {}};
  const std::optional<fleet::LossReason> why = co_await lease.why_lost(kWhyLost);
  error_kind_ = why == fleet::LossReason::kOutOfMemory ? "oom" : "";
  services_.client.forget(lease.address());
  lease.release(fleet::LeaseOutcome::kWorkerFailed);
  log_warn("event=worker_lost id={} deployment={} seen_dead={} answer_started={}", call_.request_id, call_.deployment,
           why.has_value(), answer_started_);
  co_return call_.stop.reason() == StopReason::kNone ? Attempt::kLost : Attempt::kStopped;
}

void Generation::count(const api::ParsedChunk& chunk) {
  bool has_token = false;
  const std::int64_t before = produced_.completion_tokens;
  for (const api::Delta& delta : chunk.choices) {
    if (delta.finish_reason.has_value()) finish_reason_ = call_.finish_reason = *delta.finish_reason;
    has_token = has_token || !delta.content.empty() || !delta.reasoning_content.empty() || !delta.tool_calls.empty();
  }
  if (chunk.usage.has_value()) {
    produced_ = *chunk.usage;
    usage_reported_ = true;
  } else if (has_token && !usage_reported_) {
    ++produced_.completion_tokens;
  }
  if (!has_token) return;
  const Nanoseconds since_last = services_.clock.now() - last_token_;
  last_token_ = last_token_ + since_last;
  call_.decode_time = first_token_.ns == 0 ? Nanoseconds{0} : last_token_ - first_token_;
  if (first_token_.ns != 0) {
    return services_.metrics.count_tokens(call_.deployment, produced_.completion_tokens - before, since_last);
  }
  first_token_ = last_token_;
  call_.first_token = first_token_ - call_.accepted;
}

Task<bool> Generation::forward(std::vector<api::ParsedChunk> chunks) {
  for (const api::ParsedChunk& chunk : chunks) {
    count(chunk);
    pending_ += plan_.answer->on_chunk(chunk);
  }
  booking_.note(checkpoint());
  if (!plan_.request.stream) co_return !call_.exchange.client_gone();
  // What comes before the first token (the role delta) waits for it: a worker lost until then costs a retry, not the
  // answer.
  if (pending_.empty() || first_token_.ns == 0) co_return true;
  co_await held_.stop();
  if (!call_.exchange.started()) {
    const Status reserved = co_await booking_.durable();
    if (!reserved.has_value()) {
      error_ = from_ledger(reserved.error());
      co_return false;
    }
    const Status begun = co_await begin_stream(call_, plan_.answer->form().content_type);
    if (!begun.has_value()) co_return false;
  }
  crashpoint("gateway.before_first_byte");
  std::string out = std::exchange(pending_, {});
  call_.answer_bytes += static_cast<std::int64_t>(out.size());
  if (plan_.idempotency.has_value()) written_ += out;
  const Status written = co_await call_.exchange.write(std::move(out));
  if (!written.has_value()) {
    call_.stop.fire(StopReason::kClientGone);
    co_return false;
  }
  answer_started_ = true;
  delivered_tokens_ = produced_.completion_tokens;
  crashpoint("gateway.after_write");
  co_return true;
}

AnswerSummary Generation::summary() const {
  AnswerSummary out;
  out.usage = produced_;
  if (last_token_.ns != 0) {
    out.generation_s = seconds(last_token_ - sent_);
    out.prompt_s = seconds(first_token_ - sent_);
    out.total_s = seconds(last_token_ - call_.accepted);
  }
  out.wake_s = seconds(call_.wake_wait);
  out.first_token_s = seconds(call_.first_token);
  if (cost_micros_.has_value()) out.cost = Money{*cost_micros_, price_->by_time.currency};
  return out;
}

Task<void> Generation::finish() {
  if (call_.exchange.client_gone()) {
    call_.stop.fire(StopReason::kClientGone);
    co_await fail(Attempt::kStopped);
    co_return;
  }
  const Status reserved = co_await booking_.durable();
  if (!reserved.has_value()) {
    error_ = from_ledger(reserved.error());
    co_await fail(Attempt::kFailed);
    co_return;
  }
  call_.prompt_tokens = produced_.prompt_tokens;
  call_.cached_tokens = produced_.cached_tokens;
  call_.completion_tokens = produced_.completion_tokens;
  crashpoint("gateway.before_settle");
  ledger::Settlement entry = settlement(ledger::Outcome::kOk, 200);
  entry.closing_follows = true;
  entry.delivered_tokens = delivered_tokens_;
  settle_limits(entry);
  co_await booking_.settle(std::move(entry));
  crashpoint("gateway.after_settle");
  if (plan_.request.stream) {
    co_await close_stream();
  } else {
    co_await close_whole();
  }
}

Task<void> Generation::close_whole() {
  const std::string body = plan_.answer->whole(summary());
  crashpoint("gateway.before_closing");
  keep_answer("application/json", body);  // also when it is lost on its way: then the client asks again
  const Status sent = co_await send_json(call_, 200, body);
  crashpoint("gateway.after_closing");
  booking_.close(sent.has_value());
}

Task<void> Generation::close_stream() {
  if (!call_.exchange.started()) {
    const Status begun = co_await begin_stream(call_, plan_.answer->form().content_type);
    if (!begun.has_value()) co_return booking_.close(false);
  }
  std::string closing = pending_ + plan_.answer->closing(summary());
  keep_answer(std::string(plan_.answer->form().content_type), written_ + closing);
  call_.answer_bytes += static_cast<std::int64_t>(closing.size());
  crashpoint("gateway.before_closing");
  Status written = co_await call_.exchange.write(std::move(closing));
  crashpoint("gateway.after_closing");
  if (written.has_value()) written = co_await call_.exchange.finish();
  if (!written.has_value()) call_.stop.fire(StopReason::kClientGone);
  booking_.close(written.has_value());
}

Task<void> Generation::fail(Attempt how) {
  crashpoint("gateway.failing");
  ledger::Outcome outcome = ledger::Outcome::kFailed;
  if (how == Attempt::kStopped) {
    error_ = from_stop(call_.stop.reason());
    if (call_.stop.reason() == StopReason::kClientGone) outcome = ledger::Outcome::kClientGone;
  }
  const api::ErrorRow& row = api::row(error_.code);
  const bool gone = outcome == ledger::Outcome::kClientGone;
  if (gone) {
    // Billed for what was written; a prompt costs nothing before its first token was (requirement R-28).
    call_.completion_tokens = delivered_tokens_;
    call_.prompt_tokens = delivered_tokens_ > 0 ? produced_.prompt_tokens : 0;
  }
  call_.error_code = gone ? "client_closed" : std::string(row.code);
  ledger::Settlement entry = settlement(outcome, gone ? 499 : row.status);
  settle_limits(entry);
  co_await booking_.settle(std::move(entry));
  if (gone) co_return;
  if (!call_.exchange.started()) {
    co_await reply_error(call_, error_);
    co_return;
  }
  std::string event = plan_.answer->broken_off(error_);
  const Status written = co_await call_.exchange.write(std::move(event));
  if (written.has_value()) co_await call_.exchange.finish();
}

void Generation::settle_limits(const ledger::Settlement& entry) {
  call_.admission.settle(entry.input_tokens + entry.output_tokens, entry.micros.value_or(0));
}

ledger::Settlement Generation::settlement(ledger::Outcome outcome, int status) const {
  ledger::Settlement out;
  out.request_id = call_.request_id;
  out.outcome = outcome;
  out.error_code = call_.error_code;
  if (outcome != ledger::Outcome::kOk) {
    const bool gone = outcome == ledger::Outcome::kClientGone;
    out.error_kind = gone ? "cancelled" : error_kind_.empty() ? error_kind(error_.code) : error_kind_;
  }
  out.finish_reason = finish_reason_;
  out.http_status = status;
  out.input_tokens = call_.prompt_tokens;
  out.cached_tokens = call_.prompt_tokens > 0 ? produced_.cached_tokens : 0;
  out.output_tokens = call_.completion_tokens;
  out.reasoning_tokens = std::min(produced_.reasoning_tokens, call_.completion_tokens);
  out.produced_tokens = produced_.completion_tokens;
  out.queue_us = microseconds(queued_);
  out.wake_wait_us = microseconds(call_.wake_wait);
  out.ttft_us = microseconds(call_.first_token);
  out.duration_us = microseconds(services_.clock.now() - call_.accepted);
  if (!instance_id_.empty()) out.instance_id = instance_id_;
  out.busy_ns = busy_.count();
  if (!cost_micros_.has_value()) return out;
  out.cost_micros = cost_micros_;
  out.micros = outcome == ledger::Outcome::kOk
                   ? *cost_micros_
                   : billed_part(*cost_micros_, call_.completion_tokens, produced_.completion_tokens);
  out.price_version = price_->version;
  out.currency = price_->by_time.currency;
  return out;
}

ledger::Reservation Generation::reservation() const {
  ledger::Reservation out;
  out.request_id = call_.request_id;
  out.client_request_id = call_.client_request_id;
  out.deployment = call_.deployment;
  out.dialect = plan_.dialect;
  out.input_tokens = prompt_bound();
  out.output_tokens = output_bound();
  if (call_.caller != nullptr) out.key_id = call_.caller->key_id;
  out.idempotency = plan_.idempotency;
  return out;
}

std::int64_t Generation::prompt_bound() const {
  return gateway::prompt_bound(plan_.request);
}

std::int64_t Generation::output_bound() const {
  return gateway::output_bound(plan_.request);
}

}  // namespace dormouse::gateway
