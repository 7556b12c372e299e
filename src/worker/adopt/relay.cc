// What passes through: a request to the adopted server, its answer back, streamed with the reader's own speed.
#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>
#include <utility>

#include "base/log.h"
#include "http/sse.h"
#include "worker/adopt/front.h"
#include "worker/adopt/stream_meter.h"

namespace dormouse::worker::adopt {
namespace {

// Between two pieces of an answer, and before its first. A prefill of a full context on a small CPU takes minutes; a
// hung server is found by the step counter long before.
constexpr std::chrono::milliseconds kReadDeadline{600'000};
constexpr std::size_t kMaxVectorBytes = 80U << 20;  // as many as our own worker's may have
constexpr std::size_t kMaxAnswerBytes = 16U << 20;  // of one that is read whole; more is an answer nobody can use

std::string_view header_of(const http::Headers& headers, std::string_view name) {
  return headers.find(name).value_or(std::string_view());
}

// The caller's own deadline where it sent one (the gateway does); what cannot be read counts as none.
std::chrono::milliseconds deadline_of(const http::Request& request) {
  const std::string_view text = header_of(request.headers, "x-dormouse-deadline-ms");
  std::int64_t value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || ec != std::errc{} || end != text.data() + text.size() || value <= 0) return kReadDeadline;
  return std::min(kReadDeadline, std::chrono::milliseconds(value));
}

// The request's path was decoded once, to be matched on; what may not stand in a target is encoded again.
std::string target_of(const http::Request& request) {
  constexpr std::string_view kPlain = "/-._~!$&'()*+,;=:@";
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : request.path) {
    const bool is_alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (is_alnum || kPlain.find(c) != std::string_view::npos) {
      out += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out += '%';
    out += kHex[byte >> 4];
    out += kHex[byte & 15];
  }
  if (!request.query.empty()) out += "?" + request.query;
  return out;
}

bool asks_vectors(const Reply& reply) {
  return reply.exchange.request().path == "/v1/embeddings";
}

http::ClientRequest outgoing(const Reply& reply, std::string body) {
  const http::Request& from = reply.exchange.request();
  http::ClientRequest out;
  out.method = from.method;
  out.target = reply.front.upstream_path + target_of(from);
  for (const std::string_view name : {"content-type", "accept"}) {
    if (const auto value = from.headers.find(name); value.has_value()) out.headers.set(name, *value);
  }
  out.headers.set("x-request-id", reply.request_id);
  out.body = std::move(body);
  out.header_deadline = deadline_of(from);
  out.read_deadline = out.header_deadline;
  out.max_body_bytes = asks_vectors(reply) ? kMaxVectorBytes : kMaxAnswerBytes;
  return out;
}

// What a connection's failure is to the caller.
api::ApiError error_of_transport(const Error& error) {
  switch (error.code) {
    case Code::kDeadlineExceeded: return {api::ErrorCode::kGenerationTimeout, {}, {}};
    case Code::kTooLarge: return unreadable_answer();
    default: return {api::ErrorCode::kWorkerCrashed, {}, {}};
  }
}

// Before the first byte a real status, after it an event and no [DONE].
Task<void> fail_answer(const Reply& reply, api::ApiError error) {
  http::Exchange& exchange = reply.exchange;
  log_warn("event=upstream_answer_failed request_id={} code={}", reply.request_id, api::row(error.code).code);
  if (!exchange.started()) {
    co_await send_error(reply, std::move(error));
    co_return;
  }
  std::string last = http::sse_data(api::error_body(error));
  const Status written = co_await exchange.write(std::move(last));
  if (!written.has_value()) co_return;
  const Status finished = co_await exchange.finish();
  if (!finished.has_value()) log_debug("event=finish_failed request_id={}", reply.request_id);
}

// One streamed answer's state, in the handler's frame.
struct Stream {
  Stream(const Reply& r, const OutgoingCall& call) : reply(r), meter(r.front.names, call) {}

