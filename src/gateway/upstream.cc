#include "gateway/upstream.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace dormouse::gateway {
namespace {

constexpr std::size_t kMaxErrorBytes = 64 * 1024;
// Between two pieces of an answer. A prefill of a full context on a small CPU takes minutes; a hung worker is found by
// the fleet through its step counter long before.
constexpr std::chrono::milliseconds kReadDeadline{600'000};

http::ClientRequest make_request(const UpstreamRequest& from) {
  api::GenerationRequest body = from.request;
  body.stream = true;
  body.stream_options.include_usage = true;
  body.stream_options.continuous_usage_stats = true;
  http::ClientRequest out;
  out.method = "POST";
  out.target = body.kind == api::GenerationRequest::Kind::kChat ? "/v1/chat/completions" : "/v1/completions";
  out.headers.set("content-type", "application/json");
  out.headers.set("x-request-id", from.request_id);
  out.headers.set("x-dormouse-tenant", from.tenant);
  out.headers.set("x-dormouse-deadline-ms", fmt::format("{}", from.time_left.count()));
  out.headers.set("x-dormouse-max-prompt-tokens", fmt::format("{}", from.max_prompt_tokens));
  if (!from.token.empty()) out.headers.set("authorization", "Bearer " + from.token);
  out.body = api::to_json(body);
  out.header_deadline = kReadDeadline;
  out.read_deadline = kReadDeadline;
  out.max_body_bytes = kMaxErrorBytes;  // read whole only for errors
  return out;
}

Upstream::Step ended(Upstream::Step::Kind kind) {
  Upstream::Step step;
  step.kind = kind;
  return step;
}

}  // namespace

Task<void> Upstream::open(http::Address address, UpstreamRequest request) {
  http::ClientRequest wire = make_request(request);
  wire.canceller = canceller_;
  Result<std::unique_ptr<http::ClientResponse>> sent = co_await client_.send(std::move(address), std::move(wire));
  if (sent.has_value()) {
    response_ = *std::move(sent);
  } else {
    log_debug("event=upstream_failed id={} why={}", request.request_id, sent.error().message);
  }
}

Task<Upstream::Step> Upstream::next() {
  if (canceller_->is_cancelled()) co_return ended(Step::Kind::kCancelled);
  if (response_ == nullptr) co_return ended(Step::Kind::kLost);
  if (response_->status() != 200) co_return co_await read_error();
  while (true) {
    Result<std::optional<std::string>> piece = co_await response_->read_some();
    if (canceller_->is_cancelled()) co_return ended(Step::Kind::kCancelled);
    if (!piece.has_value()) co_return ended(Step::Kind::kLost);
    if (!piece->has_value()) {
      if (!done_) co_return ended(Step::Kind::kLost);  // an end without [DONE] is a broken answer
      co_return ended(Step::Kind::kDone);
    }
    parser_.push(**piece);
    Step step = take_events();
    if (step.kind != Step::Kind::kChunks || !step.chunks.empty()) co_return step;
  }
}

Upstream::Step Upstream::take_events() {
  Step step;
  step.kind = Step::Kind::kChunks;
  while (std::optional<http::SseEvent> event = parser_.next()) {
    if (event->data == "[DONE]") {
      done_ = true;
      continue;
    }
    Result<api::ParsedChunk> chunk = api::parse_chunk(event->data);
    if (!chunk.has_value()) return ended(Step::Kind::kLost);
    if (chunk->error.has_value()) {
      step.kind = Step::Kind::kRefused;
      step.error = *chunk->error;
      return step;
    }
    step.chunks.push_back(*std::move(chunk));
  }
  if (parser_.overflowed()) return ended(Step::Kind::kLost);
  return step;
}

Task<Upstream::Step> Upstream::read_error() {
  const int status = response_->status();
  Result<std::string> body = co_await response_->read_all();
  if (canceller_->is_cancelled()) co_return ended(Step::Kind::kCancelled);
  Step step;
  step.kind = Step::Kind::kRefused;
  step.error.code = status >= 500 ? api::ErrorCode::kWorkerCrashed : api::ErrorCode::kInternalError;
  if (!body.has_value()) co_return step;
  const Result<api::ParsedChunk> parsed = api::parse_chunk(*body);
  if (parsed.has_value() && parsed->error.has_value()) step.error = *parsed->error;
  co_return step;
}

}  // namespace dormouse::gateway
