#include "base/time_zone.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <optional>
#include <utility>

#include "base/unique_fd.h"

namespace dormouse {
namespace {

constexpr std::int64_t kDayS = 86'400;
constexpr std::int64_t kMicros = 1'000'000;
constexpr std::int64_t kMaxOffsetS = 26 * 3600;           // RFC 9636: more than -25 h, less than 26 h
constexpr std::int64_t kLastYear = 2200;                  // rules are written out up to here
constexpr std::int64_t kLatestS = std::int64_t{1} << 59;  // RFC 9636 advises no earlier than its negative
constexpr std::size_t kMaxFileBytes = 256 * 1024;
constexpr std::uint32_t kMaxTimes = 4'096;
constexpr std::size_t kMaxNameBytes = 64;
constexpr const char* kDirectory = "/usr/share/zoneinfo/";
constexpr const char* kFallback = "Asia/Shanghai";

std::int64_t floor_div(std::int64_t a, std::int64_t b) {
  return a / b - (a % b < 0 ? 1 : 0);
}

bool is_leap(std::int64_t year) {
  return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

int days_in_month(std::int64_t year, int month) {
  constexpr std::array<int, 12> kDays = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return kDays.at(static_cast<std::size_t>(month - 1)) + (month == 2 && is_leap(year) ? 1 : 0);
}

// Keeps what leads out of the directory away from open(2).
bool is_zone_name(std::string_view name) {
  if (name.empty() || name.size() > kMaxNameBytes || name.front() == '/' || name.back() == '/') return false;
  if (name.find("..") != std::string_view::npos || name.find("//") != std::string_view::npos) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '+' || c == '/';
  });
}

Result<std::string> read_file(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.is_open()) return errno_error(path, errno);
  std::string out(kMaxFileBytes + 1, '\0');
  std::size_t size = 0;
  while (size < out.size()) {
    const ssize_t got = ::read(fd.get(), out.data() + size, out.size() - size);
    if (got < 0) return errno_error(path, errno);
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  if (size > kMaxFileBytes) return make_error(Code::kDataLoss, path + ": too large for a time zone");
  out.resize(size);
  return out;
}

}  // namespace

std::int64_t days_of(std::int64_t year, int month, int day) {
  // Howard Hinnant's days_from_civil: years begin in March, so that the leap day is the last.
  const std::int64_t y = month <= 2 ? year - 1 : year;
  const std::int64_t era = floor_div(y, 400);
  const std::int64_t year_of_era = y - era * 400;
  const std::int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  return era * 146'097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719'468;
}

