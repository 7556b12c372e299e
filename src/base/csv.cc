#include "base/csv.h"

#include <algorithm>

namespace dormouse {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

// A line's '\r' is a blank at its end too.
std::string_view trimmed(std::string_view text) {
  const auto is_blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace

Csv::Csv(std::string_view text) : rest_(text) {
  if (rest_.starts_with(kByteOrderMark)) rest_.remove_prefix(kByteOrderMark.size());
}

// `end`: of the comma, the line break or the text's end.
Csv::Field::Ends Csv::skip_end(std::size_t end) {
  const bool is_comma = end < rest_.size() && rest_[end] == ',';
  rest_.remove_prefix(std::min(end + 1, rest_.size()));
  if (is_comma) return Field::Ends::kField;
  ++line_;
  return Field::Ends::kLine;
}

std::optional<Csv::Field> Csv::next() {
  if (rest_.empty() || !broken_.empty()) return std::nullopt;
  if (rest_.front() == '"') return next_quoted();
  std::size_t end = 0;
  while (end < rest_.size() && rest_[end] != ',' && rest_[end] != '\n') ++end;
  const std::string_view text = trimmed(rest_.substr(0, end));
  return Field{text, skip_end(end)};
}

std::optional<Csv::Field> Csv::next_quoted() {
  std::size_t close = rest_.find('"', 1);
  while (close != std::string_view::npos && close + 1 < rest_.size() && rest_[close + 1] == '"') {
    close = rest_.find('"', close + 2);
  }
  if (close == std::string_view::npos) {
    broken_ = "a quote that does not end";
    return std::nullopt;
  }
  const std::string_view text = rest_.substr(1, close - 1);
  std::size_t end = close + 1;
  while (end < rest_.size() && rest_[end] == '\r') ++end;
  if (end < rest_.size() && rest_[end] != ',' && rest_[end] != '\n') {
    broken_ = "text behind a closing quote: write a quote within quotes twice";
    return std::nullopt;
  }
  line_ += static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
  return Field{trimmed(text), skip_end(end)};
}

}  // namespace dormouse
