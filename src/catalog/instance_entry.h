// One [[instance]] of catalog/instances.toml or dormouse.toml, read and checked. The keys and their limits are the
// table in instance_entry.cc; what they mean is written at the top of catalog/instances.toml. No I/O. Threads: any.
#pragma once

#include <string_view>

#include "base/result.h"
#include "catalog/instance_types.h"
#include "catalog/toml.h"

namespace dormouse::catalog {

// `what` names the file in messages. Errors: kInvalidArgument, naming the entry, the key and what is wanted: a key that
// is unknown or of another type, a number below zero, none (NaN) or absurd, keys that contradict each other.
[[nodiscard]] Result<InstanceType> read_instance_type(const TomlTable& entry, std::string_view what);

}  // namespace dormouse::catalog
