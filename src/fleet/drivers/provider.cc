#include "fleet/drivers/provider.h"

namespace dormouse::fleet {

std::string_view to_string(MachineState state) {
  switch (state) {
    case MachineState::kStarting: return "starting";
    case MachineState::kRunning: return "running";
    case MachineState::kStopped: return "stopped";
    case MachineState::kFailed: return "failed";
  }
  return "unknown";
}

const std::string& ProviderOptions::type_of(const StartSpec& spec, std::size_t kind) const {
  if (kind > 0) return fallback_types[kind - 1];
  return spec.instance_type.empty() ? type : spec.instance_type;
}

CreateOutcome not_run(const Error& error) {
  CreateOutcome out;
  out.error = error;
  if (error.code == Code::kNotFound || error.code == Code::kPermissionDenied) out.verdict = CreateVerdict::kRefused;
  if (error.code == Code::kOverloaded) out.verdict = CreateVerdict::kTryAgain;
  return out;
}

}  // namespace dormouse::fleet
