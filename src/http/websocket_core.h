// The server's half of the WebSocket handshake. Internal to http.
#pragma once

#include <memory>

#include "http/connection.h"

namespace dormouse::http {

[[nodiscard]] bool is_websocket_request(const Request& request);

// Answers the upgrade and registers the result with the server until it ends.
// Errors: kUnavailable (broken while answering), kDeadlineExceeded.
Task<Result<std::unique_ptr<WebSocket>>> accept_websocket(std::shared_ptr<ServerShared> shared,
                                                          std::shared_ptr<SocketStream> stream, Request request,
                                                          std::chrono::milliseconds silence);

}  // namespace dormouse::http
