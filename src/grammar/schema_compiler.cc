#include "grammar/schema_compiler.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <utility>

#include "grammar/json_schema.h"

namespace dormouse::grammar {
namespace {

namespace json = boost::json;

Error refuse(std::string_view place, std::string_view what) {
  return make_error(Code::kInvalidArgument, fmt::format("schema: at {}: {}", place, what));
}

std::string join(std::string_view place, std::string_view key) {
  std::string out(place);
  out += '/';
  for (const char c : key) {
    if (c == '~') {
      out += "~0";
    } else if (c == '/') {
      out += "~1";
    } else {
      out += c;
    }
  }
  return out;
}

// The one way a value of an enum or a const is written.
void append_spelled(std::string& out, const json::value& value) {
  if (const json::string* text = value.if_string()) {
    out += json_literal(text_of(*text));
  } else if (const json::array* list = value.if_array()) {
    out += '[';
    for (const json::value& element : *list) {
      if (&element != list->data()) out += ",";
      append_spelled(out, element);
    }
    out += ']';
  } else if (const json::object* object = value.if_object()) {
    out += '{';
    for (const auto& member : *object) {
      if (&member != object->begin()) out += ",";
      out += json_literal(key_of(member));
      out += ':';
      append_spelled(out, member.value());
    }
    out += '}';
  } else if (value.is_double()) {
    out += fmt::format("{}", value.get_double());
  } else {
    out += json::serialize(value);
  }
}

}  // namespace

const json::value* SchemaCompiler::Schema::find(std::string_view keyword) const {
  return object->if_contains({keyword.data(), keyword.size()});
}

Expr SchemaCompiler::rule_for(const json::value& value, std::string place) {
  const auto known = rules_.find(&value);
  if (known != rules_.end()) return known->second;
  const Expr rule = b_.declare(place);
  rules_.emplace(&value, rule);
  queue_.push_back({.rule = rule, .value = &value, .place = std::move(place)});
  return rule;
}

Result<Expr> SchemaCompiler::compile() {
  const Expr root = rule_for(root_, "#");
  while (!queue_.empty()) {
    const Pending pending = std::move(queue_.front());
    queue_.pop_front();
    TRY(const Expr body, body_of(pending));
    b_.define(pending.rule, body);
  }
  return root;
}

Result<Expr> SchemaCompiler::body_of(const Pending& pending) {
  if (pending.value->is_bool()) {
    if (pending.value->get_bool()) return json_.value();
    return refuse(pending.place, "false matches nothing");
  }
  const Schema schema{.object = pending.value->if_object(), .place = pending.place};
  if (schema.object == nullptr) return refuse(schema.place, "a schema is an object, true or false");
  TRY_STATUS(check_keywords(schema));
  if (const json::value* target = schema.find("$ref")) return reference(schema, *target);
  if (schema.find("allOf") != nullptr) return all_of(schema);
  for (const std::string_view keyword : {"anyOf", "oneOf"}) {
    if (schema.find(keyword) != nullptr) return alternatives(schema, keyword);
  }
  for (const std::string_view keyword : {"const", "enum"}) {
    if (schema.find(keyword) != nullptr) return enumeration(schema, keyword);
  }
  TRY(const std::vector<JsonType> types, types_of(schema));
  if (types.empty()) return json_.value();
  std::vector<Expr> ways;
  for (const JsonType type : types) {
    TRY(const Expr way, of_type(schema, type));
    ways.push_back(way);
  }
  return b_.choice(std::move(ways));
}

Status SchemaCompiler::check_keywords(const Schema& schema) const {
  for (const auto& member : *schema.object) {
    const std::string_view keyword = key_of(member);
    if (is_supported(keyword) || is_annotation(keyword)) continue;
    return refuse(schema.place, fmt::format("'{}' is not supported; leave it out", keyword.substr(0, 64)));
  }
  return {};
}

Status SchemaCompiler::stands_alone(const Schema& schema, std::string_view keyword, std::string_view allowed) const {
  for (const auto& member : *schema.object) {
    const std::string_view other = key_of(member);
    if (other == keyword || other == allowed || other == "$defs" || other == "definitions" || is_annotation(other)) {
      continue;
    }
    return refuse(schema.place,
                  fmt::format("'{}' beside '{}' is not supported; move it into the alternatives", other, keyword));
  }
  return {};
}

Result<const json::value*> SchemaCompiler::resolve(const Schema& schema, std::string_view reference) const {
  if (!reference.starts_with('#')) {
    return refuse(schema.place, "$ref can only point into the same document: #/$defs/name");
  }
  const std::string_view pointer = reference.substr(1);
  boost::system::error_code failed;
  const json::value* const found = root_.find_pointer({pointer.data(), pointer.size()}, failed);
  if (found == nullptr || failed) return refuse(schema.place, "$ref points to nothing in the document");
  return found;
}

Result<Expr> SchemaCompiler::reference(const Schema& schema, const json::value& target) {
  TRY_STATUS(stands_alone(schema, "$ref", ""));
  const json::string* text = target.if_string();
  if (text == nullptr) return refuse(schema.place, "$ref is a text");
  TRY(const json::value* found, resolve(schema, text_of(*text)));
  return rule_for(*found, std::string(text_of(*text)));
}

// pydantic wraps a reference that has a description in an allOf of one.
Result<Expr> SchemaCompiler::all_of(const Schema& schema) {
  TRY_STATUS(stands_alone(schema, "allOf", ""));
  const json::array* list = schema.find("allOf")->if_array();
  if (list == nullptr || list->size() != 1)
    return refuse(schema.place, "allOf of more than one schema is not supported");
  return rule_for(list->front(), join(schema.place, "allOf/0"));
}

Result<Expr> SchemaCompiler::alternatives(const Schema& schema, std::string_view keyword) {
  TRY_STATUS(stands_alone(schema, keyword, ""));
  const json::array* list = schema.find(keyword)->if_array();
  if (list == nullptr || list->empty()) return refuse(schema.place, fmt::format("{} is a list of schemas", keyword));
  std::vector<Expr> ways;
  for (std::size_t i = 0; i < list->size(); ++i) {
    ways.push_back(rule_for((*list)[i], join(join(schema.place, keyword), std::to_string(i))));
  }
  if (keyword == "anyOf") return b_.choice(std::move(ways));
  constexpr std::size_t kMaxOneOf = 128;  // each is compared with each
  if (list->size() > kMaxOneOf) return refuse(schema.place, fmt::format("oneOf has more than {} schemas", kMaxOneOf));
  for (std::size_t i = 0; i < list->size(); ++i) {
    for (std::size_t j = i + 1; j < list->size(); ++j) {
      if (are_disjoint((*list)[i], (*list)[j])) continue;
      return refuse(schema.place, fmt::format("oneOf: schemas {} and {} may both match; give them different types or a "
                                              "required property with different constants, or use anyOf",
                                              i, j));
    }
  }
  return b_.choice(std::move(ways));
}

Result<Expr> SchemaCompiler::enumeration(const Schema& schema, std::string_view keyword) {
  TRY_STATUS(stands_alone(schema, keyword, "type"));
  const json::value& listed = *schema.find(keyword);
  const json::array* list = listed.if_array();
  if (keyword == "enum" && list == nullptr) return refuse(schema.place, "enum is a list of values");
  TRY(const std::vector<JsonType> types, types_of(schema));
  std::vector<std::string> texts;
  const auto add = [&](const json::value& value) {
    const auto fits = [&value](JsonType type) { return is_of_type(value, type); };
    if (types.empty() || std::any_of(types.begin(), types.end(), fits)) append_spelled(texts.emplace_back(), value);
  };
  if (keyword == "const") {
    add(listed);
  } else {
    for (const json::value& value : *list) add(value);
  }
  if (texts.empty()) return refuse(schema.place, fmt::format("no value of {} is of the type", keyword));
  return b_.one_of(std::move(texts));
}

// Empty: any. Without `type`, the types whose keywords are there: narrower than the standard, which lets a schema with
// `properties` match a number.
Result<std::vector<JsonType>> SchemaCompiler::types_of(const Schema& schema) const {
  std::vector<JsonType> out;
  const json::value* value = schema.find("type");
  if (value == nullptr) {
    using enum JsonType;
    for (const JsonType type : {kObject, kArray, kString, kNumber}) {
      const auto names = keywords_of(type);
      if (std::any_of(names.begin(), names.end(), [&](auto name) { return schema.find(name) != nullptr; })) {
        out.push_back(type);
      }
    }
    return out;
  }
  const json::array one{*value};
  const json::array* list = value->if_array();
  for (const json::value& element : list != nullptr ? *list : one) {
    const std::optional<JsonType> type = element.is_string() ? json_type(text_of(element.get_string())) : std::nullopt;
    if (!type.has_value()) {
      return refuse(schema.place,
                    "type is one of object, array, string, number, integer, boolean, null, or a list of them");
    }
    out.push_back(*type);
  }
  if (out.empty()) return refuse(schema.place, "type is an empty list");
  return out;
}

Result<Expr> SchemaCompiler::of_type(const Schema& schema, JsonType type) {
  switch (type) {
    case JsonType::kObject: return object(schema);
    case JsonType::kArray: return array(schema);
    case JsonType::kString: return string(schema);
    case JsonType::kNumber: return number(schema);
    case JsonType::kInteger: return integer(schema);
    case JsonType::kBoolean: return json_.boolean();
    case JsonType::kNull: return json_.null();
  }
  return json_.value();
}

Result<Expr> SchemaCompiler::object(const Schema& schema) {
  const json::value* additional = schema.find("additionalProperties");
  if (additional == nullptr && schema.find("properties") == nullptr && schema.find("required") == nullptr) {
    return json_.object();
  }
  // Absent means none: what a caller who lists properties means, and narrower than the standard's "any".
  std::optional<Expr> value;
  if (additional != nullptr && *additional != json::value(false)) {
    value = rule_for(*additional, join(schema.place, "additionalProperties"));
  }
  TRY(const std::vector<Property> list, properties(schema, value));
  std::optional<Expr> pair;
  if (value.has_value()) {
    std::vector<std::string> names;
    for (const Property& property : list) names.emplace_back(property.name);
    const Expr key = names.empty() ? json_.string() : json_.string_except(names);
    pair = b_.sequence({key, json_.colon(), *value});
  }
  return b_.sequence({b_.literal("{"), members(list, pair), b_.literal("}")});
}

// In the schema's order; names that are only required come behind, with the schema of additional ones.
Result<std::vector<SchemaCompiler::Property>> SchemaCompiler::properties(const Schema& schema,
                                                                         std::optional<Expr> additional) {
  std::vector<Property> out;
  std::unordered_map<std::string_view, std::size_t> index;
  if (const json::value* value = schema.find("properties")) {
    if (!value->is_object()) return refuse(schema.place, "properties is an object of schemas");
    for (const auto& member : value->get_object()) {
      const std::string_view name = key_of(member);
      index.emplace(name, out.size());
      const std::string place = join(join(schema.place, "properties"), name);
      out.push_back({.name = name, .value = rule_for(member.value(), place), .is_required = false});
    }
  }
  const json::value* required = schema.find("required");
  if (required == nullptr) return out;
  if (!required->is_array()) return refuse(schema.place, "required is a list of names");
  for (const json::value& element : required->get_array()) {
    if (!element.is_string()) return refuse(schema.place, "required is a list of names");
    const std::string_view name = text_of(element.get_string());
    const auto [entry, is_new] = index.try_emplace(name, out.size());
    if (is_new) {
      if (!additional.has_value()) {
        return refuse(schema.place, fmt::format("required names '{}', which is not among the properties", name));
      }
      out.push_back({.name = name, .value = *additional, .is_required = true});
    }
    out[entry->second].is_required = true;
  }
  return out;
}

// Two rules a property: what may follow when a member has been written (a comma first), and when none has.
Expr SchemaCompiler::members(const std::vector<Property>& list, std::optional<Expr> additional_pair) {
  Expr next = b_.empty();
  Expr first = b_.empty();
  if (additional_pair.has_value()) {
    next = b_.repeat(b_.sequence({json_.comma(), *additional_pair}), {});
    first = b_.optional(b_.sequence({*additional_pair, next}));
  }
  for (auto property = list.rbegin(); property != list.rend(); ++property) {
    const Expr pair = b_.sequence({b_.literal(json_literal(property->name)), json_.colon(), property->value});
    const auto way = [&](std::vector<Expr> taken, Expr skipped) {
      const Expr rule = b_.declare("members");
      taken.push_back(next);
      const Expr with = b_.sequence(std::move(taken));
      b_.define(rule, property->is_required ? with : b_.choice({with, skipped}));
      return rule;
    };
    const Expr new_first = way({pair}, first);
    next = way({json_.comma(), pair}, next);
    first = new_first;
  }
  return first;
}

Result<SchemaCompiler::Length> SchemaCompiler::length(const Schema& schema, std::string_view min,
                                                      std::string_view max) const {
  const auto read = [&](std::string_view keyword) -> Result<std::optional<std::uint64_t>> {
    const json::value* value = schema.find(keyword);
    if (value == nullptr) return std::nullopt;
    if (value->is_int64() && value->get_int64() >= 0) return static_cast<std::uint64_t>(value->get_int64());
    return refuse(schema.place, fmt::format("{} is a whole number from 0", keyword));
  };
  Length out;
  TRY(const std::optional<std::uint64_t> least, read(min));
  TRY(out.max, read(max));
  out.min = least.value_or(0);
  if (out.max.has_value() && *out.max < out.min) return refuse(schema.place, fmt::format("{} is over {}", min, max));
  return out;
}

}  // namespace dormouse::grammar
