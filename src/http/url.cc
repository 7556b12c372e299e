#include "http/url.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <optional>

namespace dormouse::http {
namespace {

using Bytes4 = std::array<std::uint8_t, 4>;
using Bytes16 = std::array<std::uint8_t, 16>;

constexpr std::size_t kShownBytes = 200;  // of an address that is refused

Error bad(std::string_view text, std::string_view why) {
  return make_error(Code::kInvalidArgument, fmt::format("address '{}': {}", text.substr(0, kShownBytes), why));
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

template <typename Bytes>
std::optional<Bytes> parse_address(int family, std::string_view text) {
  Bytes out{};
  const std::string terminated(text);
  if (terminated.find('\0') != std::string::npos) return std::nullopt;
  if (::inet_pton(family, terminated.c_str(), out.data()) != 1) return std::nullopt;
  return out;
}

// The last label decides, as browsers read it: a number there makes all of it an IPv4 address in some form.
bool is_numeric_host(std::string_view host) {
  while (host.ends_with('.')) host.remove_suffix(1);
  const std::size_t dot = host.rfind('.');
  const std::string_view last = dot == std::string_view::npos ? host : host.substr(dot + 1);
  if (last.starts_with("0x")) return true;
  return !last.empty() && std::all_of(last.begin(), last.end(), is_digit);
}

Result<std::string> read_host(std::string_view raw, std::string_view whole) {
  std::string host;
  for (const char c : raw) host += lower(c);
  if (host.starts_with('[')) {
    if (!host.ends_with(']') || !parse_address<Bytes16>(AF_INET6, std::string_view(host).substr(1, host.size() - 2))) {
      return bad(whole, "its host is no IPv6 address");
    }
    return host.substr(1, host.size() - 2);
  }
  const auto is_name_character = [](char c) {
    return (c >= 'a' && c <= 'z') || is_digit(c) || c == '.' || c == '-' || c == '_';
  };
  if (host.empty() || !std::all_of(host.begin(), host.end(), is_name_character)) {
    return bad(whole, "its host is no name");
  }
  if (is_numeric_host(host) && !parse_address<Bytes4>(AF_INET, host)) {
    return bad(whole, "its host is a number; want a name, or an address as a.b.c.d");
  }
  return host;
}

Status read_authority(std::string_view authority, std::string_view whole, Url& out) {
  if (authority.find('@') != std::string_view::npos) return bad(whole, "a user in it is not taken");
  const std::size_t bracket = authority.rfind(']');
  const std::size_t colon = authority.rfind(':');
  const bool has_port = colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket);
  TRY(out.host, read_host(has_port ? authority.substr(0, colon) : authority, whole));
  out.port = out.scheme == Url::Scheme::kHttps ? 443 : 80;
  if (!has_port) return {};
  const std::string_view port = authority.substr(colon + 1);
  const auto [end, ec] = std::from_chars(port.data(), port.data() + port.size(), out.port);
  if (ec != std::errc() || end != port.data() + port.size() || out.port == 0) return bad(whole, "its port is none");
  return {};
}

bool is_public_v4(const Bytes4& ip) {
  struct Block {
    Bytes4 base;
    unsigned bits;
  };
  constexpr std::array kSpecial{Block{{0, 0, 0, 0}, 8},      Block{{10, 0, 0, 0}, 8},     Block{{100, 64, 0, 0}, 10},
                                Block{{127, 0, 0, 0}, 8},    Block{{169, 254, 0, 0}, 16}, Block{{172, 16, 0, 0}, 12},
                                Block{{192, 0, 0, 0}, 24},   Block{{192, 0, 2, 0}, 24},   Block{{192, 88, 99, 0}, 24},
                                Block{{192, 168, 0, 0}, 16}, Block{{198, 18, 0, 0}, 15},  Block{{198, 51, 100, 0}, 24},
                                Block{{203, 0, 113, 0}, 24}, Block{{224, 0, 0, 0}, 3}};
  const auto number = [](const Bytes4& b) {
    return std::uint32_t{b[0]} << 24U | std::uint32_t{b[1]} << 16U | std::uint32_t{b[2]} << 8U | std::uint32_t{b[3]};
  };
  return std::none_of(kSpecial.begin(), kSpecial.end(),
                      [&](const Block& block) { return (number(ip) ^ number(block.base)) >> (32U - block.bits) == 0; });
}

bool starts_with(const Bytes16& ip, std::initializer_list<std::uint8_t> prefix) {
  return std::equal(prefix.begin(), prefix.end(), ip.begin());
}

Bytes4 four_at(const Bytes16& ip, std::size_t at) {
  return {ip[at], ip[at + 1], ip[at + 2], ip[at + 3]};
}

bool is_mapped(const Bytes16& ip) {
  return starts_with(ip, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF});
}

bool is_public_v6(const Bytes16& ip) {
  if (is_mapped(ip)) return is_public_v4(four_at(ip, 12));
  if (starts_with(ip, {0, 0x64, 0xFF, 0x9B, 0, 0, 0, 0, 0, 0, 0, 0})) return is_public_v4(four_at(ip, 12));  // NAT64
  if (starts_with(ip, {0x20, 0x02})) return is_public_v4(four_at(ip, 2));                                    // 6to4
  const bool is_special = starts_with(ip, {0x20, 0x01, 0x00, 0x00}) ||                                       // Teredo
                          starts_with(ip, {0x20, 0x01, 0x0D, 0xB8});  // documentation
  return (ip[0] & 0xE0U) == 0x20U && !is_special;                     // global unicast is 2000::/3
}

}  // namespace

