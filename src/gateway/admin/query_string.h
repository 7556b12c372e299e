// The part of a target behind '?': NAME=VALUE pairs, percent-encoded. Values; no I/O.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace dormouse::gateway {

class QueryString {
 public:
  // The last of two pairs with one name wins. Errors: kInvalidArgument (a broken %XX, a byte below 0x20).
  static Result<QueryString> parse(std::string_view text);

  // nullopt: absent.
  [[nodiscard]] std::optional<std::string> text(const std::string& name) const;
  // Absent: the fallback. Errors: kInvalidArgument, "NAME: ..." (no whole number, or out of [low, high]).
  struct Range {
    std::int64_t low = 0;
    std::int64_t high = INT64_MAX;
  };
  [[nodiscard]] Result<std::int64_t> number(const std::string& name, std::int64_t fallback, Range range) const;

 private:
  std::map<std::string, std::string> values_;
};

// For one in a target: everything but letters, digits and -._~ becomes %XX.
[[nodiscard]] std::string percent_encode(std::string_view text);

}  // namespace dormouse::gateway
