#include "gateway/overview/token_rates.h"

#include <utility>

namespace dormouse::gateway {
namespace {

constexpr Nanoseconds kTooLong = std::chrono::seconds(3);

}  // namespace

void TokenRates::observe(const std::vector<fleet::DeploymentStatus>& fleet, MonoTime now) {
  const Nanoseconds since = looked_.has_value() ? now - *looked_ : Nanoseconds{0};
  const bool is_known = since > Nanoseconds{0} && since <= kTooLong;
  rates_.clear();
  std::map<std::string, std::uint64_t> counts;
  for (const fleet::DeploymentStatus& deployment : fleet) {
    std::uint64_t made = 0;
    for (const fleet::InstanceStatus& instance : deployment.instances) {
      counts[instance.instance_id] = instance.generated_tokens;
      // All that a new one has made, it has made since.
      const auto before = counts_.find(instance.instance_id);
      const std::uint64_t from = before == counts_.end() ? 0 : before->second;
      if (instance.generated_tokens > from) made += instance.generated_tokens - from;
    }
    if (is_known) rates_[deployment.name] = static_cast<double>(made) * 1e9 / static_cast<double>(since.count());
  }
  counts_ = std::move(counts);
  looked_ = now;
}

std::optional<double> TokenRates::of(const std::string& deployment) const {
  const auto found = rates_.find(deployment);
  return found == rates_.end() ? std::nullopt : std::optional<double>(found->second);
}

}  // namespace dormouse::gateway
