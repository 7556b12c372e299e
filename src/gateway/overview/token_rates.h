// How many tokens a second each deployment makes now, over all its instances: from counts that only grow, looked at
// once a second while somebody watches. Pure. Threads: one.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "fleet/supervisor.h"

namespace dormouse::gateway {

class TokenRates {
 public:
  void observe(const std::vector<fleet::DeploymentStatus>& fleet, MonoTime now);
  // Between the last two looks; nullopt: there were no two within three seconds of each other.
  [[nodiscard]] std::optional<double> of(const std::string& deployment) const;

 private:
  std::optional<MonoTime> looked_;
  std::map<std::string, std::uint64_t> counts_;  // by instance
  std::map<std::string, double> rates_;          // by deployment
};

}  // namespace dormouse::gateway
