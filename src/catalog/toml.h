// TOML as plain values, so that toml++ (seconds of compile time, exceptions) is seen by one file only.
// A table keeps what the catalog and the configuration use: strings, whole numbers, truth values, lists of strings,
// tables and lists of tables. Dates and mixed lists are errors.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace dormouse::catalog {

struct TomlTable {
  std::map<std::string, std::string> strings;
  std::map<std::string, std::int64_t> integers;
  std::map<std::string, double> decimals;
  std::map<std::string, bool> booleans;
  std::map<std::string, std::vector<std::string>> lists;
  std::map<std::string, TomlTable> tables;
  std::map<std::string, std::vector<TomlTable>> table_lists;

  // Empty or the fallback where absent.
  [[nodiscard]] std::string string(const std::string& key) const;
  [[nodiscard]] std::int64_t integer(const std::string& key, std::int64_t fallback) const;
  [[nodiscard]] bool boolean(const std::string& key, bool fallback) const;
  [[nodiscard]] std::vector<std::string> list(const std::string& key) const;
  friend bool operator==(const TomlTable&, const TomlTable&) = default;
};

// `what` names the source in messages. Errors: kInvalidArgument with line and column.
[[nodiscard]] Result<TomlTable> parse_toml(std::string_view text, std::string_view what);

}  // namespace dormouse::catalog
