// What there is to rent, and what is paid beside it: compiled in, and from the user's configuration.
#pragma once

#include <string>

#include "base/result.h"
#include "catalog/config_file.h"
#include "catalog/instance_types.h"
#include "cli/context.h"

namespace dormouse::cli {

struct PriceList {
  catalog::InstanceTypes types;
  catalog::PriceRules rules;
};

// `config` as --config has it; empty: DATA-DIR/dormouse.toml, which may be absent. Errors: those of read_config.
[[nodiscard]] Result<PriceList> read_price_list(const Context& context, const std::string& config);

}  // namespace dormouse::cli
