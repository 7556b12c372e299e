#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string>

#include "planner/profile.h"

namespace dormouse::planner {
namespace {

Error at_line(std::size_t line, std::string_view what) {
  return make_error(Code::kInvalidArgument, fmt::format("profile, line {}: {}", line, what));
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpaces = " \t\r";
  const std::size_t begin = text.find_first_not_of(kSpaces);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpaces) - begin + 1);
}

std::string_view take_until(std::string_view& text, char end) {
  const std::size_t at = std::min(text.find(end), text.size());
  const std::string_view taken = text.substr(0, at);
  text.remove_prefix(std::min(at + 1, text.size()));
  return trimmed(taken);
}

template <typename Number>
std::optional<Number> number_of(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

std::optional<std::size_t> weekday_of(std::string_view text) {
  constexpr std::array<std::string_view, kDaysOfWeek> kNames{"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
  std::string lower(text);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  const auto* const name = std::find(kNames.begin(), kNames.end(), lower);
  if (name != kNames.end()) return static_cast<std::size_t>(name - kNames.begin());
  const std::optional<unsigned> number = number_of<unsigned>(text);
  return number.has_value() && *number < kDaysOfWeek ? std::optional<std::size_t>(*number) : std::nullopt;
}

struct HourLine {
  std::size_t weekday = 0;
  std::size_t hour = 0;
  double requests = 0;
};

enum class Columns { kHour, kWeekdayAndHour };

Result<HourLine> parse_hour_line(std::string_view line, Columns columns, std::size_t number) {
  HourLine out;
  std::string_view rest = line;
  if (columns == Columns::kWeekdayAndHour) {
    const std::string_view text = take_until(rest, ',');
    const std::optional<std::size_t> weekday = weekday_of(text);
    if (!weekday) return at_line(number, fmt::format("weekday '{}': want Mon to Sun, or 0 (Monday) to 6", text));
    out.weekday = *weekday;
  }
  const std::string_view hour_text = take_until(rest, ',');
  const std::optional<unsigned> hour = number_of<unsigned>(hour_text);
  if (!hour || *hour >= kHoursOfDay) {
    return at_line(number, fmt::format("hour '{}': want 0 to 23 (24 is the next day's 0)", hour_text));
  }
  out.hour = *hour;
  const std::string_view requests_text = take_until(rest, ',');
  const std::optional<double> requests = number_of<double>(requests_text);
  if (!requests || !(*requests >= 0) || *requests > kMostWeight) {
    return at_line(number, fmt::format("requests '{}': want a number from 0 to 1e12", requests_text));
  }
  out.requests = *requests;
  if (!rest.empty()) return at_line(number, fmt::format("'{}' is left over: want as many fields as line 1", rest));
  return out;
}

Result<Columns> parse_columns(std::string_view line) {
  if (line == "hour,requests") return Columns::kHour;
  if (line == "weekday,hour,requests") return Columns::kWeekdayAndHour;
  return at_line(1, "want hour,requests or weekday,hour,requests");
}

}  // namespace

Result<Profile> parse_profile(std::string_view csv) {
  if (csv.starts_with("\xEF\xBB\xBF")) csv.remove_prefix(3);
  std::string_view rest = csv;
  TRY(const Columns columns, parse_columns(take_until(rest, '\n')));
  const std::size_t days = columns == Columns::kHour ? kDaysOfWeek : 1;  // that one line stands for
  Profile out;
  std::array<std::size_t, kHoursOfWeek> said_at{};
  for (std::size_t number = 2; !rest.empty(); ++number) {
    const std::string_view line = take_until(rest, '\n');
    if (line.empty()) continue;
    TRY(const HourLine hour, parse_hour_line(line, columns, number));
    for (std::size_t day = hour.weekday; day < hour.weekday + days; ++day) {
      const std::size_t index = day * kHoursOfDay + hour.hour;
      if (said_at[index] > 0) {
        return at_line(number, fmt::format("this hour has its requests in line {} already", said_at[index]));
      }
      said_at[index] = number;
      out.weight[index] = hour.requests;
    }
  }
  if (std::all_of(out.weight.begin(), out.weight.end(), [](double weight) { return weight <= 0; })) {
    return at_line(1, "no hour has any requests: give one line for each hour that has");
  }
  return out;
}

}  // namespace dormouse::planner
