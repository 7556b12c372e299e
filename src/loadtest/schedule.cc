#include "loadtest/schedule.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <random>

#include "base/csv.h"

namespace dormouse::loadtest {
namespace {

Error at_line(std::size_t line, std::string_view what) {
  return make_error(Code::kInvalidArgument, fmt::format("trace, line {}: {}", line, what));
}

// Of the next line. Errors: kInvalidArgument: it is no CSV.
Result<std::vector<std::string_view>> next_line(Csv& csv) {
  std::vector<std::string_view> out;
  while (const std::optional<Csv::Field> field = csv.next()) {
    out.push_back(field->text);
    if (field->ends == Csv::Field::Ends::kLine) return out;
  }
  if (csv.broken().empty()) return out;
  return at_line(csv.line(), std::string(csv.broken()));
}

std::optional<std::size_t> column_of(const std::vector<std::string_view>& header, std::string_view name) {
  const auto found = std::find(header.begin(), header.end(), name);
  if (found == header.end()) return std::nullopt;
  return static_cast<std::size_t>(found - header.begin());
}

std::optional<double> number_in(const std::vector<std::string_view>& fields, std::size_t column, double most) {
  if (column >= fields.size()) return std::nullopt;
  const std::optional<double> value = csv_number<double>(fields[column]);
  return value.has_value() && *value >= 0 && *value <= most ? value : std::nullopt;
}

// Whether the next request, due at `at_s`, is still one of the step.
bool is_within(const Extent& extent, std::size_t count, double at_s) {
  if (extent.requests > 0 && count >= static_cast<std::size_t>(extent.requests)) return false;
  return extent.duration_s <= 0 || at_s < extent.duration_s;
}

}  // namespace

std::string_view to_string(Step::Kind kind) {
  switch (kind) {
    case Step::Kind::kClosed: return "closed";
    case Step::Kind::kPoisson: return "poisson";
    case Step::Kind::kConstant: return "constant";
    case Step::Kind::kTrace: return "trace";
    case Step::Kind::kCold: return "cold";
  }
  return "closed";
}

Status check_extent(double rate, const Extent& extent) {
  if (!(rate > 0) || !(rate <= 100'000)) {
    return make_error(Code::kInvalidArgument, "--rate: want requests a second, above 0 and at most 100000");
  }
  if (extent.requests <= 0 && extent.duration_s <= 0) {
    return make_error(Code::kInvalidArgument, "a step without an end: want --requests or --duration above 0");
  }
  const bool is_counted = extent.requests > 0 && extent.requests <= kMostRequests;
  const bool is_timed = extent.duration_s > 0 && rate * extent.duration_s <= static_cast<double>(kMostRequests);
  if (is_counted || is_timed) return {};
  return make_error(Code::kInvalidArgument,
                    fmt::format("--requests or --rate times --duration: at most {} requests a step", kMostRequests));
}

std::vector<Due> constant_arrivals(double rate, const Extent& extent) {
  std::vector<Due> out;
  for (double at_s = 0; is_within(extent, out.size(), at_s); at_s = static_cast<double>(out.size()) / rate) {
    out.push_back({.at_s = at_s});
  }
  return out;
}

std::vector<Due> poisson_arrivals(double rate, const Extent& extent, std::uint64_t seed) {
  // Not std::exponential_distribution: its results are the library's choice, and a seed should mean one trace.
  std::mt19937_64 random(seed);
  const auto gap_s = [&random, rate] {
    const double uniform = static_cast<double>(random() >> 11) * 0x1p-53;  // [0, 1)
    return -std::log1p(-uniform) / rate;
  };
  std::vector<Due> out;
  for (double at_s = gap_s(); is_within(extent, out.size(), at_s); at_s += gap_s()) out.push_back({.at_s = at_s});
  return out;
}

Result<std::vector<Due>> parse_trace(std::string_view text) {
  constexpr double kMostSeconds = 366.0 * 86'400;
  Csv csv(text);
  TRY(const std::vector<std::string_view> header, next_line(csv));
  const std::optional<std::size_t> time = column_of(header, "t_s");
  const std::optional<std::size_t> input = column_of(header, "input_tokens");
  const std::optional<std::size_t> output = column_of(header, "output_tokens");
  if (!time.has_value() || !input.has_value() || !output.has_value()) {
    return at_line(1, "want the columns t_s, input_tokens and output_tokens, by commas");
  }
  std::vector<Due> out;
  while (!csv.is_at_end()) {
    const std::size_t number = csv.line();
    TRY(const std::vector<std::string_view> fields, next_line(csv));
    if (fields.size() == 1 && fields[0].empty()) continue;
    if (out.size() >= static_cast<std::size_t>(kMostRequests)) return at_line(number, "more than 1,000,000 requests");
    const std::optional<double> at_s = number_in(fields, *time, kMostSeconds);
    const std::optional<double> in = number_in(fields, *input, kMostTokens);
    const std::optional<double> asked = number_in(fields, *output, kMostTokens);
    if (!at_s.has_value() || !in.has_value() || !asked.has_value()) {
      return at_line(number, "want seconds of at most a year and tokens of at most 1,000,000, none below zero");
    }
    // An answer of no tokens cannot be asked for.
    out.push_back({*at_s, std::llround(std::max(1.0, *in)), std::llround(std::max(1.0, *asked))});
  }
  if (out.empty()) return at_line(1, "no request follows");
  std::stable_sort(out.begin(), out.end(), [](const Due& a, const Due& b) { return a.at_s < b.at_s; });
  const double first_s = out.front().at_s;
  for (Due& due : out) due.at_s -= first_s;
  return out;
}

std::vector<Due> sped_up(std::vector<Due> trace, double speed, const Extent& extent) {
  std::vector<Due> out;
  for (Due& due : trace) {
    due.at_s /= speed;
    if (!is_within(extent, out.size(), due.at_s)) break;
    out.push_back(due);
  }
  return out;
}

}  // namespace dormouse::loadtest
