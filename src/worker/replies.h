// Answers as both of this program's servers give them, its own engine's and the one in front of somebody else's.
// Threads: the io_context's.
#pragma once

#include <string>
#include <string_view>

#include "api/error_table.h"
#include "base/clock.h"
#include "http/server.h"

namespace dormouse::worker {

// A client's id is echoed if it is short and printable; otherwise it gets one of ours.
[[nodiscard]] std::string request_id_of(const http::Request& request, WallTime now);

[[nodiscard]] http::Headers reply_headers(const std::string& request_id, std::string_view content_type);
[[nodiscard]] http::Response json_reply(const std::string& request_id, int status, std::string body);
// Status, Retry-After and body of the error table.
[[nodiscard]] http::Response error_reply(const std::string& request_id, const api::ApiError& error);
// A client that has gone meanwhile is a line in the log. `exchange` outlives the task.
Task<void> send_reply(http::Exchange& exchange, std::string request_id, http::Response response);

}  // namespace dormouse::worker
