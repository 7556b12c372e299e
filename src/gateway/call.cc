#include "gateway/call.h"

#include <fmt/format.h>

#include <utility>

#include "gateway/dialect/ollama.h"
#include "gateway/rate_headers.h"

namespace dormouse::gateway {

void StopSignal::fire(StopReason reason) {
  if (reason_ != StopReason::kNone) return;
  reason_ = reason;
  const std::function<void()> callback = std::exchange(callback_, {});
  if (callback) callback();
}

void StopSignal::on_fire(std::function<void()> callback) {
  if (reason_ != StopReason::kNone && callback) {
    callback();
    return;
  }
  callback_ = std::move(callback);
}

namespace {

void add_common(const Call& call, http::Headers& headers) {
  for (const auto& [name, value] : call.answer_headers.all()) headers.set(name, value);
  headers.set("x-request-id", call.request_id);
}

Task<Status> send(Call& call, http::Response response) {
  call.status = response.status;
  call.answer_bytes += static_cast<std::int64_t>(response.body.size());
  add_common(call, response.headers);
  add_rate_headers(response.headers, call.admission);
  if (!response.headers.find("content-type").has_value()) response.headers.set("content-type", "application/json");
  Status sent = co_await call.exchange.send(std::move(response));
  if (!sent.has_value()) call.stop.fire(StopReason::kClientGone);
  co_return sent;
}

// Who speaks Ollama reads an error as a text.
std::string error_body(const Call& call, const api::ApiError& error) {
  return call.request().path.starts_with("/api/") ? ollama_error(error) : api::error_body(error);
}

}  // namespace

Task<void> reply(Call& call, http::Response response) {
  [[maybe_unused]] const Status sent = co_await send(call, std::move(response));
}

Task<Status> send_json(Call& call, int status, std::string_view body) {
  http::Response response;
  response.status = status;
  response.body = body;
  return send(call, std::move(response));
}

Task<void> reply_json(Call& call, int status, std::string_view body) {
  http::Response response;
  response.status = status;
  response.body = body;
  return reply(call, std::move(response));
}

Task<void> reply_error(Call& call, const api::ApiError& error) {
  const api::ErrorRow& row = api::row(error.code);
  call.error_code = row.code;
  http::Response response;
  response.status = row.status;
  response.body = error_body(call, error);
  if (row.status == 401) response.headers.set("www-authenticate", "Bearer");
  if (call.retry_after.count() > 0) {
    add_retry_headers(response.headers, call.retry_after);
  } else if (row.retry_after_s > 0) {
    response.headers.set("retry-after", fmt::format("{}", row.retry_after_s));
  }
  // SDKs retry every 429; these two come back the same.
  const bool is_hopeless =
      error.code == api::ErrorCode::kInsufficientQuota || error.code == api::ErrorCode::kInvalidValue;
  if (is_hopeless) response.headers.set("x-should-retry", "false");
  return reply(call, std::move(response));
}

Task<void> reply_error(Call& call, api::ErrorCode code, std::string_view param) {
  api::ApiError error;
  error.code = code;
  error.param = param;
  return reply_error(call, error);
}

Task<Status> begin_stream(Call& call, std::string_view content_type) {
  call.status = 200;
  http::Headers headers;
  headers.set("content-type", std::string(content_type));
  headers.set("cache-control", "no-store");
  headers.set("x-accel-buffering", "no");
  add_common(call, headers);
  add_rate_headers(headers, call.admission);
  Status started = co_await call.exchange.start_stream(200, std::move(headers));
  if (!started.has_value()) call.stop.fire(StopReason::kClientGone);
  co_return started;
}

}  // namespace dormouse::gateway
