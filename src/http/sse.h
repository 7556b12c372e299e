// Server-sent events, both ways, as text. No I/O.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace dormouse::http {

// "data: <json>\n\n"
[[nodiscard]] std::string sse_data(std::string_view json);
[[nodiscard]] std::string sse_named(std::string_view event, std::string_view json);
inline constexpr std::string_view kSseDone = "data: [DONE]\n\n";
inline constexpr std::string_view kSseComment = ":\n\n";

struct SseEvent {
  std::string event;  // empty: unnamed
  std::string data;
};

// Bytes in, events out; comments are skipped; \n, \r\n and \r end lines. An event over 4 MiB is dropped and reported.
class SseParser {
 public:
  void push(std::string_view bytes);
  [[nodiscard]] std::optional<SseEvent> next();
  [[nodiscard]] bool overflowed() const { return overflowed_; }

 private:
  std::string buffer_;
  bool overflowed_ = false;
};

}  // namespace dormouse::http
