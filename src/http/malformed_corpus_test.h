// Requests that are malformed, ambiguous or too large, each with the status it gets from a server whose limits are
// ServerLimits's own. Nothing of them may reach a handler, and none gets two answers (T-43, T-44, S-51).
#pragma once

#include <string>
#include <vector>

namespace dormouse::http {

struct MalformedCase {
  std::string bytes;
  int status = 400;
};

// Behind an ambiguous body: what a server that lost its place answers as a second request.
inline const std::string kSmuggled = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";

[[nodiscard]] std::vector<MalformedCase> malformed_request_lines();
[[nodiscard]] std::vector<MalformedCase> malformed_fields();
[[nodiscard]] std::vector<MalformedCase> ambiguous_framing();

}  // namespace dormouse::http
