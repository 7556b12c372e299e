// Requests that follow the hours of a week: shapes, measured ones from CSV, and what they keep awake. PURE.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "planner/closed_form.h"
#include "planner/traffic.h"

namespace dormouse::planner {

inline constexpr std::size_t kHoursOfDay = 24;
inline constexpr std::size_t kDaysOfWeek = 7;
inline constexpr std::size_t kHoursOfWeek = kDaysOfWeek * kHoursOfDay;
inline constexpr double kMostWeight = 1e12;  // so that a week's sum is far from the end of double
inline constexpr double kMostRequestsOfMonth = 1e7;

// Requests of each hour of a week relative to the others; Monday 0:00 to 1:00 first.
struct Profile {
  std::array<double, kHoursOfWeek> weight{};
};

// Monday to Friday, 6:00 to 22:00, most of it 9:00 to 18:00 with a dip at noon. The shape is assumed: office hours as
// everybody knows them, their heights fitted so that the cost notes' five checked sums of hours awake come out (800
// requests of 2 s a day, wake 30 s: 13.93, 12.79, 8.56, 6.77 and 4.43 h for timeouts of 600, 300, 60, 30 and 0 s).
[[nodiscard]] Profile office_profile();
// Every hour alike.
[[nodiscard]] Profile always_profile();

// First line `hour,requests` (every day alike) or `weekday,hour,requests`; weekdays Mon to Sun or 0 to 6 (0 is Monday),
// hours 0 to 23, in any order; hours that are missing have none. Only their proportions count. Errors:
// kInvalidArgument with the line and what to do.
[[nodiscard]] Result<Profile> parse_profile(std::string_view csv);

struct ProfileTraffic {
  Profile profile;
  double requests_per_day = 0;  // mean of the days that have any
  double service_s = 0;         // one request, alone
};

// Errors: kInvalidArgument naming the field: not above zero, more than 10,000,000 requests a month, a profile without
// hours. What follows wants it to have passed.
[[nodiscard]] Status check(const ProfileTraffic& traffic);

// Requests a second in that hour of the week.
[[nodiscard]] double rate_in(const ProfileTraffic& traffic, std::size_t hour_of_week);

// A month of 730 h, hour by hour: each as if it lasted. Within 0.5 % of a replay while the timeout is well below an
// hour. nullopt: what steady_state() has no formula for, in the fullest hour.
[[nodiscard]] std::optional<Expected> expected_month(const ProfileTraffic& traffic, const Timer& timer);

// The same without that assumption, for slots 0, by recursion over the week's instants (M(t)/D/inf with a wake; cost
// notes 2.2): for timeouts near an hour and for sharp edges. Within 0.05 % where nothing but the grid is in the way.
// Cost: two weeks in steps of 0.1 s or a tenth of the service, 0.2 s at most. nullopt: other slots, a batch that slows
// down, wake and stay beyond a week, a stay (service + timeout) below 0.1 s.
[[nodiscard]] std::optional<Expected> expected_month_by_instants(const ProfileTraffic& traffic, const Timer& timer);

// Random arrivals at these rates from a Monday 0:00 on, `months` x 730 h of them; the same seed, the same arrivals.
[[nodiscard]] Workload make_arrivals(const ProfileTraffic& traffic, int months, std::uint64_t seed);

}  // namespace dormouse::planner
