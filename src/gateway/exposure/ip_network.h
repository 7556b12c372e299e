// IP addresses and networks as values: who is inside which. Pure; threads: any.
// An IPv4 address that comes in IPv6 clothes (::ffff:10.0.0.1, as a socket for both has it) is the IPv4 address, so
// that one peer has one spelling and a rule for 10.0.0.0/8 cannot be walked around.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace dormouse::gateway {

class IpAddress {
 public:
  // Strict: four plain decimals, or IPv6 without brackets and zone. No value for anything else.
  [[nodiscard]] static std::optional<IpAddress> parse(std::string_view text);
  // Of "10.0.0.1:5312", "[::1]:80", or without the port; what Request::peer and a forwarded header have.
  [[nodiscard]] static std::optional<IpAddress> parse_with_port(std::string_view text);

  [[nodiscard]] bool is_v4() const;
  [[nodiscard]] bool is_loopback() const;     // 127.0.0.0/8, ::1
  [[nodiscard]] bool is_unspecified() const;  // 0.0.0.0, ::
  // RFC 1918, fc00::/7 and link-local: not routed in the internet.
  [[nodiscard]] bool is_private() const;
  [[nodiscard]] std::string to_string() const;  // canonical, without brackets
  friend bool operator==(const IpAddress&, const IpAddress&) = default;

 private:
  friend class IpNetwork;
  std::array<std::uint8_t, 16> bytes_{};  // IPv4 as ::ffff:a.b.c.d
};

class IpNetwork {
 public:
  // "10.0.0.0/8", "fd00::/8", or an address, which is a network of one. Errors: kInvalidArgument: no network, bits
  // after the prefix (10.1.2.3/8: which of the two is meant?), or /0, which is everybody.
  [[nodiscard]] static Result<IpNetwork> parse(std::string_view text);
  [[nodiscard]] bool contains(const IpAddress& address) const;

 private:
  IpAddress base_;
  unsigned prefix_bits_ = 128;  // of 128, also for IPv4
};

}  // namespace dormouse::gateway
