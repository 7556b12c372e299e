// Addresses of the web as far as a download needs them: http and https, a host, a target. Strict: what two readers
// could take for two hosts is an error, not repaired (requirement S-28). No I/O. Threads: any.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace dormouse::http {

struct Url {
  enum class Scheme { kHttp, kHttps };
  Scheme scheme = Scheme::kHttps;
  std::string host;  // lower case; IPv6 without brackets
  unsigned short port = 443;
  std::string target = "/";  // path and query, as given; no fragment

  // Errors: kInvalidArgument: another scheme, a user in it, control characters or spaces, a host that is a number in
  // another form than four decimals (2130706433, 0x7f.1, 127.1), a port that is none, over kMaxUrlBytes.
  static Result<Url> parse(std::string_view text);
  // What a Location field means here: a whole address, //host/..., /path or a name beside this one. Errors: parse's.
  [[nodiscard]] Result<Url> resolve(std::string_view location) const;

  [[nodiscard]] std::string to_string() const;
  // Of the Host field: the port only where it is not the scheme's own.
  [[nodiscard]] std::string authority() const;
  friend bool operator==(const Url&, const Url&) = default;
};

// A signed address of a content network has 2 KiB.
inline constexpr std::size_t kMaxUrlBytes = 16 * 1024;

// Whether an address, as text, belongs to somebody in the internet: not this machine, not a private or link-local net,
// none of the registries' special blocks, no IPv4 address of that kind in IPv6 clothes (mapped, NAT64, 6to4). False for
// what is no address. Source: the IANA special-purpose registries (RFC 6890).
[[nodiscard]] bool is_public_address(std::string_view ip);
[[nodiscard]] bool is_loopback_address(std::string_view ip);

}  // namespace dormouse::http
