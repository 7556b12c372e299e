// A deployment's rules as members of a JSON object: the ledger's column, the admin API both ways. Include from .cc
// files only (Boost.JSON). Threads: any.
#pragma once

#include <boost/json/object.hpp>
#include <string_view>

#include "base/result.h"
#include "catalog/deployment_rules.h"

namespace dormouse::gateway {

enum class RuleMembers {
  kAll,
  kUnlikeDefault,  // what differs from a deployment that was told nothing
};
void write_rules(boost::json::object& to, const catalog::DeploymentRules& rules, RuleMembers which);

// A text, a whole number or a list of texts. Errors: kInvalidArgument, "KEY: ...".
[[nodiscard]] Result<catalog::FieldValue> read_field(std::string_view key, const boost::json::value& value);
[[nodiscard]] boost::json::value write_field(const catalog::FieldValue& value);

// The ledger's column. Errors: kDataLoss, naming the key.
[[nodiscard]] std::string rules_text(const catalog::DeploymentRules& rules);
[[nodiscard]] Status read_rules_text(std::string_view text, catalog::DeploymentRules& rules);

}  // namespace dormouse::gateway
