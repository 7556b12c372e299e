// Typed reads from a JSON object that remember the first thing wrong; after it every read returns nothing, so that a
// parser reads all fields in a row and asks once. Include from .cc files only (Boost.JSON). Threads: one.
#pragma once

#include <boost/json/value.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "api/error_table.h"

namespace dormouse::api {

enum class LowerBound { kInclusive, kExclusive };

struct DoubleRange {
  double min = 0;
  double max = 0;
  LowerBound lower = LowerBound::kInclusive;
};

struct IntRange {
  std::int64_t min = 0;
  std::int64_t max = 0;
};

class Problem {
 public:
  void add(std::string param, std::string message);
  [[nodiscard]] bool found() const { return error_.has_value(); }
  [[nodiscard]] const ApiError& error() const { return *error_; }

 private:
  std::optional<ApiError> error_;
};

// nullptr: absent or null.
[[nodiscard]] const boost::json::value* find_member(const boost::json::object& object, std::string_view key);

// A value as an integer: written as one, or as a double without a fraction below 2^53.
[[nodiscard]] std::optional<std::int64_t> as_integer(const boost::json::value& value);
[[nodiscard]] std::optional<double> as_number(const boost::json::value& value);

// One object and the name errors call it by ("", "messages[3]").
class Fields {
 public:
  Fields(const boost::json::object& object, std::string path, Problem& problem)
      : object_(object), path_(std::move(path)), problem_(problem) {}

  [[nodiscard]] std::string param(std::string_view key) const;
  [[nodiscard]] const boost::json::value* find(std::string_view key) const { return find_member(object_, key); }
  void refuse(std::string_view key, std::string message) const { problem_.add(param(key), std::move(message)); }

  [[nodiscard]] std::optional<double> number(std::string_view key, DoubleRange range) const;
  [[nodiscard]] std::optional<std::int64_t> integer(std::string_view key, IntRange range) const;
  [[nodiscard]] std::optional<bool> boolean(std::string_view key) const;
  [[nodiscard]] std::optional<std::string> string(std::string_view key, std::size_t max_bytes) const;
  [[nodiscard]] const boost::json::object* object(std::string_view key) const;
  [[nodiscard]] const boost::json::array* array(std::string_view key, std::size_t max_count) const;

 private:
  const boost::json::object& object_;
  std::string path_;
  Problem& problem_;
};

}  // namespace dormouse::api
