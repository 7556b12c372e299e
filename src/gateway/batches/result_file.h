// The files that a batch's results are written to, a line a request (batch.h). All of it blocks: on the store's thread,
// or before anything runs.
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "base/result.h"

namespace dormouse::gateway {

// The custom_ids that have a line are added to `done`, and those that are new there to `count`. A last line that a
// crash tore is cut off; a file that is not there has none. Errors: kUnavailable.
[[nodiscard]] Status read_results(const std::string& path, std::set<std::string>& done, std::int64_t& count);
// The lines of these requests of the ledger go, all others stay. Errors: kUnavailable: nothing changed.
[[nodiscard]] Status drop_results(const std::string& path, const std::set<std::string>& request_ids);
// The line is on the disk, or the file as it was. Errors: kUnavailable.
[[nodiscard]] Status append_durably(const std::string& path, const std::string& line);

}  // namespace dormouse::gateway
