#include "gateway/rules_json.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <optional>
#include <utility>

#include "api/fields.h"
#include "api/strict_json.h"

namespace dormouse::gateway {

namespace json = boost::json;

json::value write_field(const catalog::FieldValue& value) {
  if (const auto* const text = std::get_if<std::string>(&value)) return json::value(*text);
  if (const auto* const number = std::get_if<std::int64_t>(&value)) return json::value(*number);
  json::array out;
  for (const std::string& item : std::get<std::vector<std::string>>(value)) out.push_back(json::value(item));
  return out;
}

void write_rules(json::object& to, const catalog::DeploymentRules& rules, RuleMembers which) {
  const catalog::DeploymentRules untold;
  for (const catalog::Field& field : catalog::rule_fields()) {
    const catalog::FieldValue value = catalog::rule_value(rules, field);
    if (which == RuleMembers::kUnlikeDefault && value == catalog::rule_value(untold, field)) continue;
    to[field.key] = write_field(value);
  }
}

Result<catalog::FieldValue> read_field(std::string_view key, const json::value& value) {
  if (value.is_string()) return catalog::FieldValue(std::string(value.get_string()));
  if (const std::optional<std::int64_t> number = api::as_integer(value)) return catalog::FieldValue(*number);
  if (value.is_array()) {
    std::vector<std::string> out;
    for (const json::value& item : value.get_array()) {
      if (!item.is_string()) return make_error(Code::kInvalidArgument, fmt::format("{}: a list holds texts only", key));
      out.emplace_back(item.get_string());
    }
    return catalog::FieldValue(std::move(out));
  }
  return make_error(Code::kInvalidArgument, fmt::format("{}: want a text, a whole number or a list of texts", key));
}

std::string rules_text(const catalog::DeploymentRules& rules) {
  json::object out;
  write_rules(out, rules, RuleMembers::kUnlikeDefault);
  return json::serialize(out);
}

Status read_rules_text(std::string_view text, catalog::DeploymentRules& rules) {
  const api::ApiResult<json::value> root = api::parse_strict_json(text);
  if (!root.has_value() || !root->is_object()) return make_error(Code::kDataLoss, "its rules are no JSON object");
  for (const auto& member : root->get_object()) {
    const std::string_view key(member.key().data(), member.key().size());
    const Result<catalog::FieldValue> value = read_field(key, member.value());
    const Status set = value.has_value() ? catalog::set_rule(rules, key, *value) : Status(Error(value.error()));
    if (!set.has_value()) return make_error(Code::kDataLoss, set.error().message);
  }
  return {};
}

}  // namespace dormouse::gateway
