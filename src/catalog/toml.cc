#include "catalog/toml.h"

#include <fmt/format.h>

#include <utility>

#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

namespace dormouse::catalog {
namespace {

// How deep tables may lie in each other; our files need two.
constexpr int kMaxDepth = 8;

Status convert(const toml::table& from, TomlTable& to, int depth);

Status convert_array(const std::string& key, const toml::array& from, TomlTable& to, int depth) {
  for (const toml::node& item : from) {
    if (const toml::table* table = item.as_table()) {
      TomlTable inner;
      TRY_STATUS(convert(*table, inner, depth + 1));
      to.table_lists[key].push_back(std::move(inner));
    } else if (const auto* text = item.as_string()) {
      to.lists[key].push_back(text->get());
    } else {
      return make_error(Code::kInvalidArgument, fmt::format("'{}': a list holds strings or tables only", key));
    }
  }
  return {};
}

Status convert(const toml::table& from, TomlTable& to, int depth) {
  if (depth > kMaxDepth) return make_error(Code::kInvalidArgument, "tables nested too deep");
  for (const auto& [raw_key, node] : from) {
    const std::string key(raw_key.str());
    if (const auto* text = node.as_string()) {
      to.strings[key] = text->get();
    } else if (const auto* whole = node.as_integer()) {
      to.integers[key] = whole->get();
    } else if (const auto* decimal = node.as_floating_point()) {
      to.decimals[key] = decimal->get();
    } else if (const auto* truth = node.as_boolean()) {
      to.booleans[key] = truth->get();
    } else if (const toml::table* table = node.as_table()) {
      TRY_STATUS(convert(*table, to.tables[key], depth + 1));
    } else if (const toml::array* array = node.as_array()) {
      TRY_STATUS(convert_array(key, *array, to, depth));
    } else {
      return make_error(Code::kInvalidArgument, fmt::format("'{}': dates are not used here", key));
    }
  }
  return {};
}

}  // namespace

std::string TomlTable::string(const std::string& key) const {
  const auto found = strings.find(key);
  return found == strings.end() ? std::string() : found->second;
}

std::int64_t TomlTable::integer(const std::string& key, std::int64_t fallback) const {
  const auto found = integers.find(key);
  return found == integers.end() ? fallback : found->second;
}

bool TomlTable::boolean(const std::string& key, bool fallback) const {
  const auto found = booleans.find(key);
  return found == booleans.end() ? fallback : found->second;
}

std::vector<std::string> TomlTable::list(const std::string& key) const {
  const auto found = lists.find(key);
  return found == lists.end() ? std::vector<std::string>() : found->second;
}

Result<TomlTable> parse_toml(std::string_view text, std::string_view what) {
  const toml::parse_result parsed = toml::parse(text, what);
  if (!parsed) {
    const toml::source_position& at = parsed.error().source().begin;
    return make_error(Code::kInvalidArgument, fmt::format("{}: line {}, column {}: {}", what, at.line, at.column,
                                                          parsed.error().description()));
  }
  TomlTable out;
  Status status = convert(parsed.table(), out, 0);
  if (!status.has_value()) {
    return make_error(status.error().code, fmt::format("{}: {}", what, status.error().message));
  }
  return out;
}

}  // namespace dormouse::catalog
