#include "http/sse.h"

namespace dormouse::http {
namespace {

constexpr std::size_t kMaxEventBytes = 4U << 20;

}  // namespace

std::string sse_data(std::string_view json) {
  std::string out;
  out.reserve(json.size() + 8);
  out += "data: ";
  out += json;
  out += "\n\n";
  return out;
}

std::string sse_named(std::string_view event, std::string_view json) {
  std::string out = "event: ";
  out += event;
  out += '\n';
  out += sse_data(json);
  return out;
}

void SseParser::push(std::string_view bytes) {
  for (std::size_t i = 0; i < bytes.size();) {
    // "\r\n" is one line end even when it arrives in two pieces.
    if (skip_newline_) {
      skip_newline_ = false;
      if (bytes[i] == '\n') {
        ++i;
        continue;
      }
    }
    const std::size_t end = bytes.find_first_of("\r\n", i);
    append_to_line(bytes.substr(i, end == std::string_view::npos ? end : end - i));
    if (end == std::string_view::npos) return;
    skip_newline_ = bytes[end] == '\r';
    end_line();
    i = end + 1;
  }
}

void SseParser::append_to_line(std::string_view bytes) {
  if (line_.size() + current_.data.size() + bytes.size() > kMaxEventBytes) dropping_ = true;
  if (dropping_) {
    // What was kept of the event goes too; only whether the line is empty still matters.
    overflowed_ = true;
    current_ = SseEvent{};
    line_.assign(line_.empty() && bytes.empty() ? 0 : 1, ':');
    return;
  }
  line_ += bytes;
}

void SseParser::end_line() {
  std::string_view line = line_;
  if (at_start_ && line.starts_with("\xEF\xBB\xBF")) line.remove_prefix(3);
  at_start_ = false;
  if (line.empty()) {
    if (has_data_ && !dropping_) {
      current_.data.pop_back();  // the newline after the last line
      ready_.push_back(std::move(current_));
    }
    current_ = SseEvent{};
    has_data_ = false;
    dropping_ = false;
  } else if (!dropping_) {
    take_field(line);
  }
  line_.clear();
}

void SseParser::take_field(std::string_view line) {
  const std::size_t colon = line.find(':');
  const std::string_view name = line.substr(0, colon);
  std::string_view value = colon == std::string_view::npos ? std::string_view() : line.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (name == "data") {
    current_.data += value;
    current_.data += '\n';
    has_data_ = true;
  } else if (name == "event") {
    current_.event = value;
  }
}

std::optional<SseEvent> SseParser::next() {
  if (ready_.empty()) return std::nullopt;
  SseEvent event = std::move(ready_.front());
  ready_.pop_front();
  return event;
}

}  // namespace dormouse::http
