// Texts with placeholders: "--client-token={instance}". "{{" is a brace. Pure functions.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>

#include "base/result.h"

namespace dormouse::fleet {

// The names used in `text`. Errors: kInvalidArgument (a brace left open, a name not among `known`).
[[nodiscard]] Result<std::set<std::string>> placeholders_of(std::string_view text, const std::set<std::string>& known);

// Replaces each placeholder once: what stands in a value is never read again. A name without a value becomes nothing.
[[nodiscard]] std::string filled(std::string_view text, const std::map<std::string, std::string>& values);

}  // namespace dormouse::fleet
