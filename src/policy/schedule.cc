#include "policy/schedule.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <vector>

namespace dormouse::policy {
namespace {

constexpr std::int32_t kDayMinutes = 24 * 60;
constexpr std::array<std::string_view, 7> kDays = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};

Error unreadable(std::string_view text, std::string_view why) {
  return make_error(Code::kInvalidArgument, "awake window '" + std::string(text) + "': " + std::string(why) +
                                                "; one looks like \"Mon-Fri 08:55-18:05\"");
}

std::vector<std::string_view> words_of(std::string_view text, char separator) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(separator), text.size());
    if (end > 0) out.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

std::optional<int> day_of(std::string_view word) {
  for (std::size_t i = 0; i < kDays.size(); ++i) {
    const bool same = std::equal(word.begin(), word.end(), kDays[i].begin(), kDays[i].end(),
                                 [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; });
    if (same) return static_cast<int>(i);
  }
  return std::nullopt;
}

// "Mon-Fri", "Sat,Sun", "Fri-Mon".
std::optional<std::uint8_t> days_of(std::string_view text) {
  unsigned days = 0;
  for (const std::string_view part : words_of(text, ',')) {
    const std::size_t dash = part.find('-');
    const std::optional<int> first = day_of(part.substr(0, dash));
    const std::optional<int> last = dash == std::string_view::npos ? first : day_of(part.substr(dash + 1));
    if (!first.has_value() || !last.has_value()) return std::nullopt;
    for (int day = *first;; day = (day + 1) % 7) {
      days |= 1U << static_cast<unsigned>(day);
      if (day == *last) break;
    }
  }
  if (days == 0) return std::nullopt;
  return static_cast<std::uint8_t>(days);
}

// "08:55"; 24:00 is midnight at a day's end.
std::optional<std::int32_t> minute_of(std::string_view text) {
  if (text.size() != 5 || text[2] != ':') return std::nullopt;
  int hour = 0;
  int minute = 0;
  const auto number = [](std::string_view digits, int& out) {
    const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), out);
    return ec == std::errc() && end == digits.data() + digits.size() && out >= 0;
  };
  if (!number(text.substr(0, 2), hour) || !number(text.substr(3), minute) || minute > 59) return std::nullopt;
  if (hour > 24 || (hour == 24 && minute > 0)) return std::nullopt;
  return hour * 60 + minute;
}

std::optional<std::int32_t> offset_of(std::string_view text) {
  if (text == "UTC" || text == "Z") return 0;
  if (text.empty() || (text[0] != '+' && text[0] != '-')) return std::nullopt;
  const std::optional<std::int32_t> minutes = minute_of(text.substr(1));
  constexpr std::int32_t kMost = 14 * 60;
  if (!minutes.has_value() || *minutes > kMost) return std::nullopt;
  return text[0] == '-' ? -*minutes : *minutes;
}

}  // namespace

Result<Window> parse_window(std::string_view text) {
  Window out;
  std::vector<std::string_view> words = words_of(text, ' ');
  if (words.empty()) return unreadable(text, "it is empty");
  if (std::isalpha(static_cast<unsigned char>(words.front()[0])) != 0) {
    const std::optional<std::uint8_t> days = days_of(words.front());
    if (!days.has_value()) return unreadable(text, "days are Mon Tue Wed Thu Fri Sat Sun, with - or ,");
    out.days = *days;
    words.erase(words.begin());
  }
  if (words.empty()) return unreadable(text, "the hours are missing");
  const std::string_view hours = words.front();
  const std::size_t dash = hours.find('-');
  const std::optional<std::int32_t> begin = minute_of(hours.substr(0, dash));
  const std::optional<std::int32_t> end =
      dash == std::string_view::npos ? std::nullopt : minute_of(hours.substr(dash + 1));
  if (!begin.has_value() || !end.has_value()) return unreadable(text, "hours are HH:MM-HH:MM");
  out.begin_minute = *begin % kDayMinutes;
  out.end_minute = *end;
  if (words.size() > 2) return unreadable(text, "there is more behind the hours than a zone");
  if (words.size() == 2) {
    out.utc_offset_minutes = offset_of(words.back());
    if (!out.utc_offset_minutes.has_value()) return unreadable(text, "a zone is UTC, +08:00 or -05:00");
  }
  return out;
}

bool is_awake(std::span<const Window> windows, WallTime now, std::chrono::seconds local_offset) {
  for (const Window& window : windows) {
    constexpr std::int64_t kMinute = 60'000'000;
    const std::int64_t offset =
        window.utc_offset_minutes.has_value() ? *window.utc_offset_minutes * kMinute : local_offset.count() * 1'000'000;
    const std::int64_t minutes = (now.us + offset) / kMinute;
    const std::int64_t day = minutes / kDayMinutes;
    const auto minute = static_cast<std::int32_t>(minutes % kDayMinutes);
    const auto begins_on = [&window](std::int64_t d) {
      constexpr std::int64_t kThursday = 3;  // 1970-01-01 was one
      return (window.days >> static_cast<unsigned>((d + kThursday) % 7) & 1U) != 0;
    };
    const bool is_overnight = window.end_minute <= window.begin_minute;
    const bool is_today = minute >= window.begin_minute && (is_overnight || minute < window.end_minute);
    if (is_today && begins_on(day)) return true;
    if (is_overnight && minute < window.end_minute && begins_on(day - 1)) return true;
  }
  return false;
}

}  // namespace dormouse::policy
