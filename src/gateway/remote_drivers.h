// The drivers that dormouse.toml sets up, beside `process`: made once, at the start.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "catalog/config_file.h"
#include "fleet/driver.h"
#include "http/asio.h"

namespace dormouse::gateway {

struct NamedDriver {
  std::string name;
  std::unique_ptr<fleet::Driver> driver;
};

struct RemoteDriversOptions {
  asio::io_context* io = nullptr;
  const Clock* clock = nullptr;
  const char* const* environment = nullptr;
  std::string script_directory;               // made here, mode 0700
  std::vector<std::string> worker_addresses;  // where workers of other machines join, bound; the first is told to them
  std::string worker_fingerprint;             // and this gateway's mark on what it starts
};

// Errors: kInvalidArgument, naming file, table and key; drivers that have no door for their workers to come in by.
[[nodiscard]] Result<std::vector<NamedDriver>> make_remote_drivers(const catalog::ConfigFile& config,
                                                                   const std::string& what,
                                                                   const RemoteDriversOptions& options);

}  // namespace dormouse::gateway
