#include "fleet/drivers/answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <utility>

namespace dormouse::fleet {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxDepth = 32;     // of JSON
constexpr std::size_t kMaxRows = 10'000;  // of one answer; further ones are not read

Error bad(std::string message) {
  return make_error(Code::kInvalidArgument, std::move(message));
}

Result<Between> parse_between(std::string_view text) {
  const std::size_t bar = text.find('|');
  if (bar == std::string_view::npos) return bad(fmt::format("'between:{}': write between:BEFORE|AFTER", text));
  return Between{std::string(text.substr(0, bar)), std::string(text.substr(bar + 1))};
}

Result<Reading> parse_json_path(std::string_view text) {
  if (!text.starts_with('/')) return bad(fmt::format("'json:{}': a path begins with '/'", text));
  Reading out;
  out.kind = Reading::Kind::kJson;
  while (text.size() > 1 || (text.size() == 1 && !out.path.empty())) {
    text.remove_prefix(1);
    const std::size_t slash = std::min(text.find('/'), text.size());
    if (slash == 0) return bad("a path with nothing between two '/'");
    out.path.emplace_back(text.substr(0, slash));
    text.remove_prefix(slash);
  }
  return out;
}

// All values a path leads to, in order. Not recursive in the text: the path's length is the depth.
std::vector<const json::value*> walk(const json::value& root, const std::vector<std::string>& path) {
  std::vector<const json::value*> here = {&root};
  for (const std::string& step : path) {
    std::vector<const json::value*> next;
    const std::size_t equals = step.find('=');
    const bool picks = step.size() > 2 && step.front() == '[' && step.back() == ']' && equals != std::string::npos;
    const std::string key = picks ? step.substr(1, equals - 1) : step;
    const std::string wanted = picks ? step.substr(equals + 1, step.size() - equals - 2) : "";
    for (const json::value* value : here) {
      if (next.size() >= kMaxRows) break;
      if (const json::array* array = value->if_array()) {
        std::size_t index = 0;
        const auto [end, ec] = std::from_chars(step.data(), step.data() + step.size(), index);
        const bool is_index = ec == std::errc() && end == step.data() + step.size();
        if (is_index && index < array->size()) next.push_back(&(*array)[index]);
        if (!picks && step != "*") continue;
        for (const json::value& item : *array) {
          const json::object* object = item.if_object();
          const json::value* tag = object != nullptr && picks ? object->if_contains(key) : nullptr;
          const json::string* name = tag != nullptr ? tag->if_string() : nullptr;
          if (step == "*" || (name != nullptr && *name == wanted)) next.push_back(&item);
        }
      } else if (const json::object* object = value->if_object()) {
        if (const json::value* member = object->if_contains(step)) next.push_back(member);
        if (step != "*") continue;
        for (const auto& pair : *object) next.push_back(&pair.value());
      }
    }
    here = std::move(next);
  }
  return here;
}

std::optional<std::string> scalar(const json::value& value) {
  if (const json::string* text = value.if_string()) return std::string(*text);
  if (value.is_number() || value.is_bool()) return json::serialize(value);
  return std::nullopt;
}

std::optional<std::string> read_between(std::string_view text, const Between& between) {
  const std::size_t begin = text.find(between.before);
  if (begin == std::string_view::npos) return std::nullopt;
  text.remove_prefix(begin + between.before.size());
  const std::size_t end = text.find(between.after.empty() ? "\n" : std::string_view(between.after));
  if (end == std::string_view::npos && !between.after.empty()) return std::nullopt;
  return std::string(text.substr(0, end));
}

std::optional<std::string> read_text(std::string_view text, const Reading& reading) {
  if (reading.kind == Reading::Kind::kBetween) return read_between(text, reading.between);
  constexpr std::string_view kBlank = " \t\r\n";
  for (std::size_t column = 1;; ++column) {
    const std::size_t begin = text.find_first_not_of(kBlank);
    if (begin == std::string_view::npos) return std::nullopt;
    text.remove_prefix(begin);
    const std::size_t end = std::min(text.find_first_of(kBlank), text.size());
    if (column == reading.column) return std::string(text.substr(0, end));
    text.remove_prefix(end);
  }
}

std::optional<std::string> read_on(std::optional<std::string> found, const Reading& reading) {
  if (!found.has_value() || !reading.then.has_value()) return found;
  return read_between(*found, *reading.then);
}

std::optional<std::string> read_json(const json::value& root, const Reading& reading) {
  for (const json::value* value : walk(root, reading.path)) {
    std::optional<std::string> text = read_on(scalar(*value), reading);
    if (text.has_value()) return text;
  }
  return std::nullopt;
}

}  // namespace

