// Who asks, behind a proxy: X-Forwarded-For, X-Forwarded-Proto and Forwarded (RFC 7239), believed only from a peer in a
// network the operator named. Every hop appends, so the list is read from its right end: the client is the right-most
// address that is no proxy of ours; what stands left of it anybody may have written. Pure; threads: any.
#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "gateway/exposure/ip_network.h"
#include "http/message.h"

namespace dormouse::gateway {

struct ForwardedClient {
  IpAddress address;
  bool is_https = false;  // between the client and the proxy; false where nothing says so
};

// `peer`: who is connected. Without a trusted peer the headers are not looked at. A hop that names no address
// ("unknown", an obfuscated name) ends the reading: the client is then who that hop is. Errors: kInvalidArgument:
// Forwarded is not what RFC 7239 allows, or the two headers name two clients: a proxy writes one of them, and then a
// caller wrote the other.
[[nodiscard]] Result<ForwardedClient> find_client(const IpAddress& peer, const http::Headers& headers,
                                                  const std::vector<IpNetwork>& trusted);

}  // namespace dormouse::gateway
