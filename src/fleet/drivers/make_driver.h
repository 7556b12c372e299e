// Drivers by what their configuration says: the one constructor that the gateway needs.
#pragma once

#include <memory>
#include <variant>

#include "base/result.h"
#include "fleet/driver.h"
#include "fleet/drivers/command_provider.h"
#include "fleet/drivers/kubernetes_provider.h"
#include "fleet/drivers/process_driver.h"
#include "fleet/drivers/remote_driver.h"
#include "fleet/drivers/slurm_provider.h"

namespace dormouse::fleet {

struct RemoteDriverOptions {
  RemoteOptions life;  // io and clock filled in by the caller, the name taken from the provider's options
  std::variant<CommandProviderOptions, SlurmProviderOptions, KubernetesProviderOptions> provider;
};
using DriverOptions = std::variant<ProcessDriverOptions, RemoteDriverOptions>;

// Blocking (looks for programs and left-over workers); call before the loop runs.
// Errors: of the driver's own checks, naming the key of the configuration.
[[nodiscard]] Result<std::unique_ptr<Driver>> make_driver(DriverOptions options);

}  // namespace dormouse::fleet
