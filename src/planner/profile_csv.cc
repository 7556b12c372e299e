#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/csv.h"
#include "planner/profile.h"

namespace dormouse::planner {
namespace {

constexpr std::size_t kMostFields = 3;

Error at_line(std::size_t line, std::string_view what) {
  return make_error(Code::kInvalidArgument, fmt::format("profile, line {}: {}", line, what));
}

// One line's fields; one empty field: an empty line.
Result<std::vector<std::string_view>> next_line(Csv& csv) {
  const std::size_t line = csv.line();
  std::vector<std::string_view> out;
  for (bool is_last = false; !is_last && !csv.is_at_end();) {
    const std::optional<Csv::Field> field = csv.next();
    if (!field.has_value()) return at_line(line, csv.broken());
    is_last = field->ends == Csv::Field::Ends::kLine;
    if (out.size() == kMostFields) return at_line(line, fmt::format("'{}' is a field too many", field->text));
    out.push_back(field->text);
  }
  return out;
}

std::optional<std::size_t> weekday_of(std::string_view text) {
  constexpr std::array<std::string_view, kDaysOfWeek> kNames{"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
  std::string lower(text);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  const auto* const name = std::find(kNames.begin(), kNames.end(), lower);
  if (name != kNames.end()) return static_cast<std::size_t>(name - kNames.begin());
  const std::optional<unsigned> number = csv_number<unsigned>(text);
  return number.has_value() && *number < kDaysOfWeek ? std::optional<std::size_t>(*number) : std::nullopt;
}

struct HourLine {
  std::size_t weekday = 0;
  std::size_t hour = 0;
  double requests = 0;
};

enum class Columns { kHour, kWeekdayAndHour };

Result<Columns> columns_of(const std::vector<std::string_view>& header) {
  if (header == std::vector<std::string_view>{"hour", "requests"}) return Columns::kHour;
  if (header == std::vector<std::string_view>{"weekday", "hour", "requests"}) return Columns::kWeekdayAndHour;
  return at_line(1, "want hour,requests or weekday,hour,requests");
}

Result<HourLine> hour_line_of(std::vector<std::string_view> fields, Columns columns, std::size_t line) {
  if (columns == Columns::kHour) fields.insert(fields.begin(), "0");
  if (fields.size() != kMostFields) {
    const std::string_view wanted = columns == Columns::kHour ? "hour,requests" : "weekday,hour,requests";
    return at_line(line, fmt::format("want {}, as line 1 says", wanted));
  }
  const std::optional<std::size_t> weekday = weekday_of(fields[0]);
  if (!weekday) return at_line(line, fmt::format("weekday '{}': want Mon to Sun, or 0 (Monday) to 6", fields[0]));
  const std::optional<unsigned> hour = csv_number<unsigned>(fields[1]);
  if (!hour || *hour >= kHoursOfDay) {
    return at_line(line, fmt::format("hour '{}': want 0 to 23 (24 is the next day's 0)", fields[1]));
  }
  const std::optional<double> requests = csv_number<double>(fields[2]);
  if (!requests || !(*requests >= 0) || *requests > kMostWeight) {
    return at_line(line, fmt::format("requests '{}': want a number from 0 to 1e12", fields[2]));
  }
  return HourLine{*weekday, *hour, *requests};
}

}  // namespace

Result<Profile> parse_profile(std::string_view text) {
  Csv csv(text);
  TRY(const std::vector<std::string_view> header, next_line(csv));
  TRY(const Columns columns, columns_of(header));
  const std::size_t days = columns == Columns::kHour ? kDaysOfWeek : 1;  // that one line stands for
  Profile out;
  std::array<std::size_t, kHoursOfWeek> said_in{};
  while (!csv.is_at_end()) {
    const std::size_t line = csv.line();
    TRY(std::vector<std::string_view> fields, next_line(csv));
    if (fields.size() == 1 && fields.front().empty()) continue;
    TRY(const HourLine hour, hour_line_of(std::move(fields), columns, line));
    for (std::size_t day = hour.weekday; day < hour.weekday + days; ++day) {
      const std::size_t index = day * kHoursOfDay + hour.hour;
      if (said_in[index] > 0) {
        return at_line(line, fmt::format("this hour has its requests in line {} already", said_in[index]));
      }
      said_in[index] = line;
      out.weight[index] = hour.requests;
    }
  }
  if (std::all_of(out.weight.begin(), out.weight.end(), [](double weight) { return weight <= 0; })) {
    return at_line(1, "no hour has any requests: give one line for each hour that has");
  }
  return out;
}

}  // namespace dormouse::planner
