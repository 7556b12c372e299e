// "7d", "2026-11-01", "2026-11": what a person types for a moment or a month, in a time zone. Pure.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "base/time_zone.h"
#include "gateway/admin/query_string.h"

namespace dormouse::gateway {

// "90m", "12h", "7d" (so long before `now`), "today", "2026", "2026-11", "2026-11-01", "2026-11-01T08:30",
// "2026-11-01T08:30:15", the last two also with "Z" for UTC. Of a year, month or day its beginning.
// Errors: kInvalidArgument, with what is accepted.
[[nodiscard]] Result<WallTime> parse_moment(std::string_view text, WallTime now, const TimeZone& zone);

// The query's time_zone; without one `otherwise`. Errors: kInvalidArgument, naming it: no such zone.
[[nodiscard]] Result<TimeZone> zone_of(const QueryString& query, const TimeZone& otherwise);

struct YearMonth {
  std::int64_t year = 1970;
  int month = 1;
};
// "2026-11"; empty: the one `now` lies in. Errors: kInvalidArgument.
[[nodiscard]] Result<YearMonth> parse_month(std::string_view text, WallTime now, const TimeZone& zone);

}  // namespace dormouse::gateway
