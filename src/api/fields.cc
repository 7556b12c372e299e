#include "api/fields.h"

#include <fmt/format.h>

#include <cmath>

#include "base/checked_int.h"

namespace dormouse::api {

namespace json = boost::json;

void Problem::add(std::string param, std::string message) {
  if (!error_) error_ = ApiError{ErrorCode::kInvalidValue, std::move(message), std::move(param)};
}

const json::value* find_member(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(json::string_view(key.data(), key.size()));
  return value == nullptr || value->is_null() ? nullptr : value;
}

std::optional<std::int64_t> as_integer(const json::value& value) {
  if (const std::int64_t* i = value.if_int64()) return *i;
  if (const std::uint64_t* u = value.if_uint64()) return checked_cast<std::int64_t>(*u);
  const double* d = value.if_double();
  constexpr double kExact = 9007199254740992.0;  // 2^53: above it a double no longer names one integer
  if (d == nullptr || !(std::fabs(*d) <= kExact) || std::trunc(*d) != *d) return std::nullopt;
  return static_cast<std::int64_t>(*d);
}

std::optional<double> as_number(const json::value& value) {
  if (const std::int64_t* i = value.if_int64()) return static_cast<double>(*i);
  if (const std::uint64_t* u = value.if_uint64()) return static_cast<double>(*u);
  if (const double* d = value.if_double()) return *d;
  return std::nullopt;
}

std::string Fields::param(std::string_view key) const {
  return path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
}

std::optional<double> Fields::number(std::string_view key, DoubleRange range) const {
  const json::value* value = find(key);
  if (value == nullptr) return std::nullopt;
  const std::optional<double> got = as_number(*value);
  const bool above = range.lower == LowerBound::kExclusive ? got && *got > range.min : got && *got >= range.min;
  if (above && *got <= range.max) return got;
  const std::string_view from = range.lower == LowerBound::kExclusive ? "above" : "from";
  refuse(key, fmt::format("{} must be a number {} {} to {}.", param(key), from, range.min, range.max));
  return std::nullopt;
}

std::optional<std::int64_t> Fields::integer(std::string_view key, IntRange range) const {
  const json::value* value = find(key);
  if (value == nullptr) return std::nullopt;
  const std::optional<std::int64_t> got = as_integer(*value);
  if (got && *got >= range.min && *got <= range.max) return got;
  refuse(key, fmt::format("{} must be an integer from {} to {}.", param(key), range.min, range.max));
  return std::nullopt;
}

std::optional<bool> Fields::boolean(std::string_view key) const {
  const json::value* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const bool* b = value->if_bool()) return *b;
  refuse(key, fmt::format("{} must be true or false.", param(key)));
  return std::nullopt;
}

std::optional<std::string> Fields::string(std::string_view key, std::size_t max_bytes) const {
  const json::value* value = find(key);
  if (value == nullptr) return std::nullopt;
  const json::string* text = value->if_string();
  if (text == nullptr) {
    refuse(key, fmt::format("{} must be a string.", param(key)));
    return std::nullopt;
  }
  if (text->size() > max_bytes) {
    refuse(key, fmt::format("{} must be at most {} bytes long.", param(key), max_bytes));
    return std::nullopt;
  }
  return std::string(text->data(), text->size());
}

const json::object* Fields::object(std::string_view key) const {
  const json::value* value = find(key);
  if (value == nullptr) return nullptr;
  const json::object* got = value->if_object();
  if (got == nullptr) refuse(key, fmt::format("{} must be an object.", param(key)));
  return got;
}

const json::array* Fields::array(std::string_view key, std::size_t max_count) const {
  const json::value* value = find(key);
  if (value == nullptr) return nullptr;
  const json::array* got = value->if_array();
  if (got == nullptr) {
    refuse(key, fmt::format("{} must be an array.", param(key)));
    return nullptr;
  }
  if (got->size() > max_count) {
    refuse(key, fmt::format("{} must have at most {} elements.", param(key), max_count));
    return nullptr;
  }
  return got;
}

}  // namespace dormouse::api
