// What the console's overview and its deploy page are told, as JSON. No I/O.
#pragma once

#include <cstdint>
#include <string>

#include "catalog/instance_types.h"
#include "ledger/report_records.h"

namespace dormouse::gateway {

// What the type "local" is here.
struct ThisMachine {
  std::int64_t memory_bytes = 0;
  std::int64_t cores = 0;
};
[[nodiscard]] ThisMachine look_at_this_machine();

// {"instance_types":[...]}: what an entry does not say is null.
[[nodiscard]] std::string instance_types_json(const catalog::InstanceTypes& types, const ThisMachine& machine);

// {"from","to","complete_since","pieces":[{"from","to","kind"}],"requests":[...]}: times in milliseconds since 1970.
[[nodiscard]] std::string strip_json(const ledger::StripQuery& query, const ledger::Strip& strip);

}  // namespace dormouse::gateway
