// Reads JSON that we wrote ourselves: absent or odd members are the type's zero.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace dormouse::gateway {

class JsonReader {
 public:
  // Borrowed.
  explicit JsonReader(const boost::json::object& object) : object_(object) {}
  [[nodiscard]] std::string text(std::string_view key) const;
  [[nodiscard]] std::int64_t whole(std::string_view key) const;
  [[nodiscard]] std::optional<double> maybe_number(std::string_view key) const;
  [[nodiscard]] double number(std::string_view key) const { return maybe_number(key).value_or(0); }
  [[nodiscard]] bool truth(std::string_view key) const;
  [[nodiscard]] const boost::json::object* object(std::string_view key) const;  // null: none
  [[nodiscard]] std::vector<const boost::json::object*> objects(std::string_view key) const;
  [[nodiscard]] std::vector<std::string> texts(std::string_view key) const;

 private:
  const boost::json::object& object_;
};

// Errors: kDataLoss (not what the server writes).
[[nodiscard]] Result<boost::json::value> parse_json_object(std::string_view text);

}  // namespace dormouse::gateway
