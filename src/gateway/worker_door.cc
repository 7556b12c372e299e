#include "gateway/worker_door.h"

#include <utility>

#include "api/error_table.h"

namespace dormouse::gateway {

http::ServerLimits worker_door_limits() {
  http::ServerLimits limits;
  limits.header_bytes = 4 * 1024;
  limits.body_bytes = 0;
  limits.idle_keep_alive = std::chrono::seconds(1);  // nobody calls twice on one connection
  limits.connections = 1'024;
  return limits;
}

Task<void> serve_worker_door(fleet::Supervisor& supervisor, http::Exchange& exchange) {
  const http::Request& request = exchange.request();
  if (request.method == "GET" && request.path == "/internal/worker") {
    co_await supervisor.serve_control(exchange, fleet::WorkerDoor::kRemote);
    if (exchange.started()) co_return;
  }
  api::ApiError error;
  error.code = api::ErrorCode::kNotFound;
  http::Response response;
  response.status = api::row(error.code).status;
  response.headers.set("content-type", "application/json");
  response.body = api::error_body(error);
  co_await exchange.send(std::move(response));
}

}  // namespace dormouse::gateway