Result<Url> Url::parse(std::string_view text) {
  if (text.size() > kMaxUrlBytes) return bad(text, fmt::format("longer than {} bytes", kMaxUrlBytes));
  const auto is_odd = [](char c) { return static_cast<unsigned char>(c) <= 0x20 || c == 0x7F || c == '\\'; };
  if (std::any_of(text.begin(), text.end(), is_odd)) return bad(text, "spaces, control characters or '\\' in it");
  const std::size_t scheme_end = text.find("://");
  std::string scheme;
  for (const char c : text.substr(0, scheme_end == std::string_view::npos ? 0 : scheme_end)) scheme += lower(c);
  Url out;
  if (scheme != "https" && scheme != "http") return bad(text, "want https://HOST/...");
  out.scheme = scheme == "https" ? Scheme::kHttps : Scheme::kHttp;
  const std::string_view rest = text.substr(scheme_end + 3);
  const std::size_t authority_end = std::min(rest.find_first_of("/?#"), rest.size());
  TRY_STATUS(read_authority(rest.substr(0, authority_end), text, out));
  const std::string_view target = rest.substr(authority_end, std::min(rest.find('#'), rest.size()) - authority_end);
  out.target = fmt::format("{}{}", target.starts_with('/') ? "" : "/", target);
  return out;
}

Result<Url> Url::resolve(std::string_view location) const {
  const std::string_view name = scheme == Scheme::kHttps ? "https" : "http";
  const std::size_t colon = location.find(':');
  const bool is_whole = colon != std::string_view::npos && colon < location.find_first_of("/?#");
  if (is_whole) return parse(location);
  if (location.starts_with("//")) return parse(fmt::format("{}:{}", name, location));
  if (location.starts_with('/')) return parse(fmt::format("{}://{}{}", name, authority(), location));
  const std::string_view path = std::string_view(target).substr(0, target.find('?'));
  const std::string_view kept = location.starts_with('?') ? path : path.substr(0, path.rfind('/') + 1);
  return parse(fmt::format("{}://{}{}{}", name, authority(), kept, location));
}

std::string Url::authority() const {
  const std::string name = host.find(':') == std::string::npos ? host : fmt::format("[{}]", host);
  const bool is_usual = port == (scheme == Scheme::kHttps ? 443 : 80);
  return is_usual ? name : fmt::format("{}:{}", name, port);
}

std::string Url::to_string() const {
  return fmt::format("{}://{}{}", scheme == Scheme::kHttps ? "https" : "http", authority(), target);
}

bool is_public_address(std::string_view ip) {
  if (const auto four = parse_address<Bytes4>(AF_INET, ip)) return is_public_v4(*four);
  const auto six = parse_address<Bytes16>(AF_INET6, ip);
  return six.has_value() && is_public_v6(*six);
}

bool is_loopback_address(std::string_view ip) {
  if (const auto four = parse_address<Bytes4>(AF_INET, ip)) return (*four)[0] == 127;
  const auto six = parse_address<Bytes16>(AF_INET6, ip);
  if (!six.has_value()) return false;
  return is_mapped(*six) ? (*six)[12] == 127 : starts_with(*six, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
}

}  // namespace dormouse::http