struct Answer::Parsed {
  std::string text;
  json::value root;
};

Result<Reading> Reading::parse(std::string_view text) {
  constexpr std::string_view kThen = " between:";
  const std::size_t then = text.find(kThen);
  const std::string_view first = text.substr(0, then);
  Result<Reading> out = bad(fmt::format("'{}': write json:/PATH, column:N or between:BEFORE|AFTER", text));
  if (first.starts_with("json:")) {
    out = parse_json_path(first.substr(5));
  } else if (text.starts_with("between:")) {
    TRY(Between between, parse_between(text.substr(8)));
    Reading reading;
    reading.kind = Kind::kBetween;
    reading.between = std::move(between);
    return reading;
  } else if (first.starts_with("column:")) {
    Reading reading;
    reading.kind = Kind::kColumn;
    const char* const end = first.data() + first.size();
    const auto [stop, ec] = std::from_chars(first.data() + 7, end, reading.column);
    if (ec == std::errc() && stop == end && reading.column >= 1) out = std::move(reading);
  }
  if (!out.has_value() || then == std::string_view::npos) return out;
  TRY(out->then, parse_between(text.substr(then + kThen.size())));
  return out;
}

Answer::Answer() : parsed_(std::make_unique<Parsed>()) {}
Answer::~Answer() = default;
Answer::Answer(Answer&&) noexcept = default;
Answer& Answer::operator=(Answer&&) noexcept = default;

Result<Answer> Answer::parse(std::string text, AnswerForm form) {
  Answer out;
  out.parsed_->text = std::move(text);
  if (form == AnswerForm::kText) return out;
  json::parse_options options;
  options.max_depth = kMaxDepth;
  boost::system::error_code ec;
  out.parsed_->root = json::parse(out.parsed_->text, ec, json::storage_ptr(), options);
  if (ec) return make_error(Code::kDataLoss, "the answer is not one JSON document: " + ec.message());
  return out;
}

std::optional<std::string> Answer::value(const Reading& reading) const {
  if (reading.kind == Reading::Kind::kJson) return read_json(parsed_->root, reading);
  return read_on(read_text(parsed_->text, reading), reading);
}

Result<std::vector<Answer::Row>> Answer::rows(const Reading& rows, const std::vector<const Reading*>& fields) const {
  const std::vector<std::string> first(rows.path.begin(), rows.path.begin() + (rows.path.empty() ? 0 : 1));
  const bool any =
      !first.empty() && first.front() == "*" ? parsed_->root.is_array() : !walk(parsed_->root, first).empty();
  if (!any || parsed_->root.is_null()) {
    return make_error(Code::kDataLoss, "the answer has no list at /" + (first.empty() ? "" : first.front()));
  }
  std::vector<Row> out;
  for (const json::value* value : walk(parsed_->root, rows.path)) {
    Row row;
    for (const Reading* field : fields) {
      row.push_back(field == nullptr ? std::nullopt : read_json(*value, *field));
    }
    out.push_back(std::move(row));
  }
  return out;
}

std::vector<Answer::Row> Answer::lines(const std::vector<const Reading*>& fields) const {
  std::vector<Row> out;
  std::string_view text = parsed_->text;
  while (!text.empty() && out.size() < kMaxRows) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    Row row;
    for (const Reading* field : fields) {
      row.push_back(field == nullptr ? std::nullopt : read_on(read_text(line, *field), *field));
    }
    out.push_back(std::move(row));
  }
  return out;
}

}  // namespace dormouse::fleet
