#include "worker/replies.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/ids.h"
#include "base/log.h"

namespace dormouse::worker {

std::string request_id_of(const http::Request& request, WallTime now) {
  constexpr std::size_t kMaxBytes = 128;
  const std::optional<std::string_view> given = request.headers.find("x-request-id");
  const bool fine = given.has_value() && !given->empty() && given->size() <= kMaxBytes &&
                    std::all_of(given->begin(), given->end(), [](char c) { return c > ' ' && c < 127; });
  return fine ? std::string(*given) : make_uuid_v7(now);
}

http::Headers reply_headers(const std::string& request_id, std::string_view content_type) {
  http::Headers headers;
  headers.set("content-type", content_type);
  headers.set("x-request-id", request_id);
  return headers;
}

http::Response json_reply(const std::string& request_id, int status, std::string body) {
  http::Response response;
  response.status = status;
  response.headers = reply_headers(request_id, "application/json");
  response.body = std::move(body);
  return response;
}

http::Response error_reply(const std::string& request_id, const api::ApiError& error) {
  const api::ErrorRow& row = api::row(error.code);
  http::Response response = json_reply(request_id, row.status, api::error_body(error));
  if (row.retry_after_s > 0) response.headers.set("retry-after", std::to_string(row.retry_after_s));
  return response;
}

Task<void> send_reply(http::Exchange& exchange, std::string request_id, http::Response response) {
  const Status sent = co_await exchange.send(std::move(response));
  if (!sent.has_value()) log_debug("event=send_failed request_id={}", request_id);
}

}  // namespace dormouse::worker
