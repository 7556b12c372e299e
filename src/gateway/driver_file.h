// The [driver.NAME] tables of dormouse.toml, turned into what fleet::make_driver takes. docs/drivers.md describes the
// keys. It lies here and not in catalog/ because its result is fleet's: an include goes down.
// Pure. Unknown keys are errors, as everywhere in that file.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "fleet/drivers/make_driver.h"

namespace dormouse::gateway {

// What the tables do not say: who and where this gateway is.
struct DriverContext {
  asio::io_context* io = nullptr;
  const Clock* clock = nullptr;
  const char* const* environment = nullptr;  // the process's; the tables' `environment` names what else may be seen
  std::string owner;                         // this data directory's mark, unless a table has its own
  std::string script_directory;              // mode 0700
  fleet::WorkerPlace place;                  // control address and fingerprint; a table may set worker and listen
};

// By the drivers' names, in the order of the alphabet. None: an empty map.
// Errors: kInvalidArgument, naming source, table and key.
[[nodiscard]] Result<std::map<std::string, fleet::RemoteDriverOptions>> read_drivers(std::string_view text,
                                                                                     std::string_view what,
                                                                                     const DriverContext& context);

// The same errors, where nothing is to be made of them.
[[nodiscard]] Status check_drivers(std::string_view text, std::string_view what);
// Names of the tables that two files have unlike each other: changed, new or gone. Texts that were read before.
[[nodiscard]] std::vector<std::string> drivers_unlike(std::string_view before, std::string_view now);

}  // namespace dormouse::gateway
