#include "gateway/call.h"

#include <fmt/format.h>

#include <utility>

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

Task<Status> send(Call& call, http::Response response) {
  call.status = response.status;
  call.answer_bytes += static_cast<std::int64_t>(response.body.size());
  response.headers.set("x-request-id", call.request_id);
  if (!response.headers.find("content-type").has_value()) response.headers.set("content-type", "application/json");
  Status sent = co_await call.exchange.send(std::move(response));
  if (!sent.has_value()) call.stop.fire(StopReason::kClientGone);
  co_return sent;
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
  response.body = api::error_body(error);
  if (row.retry_after_s > 0) response.headers.set("retry-after", fmt::format("{}", row.retry_after_s));
  return reply(call, std::move(response));
}

Task<void> reply_error(Call& call, api::ErrorCode code, std::string_view param) {
  api::ApiError error;
  error.code = code;
  error.param = param;
  return reply_error(call, error);
}

Task<Status> begin_sse(Call& call) {
  call.status = 200;
  http::Headers headers;
  headers.set("content-type", "text/event-stream");
  headers.set("cache-control", "no-store");
  headers.set("x-accel-buffering", "no");
  headers.set("x-request-id", call.request_id);
  Status started = co_await call.exchange.start_stream(200, std::move(headers));
  if (!started.has_value()) call.stop.fire(StopReason::kClientGone);
  co_return started;
}

}  // namespace dormouse::gateway
