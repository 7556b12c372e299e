#include "gateway/admin/query_string.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace dormouse::gateway {
namespace {

Result<std::string> decode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '+') c = ' ';
    if (c == '%') {
      unsigned value = 0;
      const char* const begin = text.data() + std::min(i + 1, text.size());
      const char* const end = text.data() + std::min(i + 3, text.size());
      const auto [stop, ec] = std::from_chars(begin, end, value, 16);
      if (ec != std::errc() || stop != end || end - begin != 2) {
        return make_error(Code::kInvalidArgument, "a % in the query needs two hexadecimal digits");
      }
      c = static_cast<char>(value);
      i += 2;
    }
    if (static_cast<unsigned char>(c) < 0x20) {
      return make_error(Code::kInvalidArgument, "the query holds a control character");
    }
    out += c;
  }
  return out;
}

}  // namespace

Result<QueryString> QueryString::parse(std::string_view text) {
  QueryString out;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = std::min(text.find('&', at), text.size());
    const std::string_view pair = text.substr(at, end - at);
    at = end + 1;
    if (pair.empty()) continue;
    const std::size_t equals = std::min(pair.find('='), pair.size());
    TRY(std::string name, decode(pair.substr(0, equals)));
    TRY(std::string value, decode(equals == pair.size() ? std::string_view() : pair.substr(equals + 1)));
    out.values_[std::move(name)] = std::move(value);
  }
  return out;
}

std::optional<std::string> QueryString::text(const std::string& name) const {
  const auto found = values_.find(name);
  if (found == values_.end()) return std::nullopt;
  return found->second;
}

Result<std::int64_t> QueryString::number(const std::string& name, std::int64_t fallback, Range range) const {
  const auto found = values_.find(name);
  if (found == values_.end()) return fallback;
  const std::string& digits = found->second;
  std::int64_t value = 0;
  const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (ec != std::errc() || end != digits.data() + digits.size() || value < range.low || value > range.high) {
    return make_error(Code::kInvalidArgument,
                      fmt::format("{}: a whole number from {} to {}", name, range.low, range.high));
  }
  return value;
}

std::string percent_encode(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                       c == '.' || c == '_' || c == '~';
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

}  // namespace dormouse::gateway
