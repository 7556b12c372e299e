#include "gateway/exposure/ip_network.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>

namespace dormouse::gateway {
namespace {

constexpr std::size_t kV4At = 12;  // where the four bytes of ::ffff:a.b.c.d begin
constexpr unsigned kV4PrefixBits = 96;
constexpr unsigned kAllBits = 128;

// inet_pton wants a NUL; whatever is longer is no address.
using Text = std::array<char, INET6_ADDRSTRLEN>;
std::optional<Text> terminated(std::string_view text) {
  Text out{};
  if (text.empty() || text.size() >= out.size() || text.find('\0') != std::string_view::npos) return std::nullopt;
  std::copy(text.begin(), text.end(), out.begin());
  return out;
}

Error no_network(std::string_view text, std::string_view why) {
  return make_error(Code::kInvalidArgument, fmt::format("'{}' is no network: {} (10.0.0.0/8, fd00::/8 or one address)",
                                                        text.substr(0, 60), why));
}

std::uint8_t mask_of(unsigned prefix_bits, std::size_t byte_index) {
  const unsigned before = static_cast<unsigned>(byte_index) * 8;
  if (prefix_bits >= before + 8) return 0xff;
  if (prefix_bits <= before) return 0;
  return static_cast<std::uint8_t>(0xff00U >> (prefix_bits - before));
}

}  // namespace

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  const std::optional<Text> terminated_text = terminated(text);
  if (!terminated_text.has_value()) return std::nullopt;
  IpAddress out;
  if (::inet_pton(AF_INET6, terminated_text->data(), out.bytes_.data()) == 1) return out;
  if (::inet_pton(AF_INET, terminated_text->data(), out.bytes_.data() + kV4At) != 1) return std::nullopt;
  out.bytes_[kV4At - 2] = 0xff;
  out.bytes_[kV4At - 1] = 0xff;
  return out;
}

std::optional<IpAddress> IpAddress::parse_with_port(std::string_view text) {
  if (const std::optional<IpAddress> bare = parse(text)) return bare;
  const std::size_t colon = text.rfind(':');
  const bool bracketed = text.starts_with('[');
  std::string_view host = text;
  if (colon != std::string_view::npos && !text.ends_with(']')) {
    unsigned short port = 0;
    const std::string_view digits = text.substr(colon + 1);
    const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (ec != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
    host = text.substr(0, colon);
  }
  if (bracketed) {
    if (!host.ends_with(']')) return std::nullopt;
    const std::optional<IpAddress> inside = parse(host.substr(1, host.size() - 2));
    const bool is_v6_text = host.find(':') != std::string_view::npos;
    return is_v6_text ? inside : std::nullopt;
  }
  // IPv6 with a port needs the brackets: which colon would it be?
  return host.find(':') == std::string_view::npos ? parse(host) : std::nullopt;
}

bool IpAddress::is_v4() const {
  return std::all_of(bytes_.begin(), bytes_.begin() + kV4At - 2, [](std::uint8_t byte) { return byte == 0; }) &&
         bytes_[kV4At - 2] == 0xff && bytes_[kV4At - 1] == 0xff;
}

bool IpAddress::is_loopback() const {
  if (is_v4()) return bytes_[kV4At] == 127;
  return std::all_of(bytes_.begin(), bytes_.end() - 1, [](std::uint8_t byte) { return byte == 0; }) &&
         bytes_.back() == 1;
}

bool IpAddress::is_unspecified() const {
  const auto from = bytes_.begin() + (is_v4() ? kV4At : 0);
  return std::all_of(from, bytes_.end(), [](std::uint8_t byte) { return byte == 0; });
}

bool IpAddress::is_private() const {
  if (!is_v4()) return (bytes_[0] & 0xfeU) == 0xfc || (bytes_[0] == 0xfe && (bytes_[1] & 0xc0U) == 0x80);
  const std::uint8_t first = bytes_[kV4At];
  const std::uint8_t second = bytes_[kV4At + 1];
  return first == 10 || (first == 172 && second >= 16 && second < 32) || (first == 192 && second == 168) ||
         (first == 169 && second == 254);
}

std::string IpAddress::to_string() const {
  Text out{};
  const bool v4 = is_v4();
  ::inet_ntop(v4 ? AF_INET : AF_INET6, bytes_.data() + (v4 ? kV4At : 0), out.data(), out.size());
  return out.data();
}

Result<IpNetwork> IpNetwork::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  const std::optional<IpAddress> base = IpAddress::parse(text.substr(0, slash));
  if (!base.has_value()) return no_network(text, "no IP address");
  IpNetwork out;
  out.base_ = *base;
  if (slash == std::string_view::npos) return out;
  const std::string_view digits = text.substr(slash + 1);
  unsigned bits = 0;
  const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
  const bool whole = ec == std::errc() && end == digits.data() + digits.size();
  const bool written_as_v4 = text.substr(0, slash).find(':') == std::string_view::npos;
  if (whole && bits == 0) return no_network(text, "/0 is everybody");
  if (!whole || bits > (written_as_v4 ? kAllBits - kV4PrefixBits : kAllBits)) return no_network(text, "a bad prefix");
  out.prefix_bits_ = written_as_v4 ? bits + kV4PrefixBits : bits;
  if (base->is_v4() && out.prefix_bits_ <= kV4PrefixBits) return no_network(text, "a bad prefix");
  for (std::size_t i = 0; i < base->bytes_.size(); ++i) {
    if ((base->bytes_[i] & ~mask_of(out.prefix_bits_, i) & 0xffU) != 0) {
      return no_network(text, "there are bits after the prefix");
    }
  }
  return out;
}

bool IpNetwork::contains(const IpAddress& address) const {
  if (address.is_v4() != base_.is_v4()) return false;
  for (std::size_t i = 0; i < address.bytes_.size(); ++i) {
    if (((address.bytes_[i] ^ base_.bytes_[i]) & mask_of(prefix_bits_, i)) != 0) return false;
  }
  return true;
}

}  // namespace dormouse::gateway
