// Waking and putting to sleep from the command line: waits, and says on a terminal how far it is.
#pragma once

#include <string>

#include "base/result.h"
#include "cli/context.h"

namespace dormouse::cli {

// `act`: "wake" or "sleep". The deployment's view as JSON, once it is there. Errors: AdminClient's.
[[nodiscard]] Result<std::string> post_and_wait(const Context& context, const std::string& deployment,
                                                const std::string& act);

}  // namespace dormouse::cli
