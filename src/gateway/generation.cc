#include "gateway/generation.h"

#include <algorithm>
#include <functional>
#include <string_view>
#include <utility>

#include "base/crashpoint.h"
#include "base/log.h"
#include "gateway/error_response.h"

namespace dormouse::gateway {
namespace {

// Qwen3's own context: what an answer without max_tokens may come to.
constexpr std::int64_t kDefaultOutputTokens = 40'960;
// What a request without max_tokens counts for in the waiting queue: its bound would fill the queue by itself.
constexpr std::int64_t kTypicalOutputTokens = 4'096;
// Of a byte-level vocabulary no text has more tokens than bytes; the template adds a few a message and one preamble for
// tools. Generous, because a bound too small would refuse a good request.
constexpr std::int64_t kTemplateTokensPerMessage = 32;
constexpr std::int64_t kTemplateTokens = 512;
// How long a broken connection may wait for the news of its worker's death: pidfd events take milliseconds.
constexpr std::chrono::milliseconds kWhyLost{500};

double seconds(Nanoseconds d) {
  return static_cast<double>(d.count()) / 1e9;
}

std::int64_t microseconds(Nanoseconds d) {
  return d.count() / 1000;
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
      held_(services.io, call, booking_) {}

Task<void> Generation::run() {
  booking_.begin(reservation());
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
  wish.cancellation = &cancellation;
  fleet::AcquireResult lease = co_await services_.fleet.acquire(std::move(wish));
  call_.stop.on_fire({});
  if (call_.stop.reason() != StopReason::kNone) co_return Attempt::kStopped;  // ~Lease gives it back
  if (!lease.has_value()) {
    error_ = from_refusal(lease.error());
    log_info("event=refused id={} reason={} detail=\"{}\"", call_.request_id, fleet::to_string(lease.error().reason),
             lease.error().detail);
    co_return Attempt::kFailed;
  }
  call_.queue_wait += lease->waited();
  if (lease->woke()) call_.wake_wait += lease->waited();
  instance_id_ = lease->instance_id();
  crashpoint("gateway.placed");

  Upstream upstream(services_.client);
  call_.stop.on_fire([&upstream] { upstream.cancel(); });
  UpstreamRequest request;
  request.request = plan_.request;
  request.request.model.clear();  // a worker has one model; the caller's name for it is ours to know
  request.request_id = call_.request_id;
  request.token = lease->token();
  request.max_prompt_tokens = prompt_bound();
  sent_ = services_.clock.now();
  request.time_left = std::chrono::duration_cast<std::chrono::milliseconds>(call_.deadline - sent_);
  co_await upstream.open(lease->address(), std::move(request));
  const Attempt outcome = co_await relay(upstream, *lease);
  call_.stop.on_fire({});
  co_return outcome;
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
    if (delta.finish_reason.has_value()) call_.finish_reason = *delta.finish_reason;
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
  booking_.note(produced_.prompt_tokens, produced_.cached_tokens, produced_.completion_tokens);
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
    const Status begun = co_await begin_sse(call_);
    if (!begun.has_value()) co_return false;
  }
  crashpoint("gateway.before_first_byte");
  std::string out = std::exchange(pending_, {});
  call_.answer_bytes += static_cast<std::int64_t>(out.size());
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
  out.generation_s = last_token_.ns == 0 ? 0 : seconds(last_token_ - sent_);
  out.wake_s = seconds(call_.wake_wait);
  out.first_token_s = seconds(call_.first_token);
  return out;
}

Task<void> Generation::finish() {
  const bool stream = plan_.request.stream;
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
  delivered_tokens_ = produced_.completion_tokens;
  call_.prompt_tokens = produced_.prompt_tokens;
  call_.cached_tokens = produced_.cached_tokens;
  call_.completion_tokens = produced_.completion_tokens;
  crashpoint("gateway.before_settle");
  ledger::Settlement entry = settlement(ledger::Outcome::kOk, 200);
  co_await booking_.settle(std::move(entry));
  crashpoint("gateway.after_settle");
  if (!stream) {
    const std::string body = plan_.answer->whole(summary());
    co_await reply_json(call_, 200, body);
    co_return;
  }
  if (!call_.exchange.started()) {
    const Status begun = co_await begin_sse(call_);
    if (!begun.has_value()) co_return;
  }
  std::string closing = pending_ + plan_.answer->closing(summary());
  call_.answer_bytes += static_cast<std::int64_t>(closing.size());
  const Status written = co_await call_.exchange.write(std::move(closing));
  if (written.has_value()) co_await call_.exchange.finish();
}

Task<void> Generation::fail(Attempt how) {
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
  co_await booking_.settle(std::move(entry));
  if (gone) co_return;
  if (!call_.exchange.started()) {
    co_await reply_error(call_, error_);
    co_return;
  }
  std::string event = error_event(error_);
  const Status written = co_await call_.exchange.write(std::move(event));
  if (written.has_value()) co_await call_.exchange.finish();
}

ledger::Settlement Generation::settlement(ledger::Outcome outcome, int status) const {
  ledger::Settlement out;
  out.request_id = call_.request_id;
  out.outcome = outcome;
  out.error_code = call_.error_code;
  out.http_status = status;
  out.input_tokens = call_.prompt_tokens;
  out.cached_tokens = call_.prompt_tokens > 0 ? produced_.cached_tokens : 0;
  out.output_tokens = call_.completion_tokens;
  out.wake_wait_us = microseconds(call_.wake_wait);
  out.ttft_us = microseconds(call_.first_token);
  out.duration_us = microseconds(services_.clock.now() - call_.accepted);
  if (!instance_id_.empty()) out.instance_id = instance_id_;
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
  return out;
}

std::int64_t Generation::prompt_bound() const {
  const api::GenerationRequest& request = plan_.request;
  std::size_t bytes = request.prompt.size() + request.prompt_tokens.size();
  for (const api::Message& message : request.messages) {
    bytes += message.content.size() + message.reasoning_content.value_or("").size();
    for (const api::ToolCall& call : message.tool_calls) bytes += call.name.size() + call.arguments.size();
  }
  for (const std::string& tool : request.tools) bytes += tool.size();
  return static_cast<std::int64_t>(bytes) + kTemplateTokens +
         kTemplateTokensPerMessage * static_cast<std::int64_t>(request.messages.size());
}

std::int64_t Generation::output_bound() const {
  const std::int64_t each = plan_.request.sampling.max_tokens.value_or(kDefaultOutputTokens);
  return std::min(each, kDefaultOutputTokens) * std::max(plan_.request.n, 1);
}

}  // namespace dormouse::gateway
