#include "http/message.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace dormouse::http {
namespace {

constexpr std::size_t kMaxUnixPathBytes = 107;  // sizeof(sockaddr_un::sun_path) less the closing NUL

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

Error bad_address(std::string_view text) {
  return make_error(Code::kInvalidArgument,
                    fmt::format("address '{}': want unix:PATH, HOST:PORT or [V6]:PORT", text.substr(0, 200)));
}

}  // namespace

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

std::optional<std::string_view> Headers::find(std::string_view name) const {
  for (const auto& [key, value] : fields_) {
    if (equals_ignoring_case(key, name)) return value;
  }
  return std::nullopt;
}

void Headers::set(std::string_view name, std::string_view value) {
  remove(name);
  add(name, value);
}

void Headers::add(std::string_view name, std::string_view value) {
  fields_.emplace_back(name, value);
}

void Headers::remove(std::string_view name) {
  std::erase_if(fields_, [&](const auto& field) { return equals_ignoring_case(field.first, name); });
}

Result<Address> Address::parse(std::string_view text) {
  Address out;
  if (text.starts_with("unix:")) {
    const std::string_view path = text.substr(5);
    if (path.empty() || path.find('\0') != std::string_view::npos) return bad_address(text);
    if (path.size() > kMaxUnixPathBytes) {
      return make_error(Code::kInvalidArgument,
                        fmt::format("socket path of {} bytes, the system takes {}", path.size(), kMaxUnixPathBytes));
    }
    out.kind = Kind::kUnix;
    out.path = path;
    return out;
  }
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return bad_address(text);
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return bad_address(text);
  }
  const auto parsed = std::from_chars(port.data(), port.data() + port.size(), out.port);
  const bool whole = parsed.ec == std::errc() && parsed.ptr == port.data() + port.size();
  if (host.empty() || !whole || host.find_first_of("/@ []\t\r\n") != std::string_view::npos) return bad_address(text);
  out.host = host;
  return out;
}

std::string Address::to_string() const {
  if (kind == Kind::kUnix) return "unix:" + path;
  if (host.find(':') != std::string::npos) return fmt::format("[{}]:{}", host, port);
  return fmt::format("{}:{}", host, port);
}

bool Address::is_loopback() const {
  if (kind == Kind::kUnix || host == "::1" || host == "localhost") return true;
  // All four parts, so that a name such as 127.evil.example does not pass.
  if (!host.starts_with("127.")) return false;
  return std::count(host.begin(), host.end(), '.') == 3 && host.find_first_not_of("0123456789.") == std::string::npos;
}

}  // namespace dormouse::http