  const Reply& reply;
  StreamMeter meter;
  http::SseParser parser;
  std::int64_t booked_prompt = 0;
  std::int64_t booked_tokens = 0;
};

// The counters never go back, also where a last usage corrects what was counted.
void book(Stream& stream) {
  Front& front = stream.reply.front;
  const api::Usage& usage = stream.meter.usage();
  front.prompt_tokens +=
      static_cast<std::uint64_t>(std::max<std::int64_t>(0, usage.prompt_tokens - stream.booked_prompt));
  front.generated_tokens +=
      static_cast<std::uint64_t>(std::max<std::int64_t>(0, usage.completion_tokens - stream.booked_tokens));
  stream.booked_prompt = std::max(stream.booked_prompt, usage.prompt_tokens);
  stream.booked_tokens = std::max(stream.booked_tokens, usage.completion_tokens);
}

// Some servers leave out the empty line behind their last event; half an event is still none.
api::ApiResult<std::string> absorb_end(Stream& stream) {
  stream.parser.push("\n\n");
  while (const std::optional<http::SseEvent> event = stream.parser.next()) {
    if (event->data == "[DONE]") return stream.meter.on_event(event->data);
  }
  return stream.meter.on_end();
}

// A piece of the upstream's body into bytes for the caller; nullopt is the body's end.
api::ApiResult<std::string> absorb(Stream& stream, const std::optional<std::string>& piece) {
  if (!piece.has_value()) return absorb_end(stream);
  stream.reply.front.steps += 1;
  stream.parser.push(*piece);
  std::string out;
  while (std::optional<http::SseEvent> event = stream.parser.next()) {
    api::ApiResult<std::string> frames = stream.meter.on_event(event->data);
    if (!frames.has_value()) return frames;
    out += *frames;
  }
  if (stream.parser.overflowed()) return tl::unexpected(unreadable_answer());
  book(stream);
  return out;
}

Task<Status> write_frames(const Reply& reply, std::string out) {
  if (!reply.exchange.started()) {
    http::Headers headers = base_headers(reply, "text/event-stream");
    headers.set("cache-control", "no-store");
    headers.set("x-accel-buffering", "no");
    const Status started = co_await reply.exchange.start_stream(200, std::move(headers));
    if (!started.has_value()) co_return started;
  }
  co_return co_await reply.exchange.write(std::move(out));
}

// The next piece is read when the last one is written: a slow reader slows the upstream down, and nothing piles up
// here.
Task<void> relay_stream(Stream& stream, http::ClientResponse& response) {
  const Reply& reply = stream.reply;
  while (!stream.meter.done()) {
    const Result<std::optional<std::string>> piece = co_await response.read_some();
    if (!piece.has_value() && piece.error().code == Code::kCancelled) co_return;  // the caller has gone
    api::ApiResult<std::string> out;
    if (piece.has_value()) {
      out = absorb(stream, *piece);
    } else {
      out = tl::unexpected(error_of_transport(piece.error()));
    }
    if (!out.has_value()) {
      api::ApiError error = out.error();
      co_await fail_answer(reply, std::move(error));
      co_return;
    }
    if (out->empty()) continue;
    std::string frames = *std::move(out);
    const Status written = co_await write_frames(reply, std::move(frames));
    if (!written.has_value()) co_return;
  }
  const Status finished = co_await reply.exchange.finish();
  if (!finished.has_value()) log_debug("event=finish_failed request_id={}", reply.request_id);
}

Task<void> relay_whole(const Reply& reply, http::ClientResponse& response) {
  const Result<std::string> body = co_await response.read_all();
  if (!body.has_value()) {
    if (body.error().code == Code::kCancelled) co_return;
    api::ApiError error = error_of_transport(body.error());
    co_await fail_answer(reply, std::move(error));
    co_return;
  }
  Front& front = reply.front;
  front.steps += 1;
  api::ApiResult<WholeAnswer> answer =
      asks_vectors(reply) ? rewrite_vectors(*body, front.names) : rewrite_answer(*body, front.names);
  if (!answer.has_value()) {
    api::ApiError error = answer.error();
    co_await fail_answer(reply, std::move(error));
    co_return;
  }
  front.prompt_tokens += static_cast<std::uint64_t>(answer->usage.prompt_tokens);
  front.generated_tokens += static_cast<std::uint64_t>(answer->usage.completion_tokens);
  std::string out = std::move(answer->body);
  co_await send_json(reply, 200, std::move(out));
}

// An answer that is an error, read and told in our words.
Task<void> relay_error(const Reply& reply, http::ClientResponse& response) {
  const int status = response.status();
  const Result<std::string> body = co_await response.read_all();
  if (!body.has_value() && body.error().code == Code::kCancelled) co_return;
  reply.front.steps += 1;
  const std::string_view text = body.has_value() ? std::string_view(*body) : std::string_view();
  api::ApiError error = asks_vectors(reply) ? error_of_vectors(status, text) : error_of_answer(status, text);
  co_await fail_answer(reply, std::move(error));
}

// Sends and waits for the header. Null: the caller has been answered, or is gone. `canceller` must be armed already.
Task<std::unique_ptr<http::ClientResponse>> open(const Reply& reply, http::ClientRequest request) {
  http::Address address = reply.front.upstream;
  Result<std::unique_ptr<http::ClientResponse>> response =
      co_await reply.front.client.send(std::move(address), std::move(request));
  if (response.has_value()) co_return *std::move(response);
  if (response.error().code != Code::kCancelled) {
    api::ApiError error = error_of_transport(response.error());
    co_await fail_answer(reply, std::move(error));
  }
  co_return nullptr;
}

// While it exists, a caller that goes takes the request to the upstream with it.
class CancelWhenGone {
 public:
  explicit CancelWhenGone(http::Exchange& exchange) : canceller_(std::make_shared<http::Canceller>()) {
    exchange.on_client_gone([canceller = canceller_] { canceller->cancel(); });
  }
  [[nodiscard]] const std::shared_ptr<http::Canceller>& canceller() const { return canceller_; }

