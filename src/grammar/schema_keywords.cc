#include "grammar/schema_keywords.h"

#include <algorithm>
#include <array>
#include <boost/json/value.hpp>
#include <cmath>
#include <utility>

namespace dormouse::grammar {
namespace {

namespace json = boost::json;
using Names = std::span<const std::string_view>;

constexpr std::array<std::string_view, 3> kObjectKeywords = {"properties", "required", "additionalProperties"};
constexpr std::array<std::string_view, 5> kArrayKeywords = {"items", "prefixItems", "minItems", "maxItems",
                                                            "uniqueItems"};
constexpr std::array<std::string_view, 4> kStringKeywords = {"minLength", "maxLength", "pattern", "format"};
constexpr std::array<std::string_view, 5> kNumberKeywords = {"minimum", "maximum", "exclusiveMinimum",
                                                             "exclusiveMaximum", "multipleOf"};
constexpr std::array<std::string_view, 9> kGeneral = {"$ref",  "$defs", "definitions", "anyOf", "oneOf",
                                                      "allOf", "enum",  "const",       "type"};
constexpr std::array<std::string_view, 12> kAnnotations = {
    "title", "description", "default",  "examples",  "$comment",        "$schema",
    "$id",   "deprecated",  "readOnly", "writeOnly", "contentEncoding", "discriminator"};

bool contains(Names names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

std::optional<JsonType> json_type(std::string_view name) {
  constexpr std::array<std::pair<std::string_view, JsonType>, 7> kTypes = {{{"object", JsonType::kObject},
                                                                            {"array", JsonType::kArray},
                                                                            {"string", JsonType::kString},
                                                                            {"number", JsonType::kNumber},
                                                                            {"integer", JsonType::kInteger},
                                                                            {"boolean", JsonType::kBoolean},
                                                                            {"null", JsonType::kNull}}};
  for (const auto& [text, type] : kTypes) {
    if (text == name) return type;
  }
  return std::nullopt;
}

bool is_of_type(const json::value& value, JsonType type) {
  switch (type) {
    case JsonType::kObject: return value.is_object();
    case JsonType::kArray: return value.is_array();
    case JsonType::kString: return value.is_string();
    case JsonType::kNumber: return value.is_number();
    case JsonType::kInteger:
      return value.is_int64() || value.is_uint64() ||
             (value.is_double() && value.get_double() == std::trunc(value.get_double()));
    case JsonType::kBoolean: return value.is_bool();
    case JsonType::kNull: return value.is_null();
  }
  return false;
}

Names keywords_of(JsonType type) {
  switch (type) {
    case JsonType::kObject: return kObjectKeywords;
    case JsonType::kArray: return kArrayKeywords;
    case JsonType::kString: return kStringKeywords;
    case JsonType::kNumber:
    case JsonType::kInteger: return kNumberKeywords;
    case JsonType::kBoolean:
    case JsonType::kNull: return {};
  }
  return {};
}

bool is_annotation(std::string_view keyword) {
  return contains(kAnnotations, keyword) || keyword.starts_with("x-");
}

bool is_supported(std::string_view keyword) {
  return contains(kGeneral, keyword) || contains(kObjectKeywords, keyword) || contains(kArrayKeywords, keyword) ||
         contains(kStringKeywords, keyword) || contains(kNumberKeywords, keyword);
}

// Narrower than the formats where they are long: no leap day, no leap second, no quoted mailbox.
std::optional<std::string_view> format_pattern(std::string_view format) {
#define DORMOUSE_DATE                                                                             \
  R"(\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|02-)" \
  R"((?:0[1-9]|1\d|2[0-8])))"
#define DORMOUSE_TIME R"((?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?(?:Z|[+\-](?:[01]\d|2[0-3]):[0-5]\d))"
  constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kFormats = {
      {{"date", "^" DORMOUSE_DATE "$"},
       {"time", "^" DORMOUSE_TIME "$"},
       {"date-time", "^" DORMOUSE_DATE "T" DORMOUSE_TIME "$"},
       {"uuid", R"(^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$)"},
       {"ipv4", R"(^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\.){3}(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)$)"},
       {"email", R"(^[A-Za-z0-9_+\-]{1,30}(?:\.[A-Za-z0-9_+\-]{1,30})?@(?:[a-z0-9]{1,30}\.){1,3}[a-z]{2,10}$)"}}};
#undef DORMOUSE_DATE
#undef DORMOUSE_TIME
  for (const auto& [name, pattern] : kFormats) {
    if (name == format) return pattern;
  }
  return std::nullopt;
}

}  // namespace dormouse::grammar
