// The value of a switch that is a whole number.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace dormouse::worker {

// Errors: kInvalidArgument, naming the switch, its bounds and what was given.
[[nodiscard]] Result<std::int64_t> number_switch(std::string_view flag, std::string_view text, std::int64_t min,
                                                 std::int64_t max);

}  // namespace dormouse::worker
