#include "gateway/admin/period.h"

#include <fmt/format.h>

#include <array>
#include <charconv>

#include "catalog/config_file.h"

namespace dormouse::gateway {
namespace {

constexpr std::int64_t kFirstYear = 1970;
constexpr std::int64_t kLastYear = 2199;

// Digits of a fixed width at the front of `text`, which are taken off.
bool take_number(std::string_view& text, std::size_t width, int& out) {
  if (text.size() < width) return false;
  for (std::size_t i = 0; i < width; ++i) {
    if (text[i] < '0' || text[i] > '9') return false;
  }
  std::from_chars(text.data(), text.data() + width, out);
  text.remove_prefix(width);
  return true;
}

bool take(std::string_view& text, char c) {
  if (text.empty() || text.front() != c) return false;
  text.remove_prefix(1);
  return true;
}

// A date that exists: what date_of makes of its day number is the same again.
bool is_date(const CivilTime& t) {
  if (t.year < kFirstYear || t.year > kLastYear || t.month < 1 || t.month > 12 || t.day < 1) return false;
  const CivilTime same = date_of(days_of(t.year, t.month, t.day));
  return same.month == t.month && same.day == t.day;
}

// The whole of `text`, as far as it goes: year, month, day, time, Z.
bool parse_civil(std::string_view text, CivilTime& out, bool& is_utc) {
  int year = 0;
  if (!take_number(text, 4, year)) return false;
  out.year = year;
  const std::array<std::pair<char, int*>, 2> parts = {{{'-', &out.month}, {'-', &out.day}}};
  for (const auto& [mark, number] : parts) {
    if (text.empty()) return is_date(out);
    if (!take(text, mark) || !take_number(text, 2, *number)) return false;
  }
  if (text.empty()) return is_date(out);
  if (!take(text, 'T') && !take(text, ' ')) return false;
  if (!take_number(text, 2, out.hour) || !take(text, ':') || !take_number(text, 2, out.minute)) return false;
  if (take(text, ':') && !take_number(text, 2, out.second)) return false;
  is_utc = take(text, 'Z');
  return text.empty() && is_date(out) && out.hour < 24 && out.minute < 60 && out.second < 60;
}

}  // namespace

Result<WallTime> parse_moment(std::string_view text, WallTime now, const TimeZone& zone) {
  if (text == "today") return zone.day_begin(now);
  CivilTime civil;
  bool is_utc = false;
  if (parse_civil(text, civil, is_utc)) return is_utc ? TimeZone().first(civil) : zone.first(civil);
  const bool has_unit = !text.empty() && (text.back() < '0' || text.back() > '9');
  const Result<std::chrono::milliseconds> ago = catalog::parse_duration(text);
  if (has_unit && ago.has_value()) return WallTime{now.us - ago->count() * 1000};
  return make_error(
      Code::kInvalidArgument,
      fmt::format("'{}' is no moment; write 7d, today, 2026-11-01 or 2026-11-01T08:30", text.substr(0, 40)));
}

Result<TimeZone> zone_of(const QueryString& query, const TimeZone& otherwise) {
  const std::optional<std::string> name = query.text("time_zone");
  if (!name.has_value() || name->empty()) return otherwise;
  Result<TimeZone> zone = TimeZone::load(*name);
  if (!zone.has_value()) return make_error(Code::kInvalidArgument, "time_zone: " + zone.error().message);
  return zone;
}

Result<YearMonth> parse_month(std::string_view text, WallTime now, const TimeZone& zone) {
  if (text.empty()) {
    const CivilTime today = zone.local(now);
    return YearMonth{today.year, today.month};
  }
  CivilTime civil;
  bool is_utc = false;
  if (text.size() == 7 && parse_civil(text, civil, is_utc)) return YearMonth{civil.year, civil.month};
  return make_error(Code::kInvalidArgument, fmt::format("'{}' is no month; write 2026-11", text.substr(0, 40)));
}

}  // namespace dormouse::gateway
