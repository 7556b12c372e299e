#include "fleet/drivers/make_driver.h"

#include <utility>

namespace dormouse::fleet {
namespace {

Result<std::unique_ptr<Driver>> make_remote(RemoteDriverOptions options) {
  RemoteOptions& life = options.life;
  if (life.io == nullptr || life.clock == nullptr) {
    return make_error(Code::kInternal, "a remote driver needs a loop and a clock");
  }
  std::unique_ptr<Provider> provider;
  if (auto* command = std::get_if<CommandProviderOptions>(&options.provider)) {
    life.name = command->name;
    life.create_attempts = 1 + command->start.retries;
    TRY(provider, make_command_provider(*life.io, std::move(*command)));
  } else if (auto* slurm = std::get_if<SlurmProviderOptions>(&options.provider)) {
    life.name = slurm->name;
    life.look_before_create = LookBeforeCreate::kYes;
    TRY(provider, make_slurm_provider(*life.io, std::move(*slurm)));
  } else if (auto* kubernetes = std::get_if<KubernetesProviderOptions>(&options.provider)) {
    life.name = kubernetes->name;
    TRY(provider, make_kubernetes_provider(*life.io, std::move(*kubernetes)));
  }
  return std::unique_ptr<Driver>(std::make_unique<RemoteDriver>(std::move(life), std::move(provider)));
}

}  // namespace

Result<std::unique_ptr<Driver>> make_driver(DriverOptions options) {
  if (auto* remote = std::get_if<RemoteDriverOptions>(&options)) return make_remote(std::move(*remote));
  TRY(std::unique_ptr<ProcessDriver> process,
      ProcessDriver::create(std::move(std::get<ProcessDriverOptions>(options))));
  return std::unique_ptr<Driver>(std::move(process));
}

}  // namespace dormouse::fleet
