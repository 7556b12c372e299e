// The table of `dormouse ps`: who is awake, since when, at what cost. Pure.
#pragma once

#include <cstddef>
#include <string>

#include "cli/words.h"
#include "gateway/admin_wire.h"

namespace dormouse::cli {

// In at most so many columns where that can be: what matters least goes first (the image, then the rates, instances,
// type, money), before any cell is broken. 0: all of it, unbroken. Times are the server's zone's.
[[nodiscard]] std::string ps_text(const gateway::StatusView& status, std::size_t columns, Language language);

}  // namespace dormouse::cli