 private:
  std::shared_ptr<http::Canceller> canceller_;
};

void report(const Stream& stream) {
  const api::Usage& usage = stream.meter.usage();
  log_info("event=request request_id={} end={} prompt_tokens={} cached_tokens={} completion_tokens={} counted_by={}",
           stream.reply.request_id, stream.meter.done() ? "done" : "broken", usage.prompt_tokens, usage.cached_tokens,
           usage.completion_tokens, stream.meter.usage_reported() ? "upstream" : "deltas");
}

// Bytes of an unknown kind, as they come.
Task<void> pass_stream(const Reply& reply, http::ClientResponse& response) {
  http::Headers headers = base_headers(reply, header_of(response.headers(), "content-type"));
  const Status started = co_await reply.exchange.start_stream(200, std::move(headers));
  if (!started.has_value()) co_return;
  while (true) {
    Result<std::optional<std::string>> piece = co_await response.read_some();
    if (!piece.has_value()) {
      reply.exchange.abort();  // a broken stream says so
      co_return;
    }
    if (!piece->has_value()) break;
    reply.front.steps += 1;
    std::string bytes = **std::move(piece);
    const Status written = co_await reply.exchange.write(std::move(bytes));
    if (!written.has_value()) co_return;
  }
  const Status finished = co_await reply.exchange.finish();
  if (!finished.has_value()) log_debug("event=finish_failed request_id={}", reply.request_id);
}

}  // namespace

Task<void> relay_generation(const Reply& reply) {
  api::ApiResult<OutgoingCall> call = rewrite_call(reply.exchange.request().body, reply.front.names);
  if (!call.has_value()) {
    api::ApiError error = call.error();
    co_await send_error(reply, std::move(error));
    co_return;
  }
  const CancelWhenGone gone(reply.exchange);
  http::ClientRequest request = outgoing(reply, std::move(call->body));
  request.headers.set("content-type", "application/json");
  request.canceller = gone.canceller();
  const std::unique_ptr<http::ClientResponse> response = co_await open(reply, std::move(request));
  if (response == nullptr) co_return;
  const bool is_events = header_of(response->headers(), "content-type").starts_with("text/event-stream");
  if (response->status() != 200) {
    co_await relay_error(reply, *response);
  } else if (!call->stream) {
    co_await relay_whole(reply, *response);
  } else if (is_events) {
    Stream stream(reply, *call);
    co_await relay_stream(stream, *response);
    report(stream);
  } else {
    // Asked for a stream and answered with something else: an error with a status of 200, or no answer at all.
    co_await relay_error(reply, *response);
  }
  reply.exchange.on_client_gone({});
}

Task<void> relay_plain(const Reply& reply) {
  const http::Request& from = reply.exchange.request();
  const CancelWhenGone gone(reply.exchange);
  http::ClientRequest request = outgoing(reply, rename_model(from.body, reply.front.names));
  request.canceller = gone.canceller();
  const std::unique_ptr<http::ClientResponse> response = co_await open(reply, std::move(request));
  if (response == nullptr) co_return;
  const std::string content_type(header_of(response->headers(), "content-type"));
  if (response->status() >= 400) {
    co_await relay_error(reply, *response);
  } else if (response->status() == 200 && content_type.starts_with("text/event-stream")) {
    co_await pass_stream(reply, *response);
  } else {
    Result<std::string> body = co_await response->read_all();
    if (!body.has_value()) {
      if (body.error().code == Code::kCancelled) co_return;
      api::ApiError error = error_of_transport(body.error());
      co_await fail_answer(reply, std::move(error));
      co_return;
    }
    reply.front.steps += 1;
    http::Response answer;
    answer.status = response->status();
    answer.headers = base_headers(reply, content_type);
    answer.body = *std::move(body);
    const Status sent = co_await reply.exchange.send(std::move(answer));
    if (!sent.has_value()) log_debug("event=send_failed request_id={}", reply.request_id);
  }
  reply.exchange.on_client_gone({});
}

}  // namespace dormouse::worker::adopt
