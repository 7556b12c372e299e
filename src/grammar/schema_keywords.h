// Which keywords of JSON Schema there are, and what becomes of them. Private to grammar/.
#pragma once

#include <boost/json/object.hpp>
#include <optional>
#include <span>
#include <string_view>

namespace dormouse::grammar {

enum class JsonType { kObject, kArray, kString, kNumber, kInteger, kBoolean, kNull };
[[nodiscard]] std::optional<JsonType> json_type(std::string_view name);
// 5 is of type integer and of type number.
[[nodiscard]] bool is_of_type(const boost::json::value& value, JsonType type);

// The keywords that constrain values of a type and nothing else.
[[nodiscard]] std::span<const std::string_view> keywords_of(JsonType type);
// Says something about a value, constrains none: title, description, default.
[[nodiscard]] bool is_annotation(std::string_view keyword);
// $ref, anyOf, enum and so on, and all of keywords_of().
[[nodiscard]] bool is_supported(std::string_view keyword);

[[nodiscard]] inline std::string_view key_of(const boost::json::key_value_pair& member) {
  return {member.key().data(), member.key().size()};
}
[[nodiscard]] inline std::string_view text_of(const boost::json::string& text) {
  return {text.data(), text.size()};
}

// The regular expression of a `format` we know; nothing for one we do not, which is then an annotation, as the standard
// has it.
[[nodiscard]] std::optional<std::string_view> format_pattern(std::string_view format);

}  // namespace dormouse::grammar
