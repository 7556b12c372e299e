#include "cli/log_line.h"

#include <algorithm>
#include <boost/json.hpp>

#include "api/json_write.h"

namespace dormouse::cli {
namespace {

namespace json = boost::json;

std::string valid_utf8(std::string_view text) {
  constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
  std::string out;
  while (!text.empty()) {
    const std::size_t length = api::utf8_sequence_length(text);
    out += length > 0 ? text.substr(0, length) : kReplacement;
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return out;
}

// "key=" where one begins, else nothing.
std::string_view key_at(std::string_view text) {
  const std::size_t end = text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_");
  const bool is_key = end != std::string_view::npos && end > 0 && text[end] == '=';
  return is_key ? text.substr(0, end) : std::string_view();
}

// Up to the blank before the next key: a value is quoted where it may hold blanks, but the quotes inside are not
// marked.
std::size_t value_length(std::string_view text) {
  const bool is_quoted = text.starts_with('"');
  for (std::size_t at = text.find(' '); at != std::string_view::npos; at = text.find(' ', at + 1)) {
    const bool is_closed = !is_quoted || (at > 1 && text[at - 1] == '"');
    if (is_closed && !key_at(text.substr(at + 1)).empty()) return at;
  }
  return text.size();
}

std::string_view without_quotes(std::string_view value) {
  const bool is_quoted = value.size() > 1 && value.starts_with('"') && value.ends_with('"');
  return is_quoted ? value.substr(1, value.size() - 2) : value;
}

// "model=chat load_ms=12", in its order.
json::object read_fields(std::string_view text) {
  json::object out;
  while (!text.empty()) {
    const std::string_view key = key_at(text);  // there is one: a value ends before the next
    text.remove_prefix(key.size() + 1);
    const std::size_t length = value_length(text);
    out[key] = without_quotes(text.substr(0, length));
    text.remove_prefix(std::min(length + 1, text.size()));
  }
  return out;
}

// Of a line of ours; false: it is none.
bool read_line(std::string_view line, json::object& out) {
  constexpr std::string_view kLevel = " level=";
  constexpr std::string_view kEvent = " event=";
  const std::size_t blank = line.find(' ');
  const bool is_ours = blank != std::string_view::npos && blank > 10 && line[4] == '-' && line[10] == 'T' &&
                       line.substr(blank).starts_with(kLevel);
  if (!is_ours) return false;
  std::string_view rest = line.substr(blank + kLevel.size());
  const std::size_t level_length = rest.find(kEvent);
  if (level_length == std::string_view::npos || level_length == 0) return false;
  const std::string_view level = rest.substr(0, level_length);
  rest.remove_prefix(level_length + kEvent.size());
  const std::size_t event_length = value_length(rest);
  const std::string_view event = rest.substr(0, event_length);
  if (level.find(' ') != std::string_view::npos || event.empty()) return false;
  out["time"] = line.substr(0, blank);
  out["level"] = level;
  out["event"] = event;
  out["fields"] = read_fields(rest.substr(std::min(event_length + 1, rest.size())));
  return true;
}

}  // namespace

std::string log_line_json(std::string_view line) {
  const std::string text = valid_utf8(line);
  json::object out;
  if (!read_line(text, out)) out["text"] = text;
  return json::serialize(out);
}

}  // namespace dormouse::cli