CivilTime date_of(std::int64_t days) {
  const std::int64_t z = days + 719'468;
  const std::int64_t era = floor_div(z, 146'097);
  const std::int64_t day_of_era = z - era * 146'097;
  const std::int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const std::int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const std::int64_t shifted = (5 * day_of_year + 2) / 153;
  CivilTime out;
  out.day = static_cast<int>(day_of_year - (153 * shifted + 2) / 5 + 1);
  out.month = static_cast<int>(shifted < 10 ? shifted + 3 : shifted - 9);
  out.year = year_of_era + era * 400 + (out.month <= 2 ? 1 : 0);
  return out;
}

int weekday_of(const CivilTime& date) {
  const std::int64_t days = days_of(date.year, date.month, date.day) + 3;  // 1970-01-01 was a Thursday
  return static_cast<int>(days - floor_div(days, 7) * 7);
}

// The footer: how the clocks change after the last change in the file, as POSIX's TZ has it.
struct TimeZone::Rule {
  struct Day {
    enum class Kind { kJulian, kDayOfYear, kWeek };
    Kind kind = Kind::kWeek;
    int number = 0;  // of kJulian (1..365, no leap day) and kDayOfYear (0..365)
    int month = 1;
    int week = 1;     // 5: the last
    int weekday = 0;  // 0 is Sunday
    std::int64_t time_s = 7200;

    [[nodiscard]] std::int64_t in(std::int64_t year) const {
      const std::int64_t january = days_of(year, 1, 1);
      if (kind == Kind::kDayOfYear) return (january + number) * kDayS + time_s;
      if (kind == Kind::kJulian) {
        return (january + number - 1 + (is_leap(year) && number >= 60 ? 1 : 0)) * kDayS + time_s;
      }
      const int first_weekday = (weekday_of({.year = year, .month = month}) + 1) % 7;
      int day = 1 + (weekday - first_weekday + 7) % 7 + (week - 1) * 7;
      while (day > days_in_month(year, month)) day -= 7;
      return days_of(year, month, day) * kDayS + time_s;
    }
  };
  std::int64_t standard_s = 0;
  struct Summer {
    std::int64_t offset_s = 0;
    Day begin;
    Day end;
  };
  std::optional<Summer> summer;
};

// A cursor over untrusted bytes: past the end everything is zero and `failed`.
struct TimeZone::Reader {
  std::string_view rest;
  bool failed = false;

  std::string_view take(std::size_t count) {
    if (count > rest.size()) {
      failed = true;
      return {};
    }
    const std::string_view out = rest.substr(0, count);
    rest.remove_prefix(count);
    return out;
  }
  std::int64_t number(std::size_t bytes) {  // big-endian, two's complement
    std::uint64_t value = 0;
    const std::string_view text = take(bytes);
    for (const char c : text) value = value << 8 | static_cast<unsigned char>(c);
    if (bytes == 4) return static_cast<std::int32_t>(static_cast<std::uint32_t>(value));
    return static_cast<std::int64_t>(value);
  }
  bool skip(char c) {
    if (rest.empty() || rest.front() != c) return false;
    rest.remove_prefix(1);
    return true;
  }

  // Of the footer.
  int digits(int low, int high) {
    int value = 0;
    const auto [end, ec] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
    if (ec != std::errc() || value < low || value > high || rest.front() == '-') {
      failed = true;
      return low;
    }
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    return value;
  }
  std::int64_t time() {  // [+-]h[h[h]][:mm[:ss]], up to a week of hours
    const bool negative = skip('-');
    if (!negative) skip('+');
    std::int64_t out = digits(0, 167) * std::int64_t{3600};
    if (skip(':')) out += digits(0, 59) * std::int64_t{60};
    if (skip(':')) out += digits(0, 59);
    return negative ? -out : out;
  }
  void abbreviation() {
    const bool quoted = skip('<');
    std::size_t count = 0;
    const auto belongs = [quoted](char c) {
      const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
      return letter || (quoted && ((c >= '0' && c <= '9') || c == '+' || c == '-'));
    };
    while (count < rest.size() && belongs(rest[count])) ++count;
    rest.remove_prefix(count);
    if (count < 3 || (quoted && !skip('>'))) failed = true;
  }
  Rule::Day day() {
    Rule::Day out;
    if (skip('M')) {
      out.month = digits(1, 12);
      failed |= !skip('.');
      out.week = digits(1, 5);
      failed |= !skip('.');
      out.weekday = digits(0, 6);
    } else if (skip('J')) {
      out.kind = Rule::Day::Kind::kJulian;
      out.number = digits(1, 365);
    } else {
      out.kind = Rule::Day::Kind::kDayOfYear;
      out.number = digits(0, 365);
    }
    if (skip('/')) out.time_s = time();
    return out;
  }
  Rule rule() {
    Rule out;
    abbreviation();
    out.standard_s = -time();  // POSIX counts westward
    if (rest.empty()) return out;
    Rule::Summer summer;
    abbreviation();
    summer.offset_s = rest.empty() || rest.front() == ',' ? out.standard_s + 3600 : -time();
    failed |= !skip(',');
    summer.begin = day();
    failed |= !skip(',');
    summer.end = day();
    failed |= !rest.empty();
    out.summer = summer;
    return out;
  }
};

TimeZone::TimeZone() : changes_{{INT64_MIN, 0}} {}

void TimeZone::extend(const Rule& rule) {
  const std::int64_t from_s = changes_.back().at_s;
  if (!rule.summer.has_value()) {
    // A fixed offset that the last change contradicts would be a file in disagreement with itself: the footer holds.
    if (changes_.back().offset_s != rule.standard_s)
      changes_.push_back({std::max<std::int64_t>(from_s + 1, 0), rule.standard_s});
    return;
  }
  std::vector<Change> more;
  const std::int64_t first_year = std::max<std::int64_t>(1970, from_s < 0 ? 1970 : date_of(from_s / kDayS).year);
  for (std::int64_t year = first_year; year <= kLastYear; ++year) {
    more.push_back({rule.summer->begin.in(year)-rule.standard_s, rule.summer->offset_s});
    more.push_back({rule.summer->end.in(year)-rule.summer->offset_s, rule.standard_s});
  }
  std::stable_sort(more.begin(), more.end(), [](const Change& a, const Change& b) { return a.at_s < b.at_s; });
  for (const Change& change : more) {
    if (change.at_s > from_s && change.offset_s != changes_.back().offset_s) changes_.push_back(change);
  }
}

Result<TimeZone> TimeZone::parse(std::string_view bytes, std::string_view name) {
  const auto bad = [&name](const char* what) {
    return make_error(Code::kDataLoss, fmt::format("time zone {}: {}", name, what));
  };
  Reader reader{bytes};
  TimeZone out;
  out.name_ = name;
  out.changes_.clear();
  std::size_t time_bytes = 4;
  std::array<std::uint32_t, 6> counts{};  // isut, isstd, leap, time, type, char
  while (true) {
    const std::string_view magic = reader.take(4);
    const std::string_view version = reader.take(1);
    reader.take(15);
    for (std::uint32_t& count : counts) count = static_cast<std::uint32_t>(reader.number(4));
    if (reader.failed || magic != "TZif") return bad("no TZif file");
    for (const std::uint32_t count : counts) {
      if (count > kMaxTimes) return bad("a count is beyond every zone there is");
    }
    if (version[0] == '\0' || time_bytes == 8) break;
    // The first block is for readers that know 32 bits only.
    reader.take(counts[3] * 5 + counts[4] * 6 + counts[5] + counts[2] * 8 + counts[1] + counts[0]);
    time_bytes = 8;
  }
  if (counts[4] == 0) return bad("no type of local time");
  std::vector<std::int64_t> times(counts[3]);
  for (std::int64_t& time : times) {
    time = reader.number(time_bytes);
    if (time > kLatestS) return bad("a change after the end of time");
  }
  const std::string_view kinds = reader.take(counts[3]);
  std::vector<std::int64_t> offsets(counts[4]);
  for (std::int64_t& offset : offsets) {
    offset = reader.number(4);
    reader.take(2);
  }
  reader.take(counts[5] + counts[2] * (time_bytes + 4) + counts[1] + counts[0]);
  if (reader.failed) return bad("it ends early");
  for (const std::int64_t offset : offsets) {
    if (offset <= -kMaxOffsetS || offset >= kMaxOffsetS) return bad("an offset of more than a day");
  }
  out.changes_.push_back({INT64_MIN, offsets[0]});
  for (std::size_t i = 0; i < times.size(); ++i) {
    const auto kind = static_cast<unsigned char>(kinds[i]);
    if (kind >= offsets.size()) return bad("a change to a type that is not there");
    if (times[i] <= out.changes_.back().at_s) {
      if (i == 0) continue;  // "since ever", said twice
      return bad("its changes are out of order");
    }
    out.changes_.push_back({times[i], offsets[kind]});
  }
  if (time_bytes == 8 && reader.skip('\n')) {
    const std::size_t end = reader.rest.find('\n');
    if (end == std::string_view::npos) return bad("its footer has no end");
    Reader footer{reader.rest.substr(0, end)};
    if (!footer.rest.empty()) {
      const Rule rule = footer.rule();
      if (footer.failed) return bad("its footer is no POSIX rule");
      out.extend(rule);
    }
  }
  return out;
}

Result<TimeZone> TimeZone::load(std::string_view name) {
  if (name == "UTC") return TimeZone();
  const Error unknown = make_error(Code::kInvalidArgument,
                                   fmt::format("'{}' is no time zone; write Asia/Shanghai or UTC", name.substr(0, 64)));
  if (!is_zone_name(name)) return unknown;
  Result<std::string> bytes = read_file(kDirectory + std::string(name));
  if (bytes.has_value()) {
    Result<TimeZone> zone = parse(*bytes, name);
    if (zone.has_value()) return zone;
  }
  if (name != kFallback) return unknown;
  TimeZone out;  // China has had no summer time since 1991
  out.name_ = kFallback;
  out.changes_ = {{INT64_MIN, 8 * 3600}};
  return out;
}

TimeZone TimeZone::of_system() {
  std::string name;
  std::array<char, 512> link{};
  const ssize_t size = ::readlink("/etc/localtime", link.data(), link.size());
  if (size > 0) {
    const std::string_view target(link.data(), static_cast<std::size_t>(size));
    const std::size_t at = target.find("zoneinfo/");
    if (at != std::string_view::npos) name = target.substr(at + 9);
  }
  if (name.empty()) {
    name = read_file("/etc/timezone").value_or("");  // where the link is a copy: Debian says its name here
    name.erase(std::min(name.find('\n'), name.size()));
  }
  Result<TimeZone> zone = load(name == "Etc/UTC" ? "UTC" : name);
  return zone.has_value() ? *std::move(zone) : load(kFallback).value_or(TimeZone());
}

std::int64_t TimeZone::offset_s(std::int64_t unix_s) const {
  const auto after = std::upper_bound(changes_.begin(), changes_.end(), unix_s,
                                      [](std::int64_t at, const Change& change) { return at < change.at_s; });
  return after == changes_.begin() ? changes_.front().offset_s : std::prev(after)->offset_s;
}

CivilTime TimeZone::local(WallTime at) const {
  const std::int64_t unix_s = floor_div(at.us, kMicros);
  const std::int64_t shown = unix_s + offset_s(unix_s);
  const std::int64_t days = floor_div(shown, kDayS);
  const auto second = static_cast<int>(shown - days * kDayS);
  CivilTime out = date_of(days);
  out.hour = second / 3600;
  out.minute = second / 60 % 60;
  out.second = second % 60;
  return out;
}

WallTime TimeZone::first(const CivilTime& at) const {
  const std::int64_t months = at.year * 12 + at.month - 1;
  const std::int64_t year = floor_div(months, 12);
  const std::int64_t days = days_of(year, static_cast<int>(months - year * 12) + 1, 1) + at.day - 1;
  const std::int64_t shown = days * kDayS + at.hour * std::int64_t{3600} + at.minute * std::int64_t{60} + at.second;
  // From a moment at which it is surely still earlier there, through each stretch of one offset.
  std::int64_t from = shown - kMaxOffsetS;
  auto next = std::upper_bound(changes_.begin(), changes_.end(), from,
                               [](std::int64_t t, const Change& change) { return t < change.at_s; });
  std::int64_t offset = offset_s(from);
  while (true) {
    const std::int64_t candidate = std::max(from, shown - offset);
    if (next == changes_.end() || candidate < next->at_s) return {candidate * kMicros};
    from = next->at_s;
    offset = next->offset_s;
    ++next;
  }
}

WallTime TimeZone::day_begin(WallTime at) const {
  CivilTime day = local(at);
  day.hour = day.minute = day.second = 0;
  return first(day);
}

WallTime TimeZone::month_begin(WallTime at) const {
  const CivilTime now = local(at);
  return first({.year = now.year, .month = now.month});
}

std::string TimeZone::iso(WallTime at) const {
  const CivilTime t = local(at);
  const std::int64_t minutes = offset_s(floor_div(at.us, kMicros)) / 60;
  const std::int64_t size = minutes < 0 ? -minutes : minutes;
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{}{:02}:{:02}", t.year, t.month, t.day, t.hour, t.minute,
                     t.second, minutes < 0 ? '-' : '+', size / 60, size % 60);
}

}  // namespace dormouse
