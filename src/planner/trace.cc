#include "planner/trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "base/csv.h"

namespace dormouse::planner {
namespace {

enum Column : std::size_t { kTime, kService, kInput, kOutput, kColumns };
constexpr std::array<std::string_view, kColumns> kNames = {"t_s", "service_s", "input_tokens", "output_tokens"};

Error at_line(std::size_t line, std::string_view what) {
  return make_error(Code::kInvalidArgument, fmt::format("trace, line {}: {}", line, what));
}

// What a file says, in a message: a little of it, and nothing that a terminal obeys.
std::string shown(std::string_view text) {
  constexpr std::size_t kMost = 40;
  std::string out(text.substr(0, kMost));
  std::replace_if(
      out.begin(), out.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return text.size() > kMost ? out + "..." : out;
}

// Of one trace, line by line.
class Parser {
 public:
  Parser(std::string_view text, const TraceOptions& options) : csv_(text), options_(options) {}

  Status read_header();
  // The next request, if its line has one.
  Status read_line(std::vector<Arrival>& out);

  [[nodiscard]] bool is_at_end() const { return csv_.is_at_end(); }
  [[nodiscard]] std::int64_t input_tokens() const { return input_tokens_; }
  [[nodiscard]] std::int64_t output_tokens() const { return output_tokens_; }

 private:
  static constexpr std::size_t kNone = SIZE_MAX;  // of a column, of a field

  [[nodiscard]] bool has(Column column) const { return field_of_[column] != kNone; }
  Result<bool> read_fields();
  [[nodiscard]] Error error(std::string_view what) const { return at_line(line_, what); }
  [[nodiscard]] Result<std::string_view> text_of(Column column, std::string_view want) const;
  [[nodiscard]] Result<double> seconds_of(Column column) const;
  [[nodiscard]] Result<std::int64_t> tokens_of(Column column) const;
  [[nodiscard]] Result<std::int64_t> time_us() const;
  Result<std::int64_t> service_us();

  Csv csv_;
  const TraceOptions& options_;
  std::array<std::size_t, kColumns> field_of_{kNone, kNone, kNone, kNone};  // which of a line's
  std::vector<Column> column_of_;                                           // which a field is; kColumns: skipped
  std::size_t line_ = 1;                                                    // that is read
  std::array<std::optional<std::string_view>, kColumns> texts_;             // of that line
  std::int64_t last_us_ = 0;
  std::int64_t input_tokens_ = 0;
  std::int64_t output_tokens_ = 0;
};

Status Parser::read_header() {
  std::string header;
  for (bool is_last = false; !is_last && !csv_.is_at_end();) {
    const std::optional<Csv::Field> field = csv_.next();
    if (!field.has_value()) return error(csv_.broken());
    is_last = field->ends == Csv::Field::Ends::kLine;
    const auto* const name = std::find(kNames.begin(), kNames.end(), field->text);
    const auto column = static_cast<Column>(name - kNames.begin());
    if (column != kColumns && has(column)) return error(fmt::format("column {} stands twice", field->text));
    if (column != kColumns) field_of_[column] = column_of_.size();
    column_of_.push_back(column);
    if (header.size() <= 40) header.append(header.empty() ? "" : ",").append(field->text.substr(0, 41));
  }
  if (!has(kTime) || (!has(kService) && !(has(kInput) && has(kOutput)))) {
    return error(
        fmt::format("want the names of columns by commas, t_s,service_s or t_s,input_tokens,output_tokens; "
                    "got '{}'",
                    shown(header)));
  }
  const std::optional<TokenSpeeds>& speeds = options_.speeds;
  if (has(kService)) return {};
  if (!speeds.has_value()) return error("tokens without a speed: how many a second? Or give a column service_s");
  if (speeds->input_per_s > 0 && speeds->output_per_s > 0) return {};
  return error("tokens need speeds above 0 a second, for input and output");
}

// false: an empty line.
Result<bool> Parser::read_fields() {
  line_ = csv_.line();
  texts_ = {};
  for (std::size_t i = 0;; ++i) {
    const std::optional<Csv::Field> field = csv_.next();
    if (!field.has_value()) return error(csv_.broken());
    const bool is_last = field->ends == Csv::Field::Ends::kLine || csv_.is_at_end();
    if (i == 0 && is_last && field->text.empty()) return false;
    if (i >= column_of_.size()) {
      return error(
          fmt::format("more fields than the header's {}: write decimals with a point, 12.5, and text with "
                      "commas in quotes",
                      column_of_.size()));
    }
    if (column_of_[i] != kColumns) texts_[column_of_[i]] = field->text;
    if (is_last) return true;
  }
}

Result<std::string_view> Parser::text_of(Column column, std::string_view want) const {
  const std::optional<std::string_view>& text = texts_[column];
  if (!text.has_value()) return error(fmt::format("{} is missing: want {}", kNames[column], want));
  if (text->empty()) return error(fmt::format("{} is empty: want {}", kNames[column], want));
  return *text;
}

Result<double> Parser::seconds_of(Column column) const {
  constexpr std::string_view kWant = "seconds from 0 on, e.g. 12.5";
  TRY(const std::string_view text, text_of(column, kWant));
  const std::optional<double> seconds = csv_number<double>(text);
  if (seconds.has_value() && std::isfinite(*seconds) && *seconds >= 0) return *seconds;
  return error(fmt::format("{} is '{}': want {}", kNames[column], shown(text), kWant));
}

// 0: there is no such column.
Result<std::int64_t> Parser::tokens_of(Column column) const {
  if (!has(column)) return 0;
  constexpr std::string_view kWant = "whole tokens from 0 to 1,000,000,000";
  TRY(const std::string_view text, text_of(column, kWant));
  const std::optional<std::int64_t> tokens = csv_number<std::int64_t>(text);
  if (tokens.has_value() && *tokens >= 0 && *tokens <= kMostTraceTokens) return *tokens;
  return error(fmt::format("{} is '{}': want {}", kNames[column], shown(text), kWant));
}

Result<std::int64_t> Parser::time_us() const {
  TRY(const double at_s, seconds_of(kTime));
  if (at_s > to_seconds(kMostUs)) {
    return error(
        fmt::format("t_s {} is beyond ten years: want seconds since the trace's beginning, not a date: "
                    "subtract the first",
                    at_s));
  }
  const std::int64_t at_us = to_us(at_s);
  if (at_us < last_us_) {
    return error(fmt::format("t_s {} comes after {}: sort the lines below the header by t_s, e.g. sort -t, -k{},{}g",
                             at_s, to_seconds(last_us_), field_of_[kTime] + 1, field_of_[kTime] + 1));
  }
  if (at_us - last_us_ > kHoleUs && options_.holes == Holes::kRefuse) {
    return error(
        fmt::format("t_s {} comes {:.1f} days after the request before it: a week without any is a hole; "
                    "cut it out, or keep it with --holes keep",
                    at_s, to_seconds(at_us - last_us_) / to_seconds(kDayUs)));
  }
  return at_us;
}

Result<std::int64_t> Parser::service_us() {
  TRY(const std::int64_t input, tokens_of(kInput));
  TRY(const std::int64_t output, tokens_of(kOutput));
  if (options_.context_tokens > 0 && input + output > options_.context_tokens) {
    return error(
        fmt::format("input_tokens {} and output_tokens {} are more than the context of {}: want at most that "
                    "together, or a model with a longer one",
                    input, output, options_.context_tokens));
  }
  input_tokens_ += input;
  output_tokens_ += output;
  if (has(kService)) {
    TRY(const double service_s, seconds_of(kService));
    if (service_s <= to_seconds(kMostServiceUs)) return to_us(service_s);
    return error(
        fmt::format("service_s {} is more than a day and looks like milliseconds: divide by 1,000", service_s));
  }
  const double service_s = static_cast<double>(input) / options_.speeds->input_per_s +
                           static_cast<double>(output) / options_.speeds->output_per_s;
  if (service_s <= to_seconds(kMostServiceUs)) return to_us(service_s);
  return error(
      fmt::format("input_tokens {} and output_tokens {} take more than a day at {} and {} a second: check "
                  "tokens and speeds",
                  input, output, options_.speeds->input_per_s, options_.speeds->output_per_s));
}

Status Parser::read_line(std::vector<Arrival>& out) {
  TRY(const bool is_request, read_fields());
  if (!is_request) return {};
  if (out.size() >= kMostTraceLines) return error("more than 10,000,000 requests: split the trace");
  TRY(const std::int64_t at_us, time_us());
  TRY(const std::int64_t takes_us, service_us());
  last_us_ = at_us;
  out.push_back({at_us, takes_us});
  return {};
}

}  // namespace

Result<Workload> parse_trace(std::string_view csv, const TraceOptions& options) {
  Parser parser(csv, options);
  TRY_STATUS(parser.read_header());
  Workload out;
  const auto lines = static_cast<std::size_t>(std::count(csv.begin(), csv.end(), '\n'));  // one is the header's
  out.arrivals.reserve(std::min(lines, kMostTraceLines));
  while (!parser.is_at_end()) TRY_STATUS(parser.read_line(out.arrivals));
  if (out.arrivals.empty()) return at_line(1, "no request follows the names of the columns");
  out.input_tokens = parser.input_tokens();
  out.output_tokens = parser.output_tokens();
  out.months = days_of(out) / (kHoursOfMonth / 24);
  return out;
}

double days_of(const Workload& workload) {
  if (workload.arrivals.empty()) return 1;
  const std::int64_t span_us = workload.arrivals.back().at_us - workload.arrivals.front().at_us;
  return std::max(1.0, std::ceil(static_cast<double>(span_us) / static_cast<double>(kDayUs)));
}

}  // namespace dormouse::planner
