// Windows of the week in which a deployment is kept awake: "Mon-Fri 08:55-18:05", "Sat,Sun 10:00-14:00",
// "22:00-06:00" (every day; into the next morning), "Mon-Fri 09:00-18:00 +08:00" (another zone than the gateway's).
// Pure. Threads: any.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace dormouse::policy {

struct Window {
  std::uint8_t days = 0x7F;                        // bit 0: Monday; the days on which it begins
  std::int32_t begin_minute = 0;                   // of the day, [0, 1440)
  std::int32_t end_minute = 0;                     // not in it; not after begin: it ends on the next day
  std::optional<std::int32_t> utc_offset_minutes;  // nullopt: the gateway's own zone
};

// Errors: kInvalidArgument (says what is wrong, and how one looks).
[[nodiscard]] Result<Window> parse_window(std::string_view text);

// local_offset: of the gateway's zone at that time, local minus UTC.
[[nodiscard]] bool is_awake(std::span<const Window> windows, WallTime now, std::chrono::seconds local_offset);

}  // namespace dormouse::policy
