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
// A worker notices a closed connection at once and stops after its current step: 100 ms on a CPU, more for a prompt.
constexpr std::chrono::milliseconds kLastCount{1'000};

double seconds(Nanoseconds d) {
  return static_cast<double>(d.count()) / 1e9;
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
      held_(services.io, call, booking_, plan_.answer->form()),
      place_(services, call) {}

// Two of one key must not both run, so that one is not dispatched before it is known to be the first.
Task<bool> Generation::is_answered_at_once() {
  if (!plan_.idempotency.has_value()) co_return false;
  const Status reserved = co_await booking_.durable();
  if (reserved.has_value()) co_return false;
  const ledger::IdempotencyRecord* const other = booking_.repetition();
  if (other == nullptr) {
    place_.error = from_ledger(reserved.error());
  } else if (other->body_sha256 != plan_.idempotency->body_sha256) {
    place_.error.code = api::ErrorCode::kIdempotencyMismatch;
  } else if (!other->settled) {
    place_.error.code = api::ErrorCode::kIdempotencyInProgress;
  } else if (const KeptAnswer* const kept = plan_.kept_answers->find(other->request_id, services_.clock.now())) {
    co_await answer_again(*kept);
    co_return true;
  } else {
    place_.error.code = api::ErrorCode::kIdempotencyFinished;
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
    place_.error_kind.clear();
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

Task<Attempt> Generation::attempt() {
  fleet::AcquireRequest wish;
  wish.tokens_estimate = prompt_bound() + std::min(output_bound(), kTypicalOutputTokens);
  wish.prefix = prefix_of(plan_.request);
  wish.keep_alive = plan_.keep_alive;
  std::optional<fleet::Lease> lease = co_await place_.acquire(std::move(wish));
  if (!lease.has_value()) {
    co_return call_.stop.reason() == StopReason::kNone ? Attempt::kFailed : Attempt::kStopped;
  }
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
  place_.account(*lease);
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

std::optional<std::int64_t> Generation::cost_so_far() const {
  const std::optional<std::int64_t> before = place_.cost_micros();
  if (lease_ == nullptr) return before;
  const std::optional<std::int64_t> running = lease_->share().micros;
  return running.has_value() ? std::optional(before.value_or(0) + *running) : before;
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
  out.price_version = place_.price()->version;
  out.currency = place_.price()->by_time.currency;
  call_.charge = Money{*out.micros, out.currency};
  return out;
}

Task<Attempt> Generation::relay(Upstream& upstream, fleet::Lease& lease) {
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
        place_.error = step.error;
        if (place_.error.param == "messages") place_.error.param = plan_.answer->prompt_field();
        lease.release(api::row(place_.error.code).status >= 500 ? fleet::LeaseOutcome::kWorkerFailed
                                                                : fleet::LeaseOutcome::kCompleted);
        co_return Attempt::kFailed;
      case Upstream::Step::Kind::kCancelled:
        lease.release(fleet::LeaseOutcome::kClientGone);
        co_return Attempt::kStopped;
      case Upstream::Step::Kind::kLost: {
        const AnswerState state = answer_started_ ? AnswerState::kBegun : AnswerState::kNotBegun;
        co_return co_await place_.lose(lease, state);
      }
    }
  }
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
  const MonoTime now = services_.clock.now();
  const std::int64_t made = produced_.completion_tokens - before;
  if (made > 0) services_.metrics.note_tokens(call_.deployment, made, sent_, now);  // maybe told at the end only
  if (!has_token) return;
  const Nanoseconds since_last = now - last_token_;
  last_token_ = now;
  call_.decode_time = first_token_.ns == 0 ? Nanoseconds{0} : last_token_ - first_token_;
  if (first_token_.ns != 0) return services_.metrics.count_tokens(call_.deployment, made, since_last);
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
      place_.error = from_ledger(reserved.error());
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
  if (place_.cost_micros().has_value()) {
    out.cost = Money{*place_.cost_micros(), place_.price()->by_time.currency};
  }
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
    place_.error = from_ledger(reserved.error());
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
  const Placement::Ending end = place_.end(how);
  if (end.is_gone()) {
    // Billed for what was written; a prompt costs nothing before its first token was (requirement R-28).
    call_.completion_tokens = delivered_tokens_;
    call_.prompt_tokens = delivered_tokens_ > 0 ? produced_.prompt_tokens : 0;
  }
  ledger::Settlement entry = settlement(end.outcome, end.status);
  settle_limits(entry);
  co_await booking_.settle(std::move(entry));
  if (end.is_gone()) co_return;
  if (!call_.exchange.started()) {
    co_await reply_error(call_, place_.error);
    co_return;
  }
  std::string event = plan_.answer->broken_off(place_.error);
  const Status written = co_await call_.exchange.write(std::move(event));
  if (written.has_value()) co_await call_.exchange.finish();
}

void Generation::settle_limits(const ledger::Settlement& entry) {
  call_.admission.settle(entry.input_tokens + entry.output_tokens, entry.micros.value_or(0));
}

ledger::Settlement Generation::settlement(ledger::Outcome outcome, int status) const {
  ledger::Settlement out = place_.settlement(outcome, status);
  out.finish_reason = finish_reason_;
  out.input_tokens = call_.prompt_tokens;
  out.cached_tokens = call_.prompt_tokens > 0 ? produced_.cached_tokens : 0;
  out.output_tokens = call_.completion_tokens;
  out.reasoning_tokens = std::min(produced_.reasoning_tokens, call_.completion_tokens);
  out.produced_tokens = produced_.completion_tokens;
  out.ttft_us = call_.first_token.count() / 1'000;
  if (!out.cost_micros.has_value()) return out;
  out.micros = outcome == ledger::Outcome::kOk
                   ? *out.cost_micros
                   : billed_part(*out.cost_micros, call_.completion_tokens, produced_.completion_tokens);
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
