#include <algorithm>
#include <charconv>
#include <cmath>
#include <string>

#include "planner/trace.h"

namespace dormouse::planner {
namespace {

std::int64_t us(double seconds) {
  return std::llround(seconds * static_cast<double>(kSecondUs));
}

Error at_line(std::size_t line, const std::string& what) {
  return make_error(Code::kInvalidArgument, "trace, line " + std::to_string(line) + ": " + what);
}

std::string_view take_line(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

// The field of that number; nullopt: the line has fewer.
std::optional<std::string_view> field(std::string_view line, std::size_t number) {
  for (std::size_t i = 0;; ++i) {
    const std::size_t comma = line.find(',');
    if (i == number) return line.substr(0, comma);
    if (comma == std::string_view::npos) return std::nullopt;
    line.remove_prefix(comma + 1);
  }
}

std::optional<std::size_t> column_of(std::string_view header, std::string_view name) {
  for (std::size_t i = 0;; ++i) {
    const std::optional<std::string_view> column = field(header, i);
    if (!column.has_value()) return std::nullopt;
    if (*column == name) return i;
  }
}

std::optional<double> number_in(std::string_view line, std::size_t column) {
  const std::optional<std::string_view> text = field(line, column);
  if (!text.has_value()) return std::nullopt;
  double value = 0;
  const auto [end, ec] = std::from_chars(text->data(), text->data() + text->size(), value);
  const bool is_number = ec == std::errc() && end == text->data() + text->size() && std::isfinite(value) && value >= 0;
  return is_number ? std::optional(value) : std::nullopt;
}

}  // namespace

Result<Workload> parse_trace(std::string_view csv, const TraceOptions& options) {
  const std::optional<TokenSpeeds>& speeds = options.speeds;
  std::string_view rest = csv;
  const std::string_view header = take_line(rest);
  const std::optional<std::size_t> time = column_of(header, "t_s");
  const std::optional<std::size_t> service = column_of(header, "service_s");
  const std::optional<std::size_t> input = column_of(header, "input_tokens");
  const std::optional<std::size_t> output = column_of(header, "output_tokens");
  const bool has_tokens = input.has_value() && output.has_value();
  if (!time.has_value() || (!service.has_value() && !has_tokens)) {
    return at_line(1, "want columns t_s and service_s, or t_s, input_tokens and output_tokens, by commas");
  }
  if (!service.has_value() && !speeds.has_value()) return at_line(1, "tokens without a speed: how many a second?");
  const auto service_of = [&](std::string_view line) -> std::optional<double> {
    if (service.has_value()) return number_in(line, *service);
    const std::optional<double> in = number_in(line, *input);
    const std::optional<double> out = number_in(line, *output);
    if (!in.has_value() || !out.has_value()) return std::nullopt;
    return *in / speeds->input_per_s + *out / speeds->output_per_s;
  };
  Workload out;
  for (std::size_t number = 2; !rest.empty(); ++number) {
    const std::string_view line = take_line(rest);
    if (line.empty()) continue;
    if (out.arrivals.size() >= kMostTraceLines) return at_line(number, "more than 10,000,000 requests");
    const std::optional<double> at = number_in(line, *time);
    const std::optional<double> takes = service_of(line);
    if (!at.has_value() || !takes.has_value()) return at_line(number, "want numbers, zero or more");
    out.arrivals.push_back({us(*at), us(*takes)});
  }
  if (out.arrivals.empty()) return at_line(1, "no request follows");
  const auto earlier = [](const Arrival& a, const Arrival& b) { return a.at_us < b.at_us; };
  std::stable_sort(out.arrivals.begin(), out.arrivals.end(), earlier);
  out.months = days_of(out) / (kHoursOfMonth / 24);
  return out;
}

double days_of(const Workload& workload) {
  if (workload.arrivals.empty()) return 1;
  const std::int64_t span_us = workload.arrivals.back().at_us - workload.arrivals.front().at_us;
  return std::max(1.0, std::ceil(static_cast<double>(span_us) / static_cast<double>(kDayUs)));
}

}  // namespace dormouse::planner
