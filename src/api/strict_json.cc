#include "api/strict_json.h"

#include <fmt/format.h>

#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/value_stack.hpp>
#include <charconv>
#include <cmath>

#include "api/json_write.h"

namespace dormouse::api {
namespace {

namespace json = boost::json;
using json::error_code;

// Feeds Boost's value_stack and adds two things: it counts members, because the finished object silently keeps only the
// last of two equal keys; and it converts doubles by from_chars, because Boost 1.81's own conversion may be off in the
// last place and then what we write back would not be what was sent.
struct Handler {
  static constexpr std::size_t max_object_size = json::object::max_size();
  static constexpr std::size_t max_array_size = json::array::max_size();
  static constexpr std::size_t max_key_size = json::string::max_size();
  static constexpr std::size_t max_string_size = json::string::max_size();

  json::value_stack stack;
  std::string number;
  std::size_t key_count = 0;
  std::size_t value_count = 0;
  std::string_view too_many;  // of what; empty: of nothing

  bool count_value(error_code& ec) {
    if (++value_count <= kMaxJsonValues) return true;
    too_many = "values";
    ec = json::error::array_too_large;
    return false;
  }

  // NOLINTBEGIN: names and signatures are basic_parser's.
  bool on_document_begin(error_code&) { return true; }
  bool on_document_end(error_code&) { return true; }
  bool on_object_begin(error_code& ec) { return count_value(ec); }
  bool on_object_end(std::size_t n, error_code&) {
    stack.push_object(n);
    return true;
  }
  bool on_array_begin(error_code& ec) { return count_value(ec); }
  bool on_array_end(std::size_t n, error_code&) {
    stack.push_array(n);
    return true;
  }
  bool on_key_part(json::string_view s, std::size_t, error_code&) {
    stack.push_chars(s);
    return true;
  }
  bool on_key(json::string_view s, std::size_t, error_code& ec) {
    if (++key_count > kMaxJsonKeys) {
      too_many = "keys";
      ec = json::error::object_too_large;
      return false;
    }
    stack.push_key(s);
    return true;
  }
  bool on_string_part(json::string_view s, std::size_t, error_code&) {
    stack.push_chars(s);
    return true;
  }
  bool on_string(json::string_view s, std::size_t, error_code& ec) {
    stack.push_string(s);
    return count_value(ec);
  }
  bool on_number_part(json::string_view s, error_code&) {
    number.append(s.data(), s.size());
    return true;
  }
  bool on_int64(std::int64_t i, json::string_view, error_code& ec) {
    number.clear();
    stack.push_int64(i);
    return count_value(ec);
  }
  bool on_uint64(std::uint64_t u, json::string_view, error_code& ec) {
    number.clear();
    stack.push_uint64(u);
    return count_value(ec);
  }
  bool on_double(double approximate, json::string_view s, error_code& ec) {
    number.append(s.data(), s.size());
    double exact = approximate;
    const auto result = std::from_chars(number.data(), number.data() + number.size(), exact);
    // Out of range: infinity or zero as Boost found it; ranges are checked by who reads the field.
    stack.push_double(result.ec == std::errc() ? exact : approximate);
    number.clear();
    return count_value(ec);
  }
  bool on_bool(bool b, error_code& ec) {
    stack.push_bool(b);
    return count_value(ec);
  }
  bool on_null(error_code& ec) {
    stack.push_null();
    return count_value(ec);
  }
  bool on_comment_part(json::string_view, error_code&) { return true; }
  bool on_comment(json::string_view, error_code&) { return true; }
  // NOLINTEND
};

// Recursion is bounded by kMaxJsonDepth in this function and the next.
std::size_t count_keys(const json::value& value) {
  std::size_t count = 0;
  if (const json::object* object = value.if_object()) {
    count = object->size();
    for (const auto& member : *object) count += count_keys(member.value());
  } else if (const json::array* array = value.if_array()) {
    for (const json::value& element : *array) count += count_keys(element);
  }
  return count;
}

void dump(std::string& out, const json::value& value) {
  switch (value.kind()) {
    case json::kind::null: out += "null"; return;
    case json::kind::bool_: out += value.get_bool() ? "true" : "false"; return;
    case json::kind::int64: append_json_int(out, value.get_int64()); return;
    case json::kind::uint64: out += std::to_string(value.get_uint64()); return;
    case json::kind::double_: append_json_double(out, value.get_double()); return;
    case json::kind::string: append_json_string(out, std::string_view(value.get_string())); return;
    case json::kind::array: {
      std::string_view separator;
      out += '[';
      for (const json::value& element : value.get_array()) {
        out += separator;
        dump(out, element);
        separator = ", ";
      }
      out += ']';
      return;
    }
    case json::kind::object: {
      std::string_view separator;
      out += '{';
      for (const auto& member : value.get_object()) {
        out += separator;
        append_json_string(out, std::string_view(member.key()));
        out += ": ";
        dump(out, member.value());
        separator = ", ";
      }
      out += '}';
      return;
    }
  }
}

ApiError to_api_error(const error_code& ec, std::string_view too_many) {
  if (ec == json::error::too_deep) return {ErrorCode::kJsonTooDeep, "", ""};
  if (!too_many.empty()) return {ErrorCode::kInvalidJson, fmt::format("The JSON has too many {}.", too_many), ""};
  return {ErrorCode::kInvalidJson, "", ""};
}

}  // namespace

ApiResult<boost::json::value> parse_strict_json(std::string_view text) {
  if (!is_valid_utf8(text)) return tl::unexpected(ApiError{ErrorCode::kInvalidUtf8, "", ""});
  json::parse_options options;
  options.max_depth = kMaxJsonDepth;
  json::basic_parser<Handler> parser(options);
  parser.handler().stack.reset();
  error_code ec;
  const std::size_t consumed = parser.write_some(false, text.data(), text.size(), ec);
  if (!ec && consumed < text.size()) ec = json::error::extra_data;
  if (ec) return tl::unexpected(to_api_error(ec, parser.handler().too_many));
  json::value value = parser.handler().stack.release();
  if (count_keys(value) != parser.handler().key_count) {
    return tl::unexpected(ApiError{ErrorCode::kInvalidJson, "A key is given twice in one object.", ""});
  }
  return value;
}

std::string python_dumps(const boost::json::value& value) {
  std::string out;
  dump(out, value);
  return out;
}

}  // namespace dormouse::api
