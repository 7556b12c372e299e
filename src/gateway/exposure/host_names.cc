#include "gateway/exposure/host_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "gateway/exposure/ip_network.h"

namespace dormouse::gateway {
namespace {

constexpr std::size_t kMaxNameBytes = 253;  // of a name in DNS
constexpr std::size_t kMaxLabelBytes = 63;

bool is_port(std::string_view text) {
  if (text.empty() || text.size() > 5) return false;
  unsigned value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  return ec == std::errc() && end == text.data() + text.size() && value <= 65'535;
}

bool is_label(std::string_view label) {
  const auto is_inner = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'; };
  return !label.empty() && label.size() <= kMaxLabelBytes && label.front() != '-' && label.back() != '-' &&
         std::all_of(label.begin(), label.end(), is_inner);
}

// Letters, digits, '-' and '_' between single dots. A last label of digits would be an address (WHATWG URL), and that
// has to be a whole one.
bool is_name(std::string_view name) {
  if (name.empty() || name.size() > kMaxNameBytes) return false;
  std::string_view rest = name;
  while (true) {
    const std::size_t dot = rest.find('.');
    const std::string_view label = rest.substr(0, dot);
    if (!is_label(label)) return false;
    if (dot == std::string_view::npos) {
      const bool numeric = label.find_first_not_of("0123456789") == std::string_view::npos || label.starts_with("0x");
      return !numeric || IpAddress::parse(name).has_value();
    }
    rest.remove_prefix(dot + 1);
  }
}

bool is_bracketed_v6(std::string_view name) {
  if (!name.starts_with('[') || !name.ends_with(']')) return false;
  const std::string_view inside = name.substr(1, name.size() - 2);
  return inside.find(':') != std::string_view::npos && IpAddress::parse(inside).has_value();
}

}  // namespace

HostParts split_host(std::string_view host) {
  const std::size_t colon = host.rfind(':');
  if (colon == std::string_view::npos || host.find(']', colon) != std::string_view::npos) return {host, std::nullopt};
  return {host.substr(0, colon), host.substr(colon + 1)};
}

std::optional<std::string> host_name_of(std::string_view host) {
  const HostParts parts = split_host(host);
  if (parts.port.has_value() && !is_port(*parts.port)) return std::nullopt;
  std::string out(parts.name);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  if (!is_bracketed_v6(out) && !is_name(out)) return std::nullopt;
  return out;
}

bool is_loopback_name(std::string_view name) {
  return name == "localhost" || name == "127.0.0.1" || name == "[::1]";
}

Result<std::string> parse_host_option(std::string_view text) {
  std::optional<std::string> name = host_name_of(text);
  const bool has_port = name.has_value() && name->size() != text.size();
  if (!name.has_value() || has_port) {
    return make_error(Code::kInvalidArgument,
                      fmt::format("--host {}: a name without port or pattern is wanted, such as chat.example.org",
                                  text.substr(0, 80)));
  }
  return *std::move(name);
}

}  // namespace dormouse::gateway
