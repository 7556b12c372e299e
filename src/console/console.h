// The web console's files, embedded: what web/build.sh made when this binary was built, or, where that could not be,
// one page that says how. Threads: any.
#pragma once

#include <span>

#include "gateway/console/console_file.h"

namespace dormouse::console {

[[nodiscard]] std::span<const gateway::ConsoleFile> files();

}  // namespace dormouse::console
