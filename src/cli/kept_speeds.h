// What load tests that were kept (`dormouse bench --on TYPE`) say of an instance type's speed.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "planner/speeds.h"

namespace dormouse::cli {

struct KeptSpeeds {
  planner::Speeds speeds;  // kMeasured; prefill is not known
  std::string at;          // when
  std::string model;       // of what
};

// The newest record of that type and of a model by that name (in its letters and digits) in DATA-DIR/bench. nullopt:
// there is none that can be read. Errors of single records are passed over: an older one may do.
[[nodiscard]] std::optional<KeptSpeeds> kept_speeds(const std::string& data_dir, const std::string& type,
                                                    const std::string& model);

}  // namespace dormouse::cli
