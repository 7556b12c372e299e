// Server-sent events, both ways, as text. No I/O.
#pragma once

#include <deque>
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
  void append_to_line(std::string_view bytes);
  void end_line();
  void take_field(std::string_view line);

  std::string line_;  // begun, not ended
  SseEvent current_;  // begun, not ended; data keeps a newline after every line
  std::deque<SseEvent> ready_;
  bool at_start_ = true;   // of the stream, where a byte order mark may stand
  bool has_data_ = false;  // current_ has a data line
  bool skip_newline_ = false;
  bool dropping_ = false;  // the event is too large: to its end everything is dropped
  bool overflowed_ = false;
};

}  // namespace dormouse::http
