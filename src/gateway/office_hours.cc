#include "gateway/office_hours.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace dormouse::gateway {
namespace {

constexpr int kQuarters = 96;  // of a day
constexpr int kMostQuarters = 48;
constexpr double kShare = 0.95;
constexpr int kMinutesOfQuarter = 15;

std::string clock_text(int minute) {
  return fmt::format("{:02}:{:02}", minute / 60 % 24, minute % 60);
}

// "+08:00": whose clock it is, should the reports' zone not be the machine's. As it was at the period's end.
std::string offset_text(const MeasuredPeriod& period) {
  const std::int64_t minutes = period.zone.offset_s(period.end_us / planner::kSecondUs) / 60;
  const std::int64_t size = minutes < 0 ? -minutes : minutes;
  return fmt::format("{}{:02}:{:02}", minutes < 0 ? '-' : '+', size / 60, size % 60);
}

}  // namespace

std::optional<OfficeHours> office_hours(const MeasuredPeriod& period) {
  std::array<std::int64_t, kQuarters + 1> before{};  // on weekdays, before each quarter of the day
  for (const ledger::MeasuredRequest& r : period.workload.requests) {
    const CivilTime local = period.zone.local({r.at_us});
    if (weekday_of(local) > 4) continue;
    ++before.at(static_cast<std::size_t>((local.hour * 60 + local.minute) / kMinutesOfQuarter) + 1);
  }
  for (std::size_t q = 1; q < before.size(); ++q) before.at(q) += before.at(q - 1);
  const auto all = static_cast<double>(period.workload.requests.size());
  const auto share = [&](int begin, int end) {
    return static_cast<double>(before.at(static_cast<std::size_t>(end)) - before.at(static_cast<std::size_t>(begin))) /
           all;
  };
  if (period.workload.requests.empty() || share(0, kQuarters) < kShare) return std::nullopt;
  for (int length = 1; length <= kMostQuarters; ++length) {
    for (int begin = 0; begin + length <= kQuarters; ++begin) {
      if (share(begin, begin + length) < kShare) continue;
      // It has to be awake when the first one comes; a day's first minute is as early as it gets.
      const int wake = static_cast<int>(std::ceil(std::min(timer_of(period).wake_s, 3'600.0) / 60));
      const int first = std::max(0, begin * kMinutesOfQuarter - wake);
      const std::string last = clock_text((begin + length) * kMinutesOfQuarter);
      return OfficeHours{fmt::format("Mon-Fri {}-{} {}", clock_text(first), last, offset_text(period)),
                         share(begin, begin + length)};
    }
  }
  return std::nullopt;
}

}  // namespace dormouse::gateway
