// Files a person names on the command line, whole: traces, prompts, profiles. Threads: any.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace dormouse::cli {

// Some five million rows of a trace: a request every six seconds for a year. One that never ends (a device) is read no
// further.
inline constexpr std::size_t kMostFileBytes = 256U << 20;

// `flag`: what named it, the first word of every error. Errors: kInvalidArgument, with the system's reason, or with the
// cap it is over.
[[nodiscard]] Result<std::string> read_input_file(std::string_view flag, const std::string& path);

}  // namespace dormouse::cli
