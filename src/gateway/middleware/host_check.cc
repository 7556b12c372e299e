#include <optional>
#include <string_view>
#include <utility>

#include "gateway/exposure/exposure.h"
#include "gateway/exposure/forwarded.h"
#include "gateway/middleware/middleware.h"

namespace dormouse::gateway {
namespace {

// A year, as every list of recommendations has it; without subdomains, which may be others'.
constexpr std::string_view kHsts = "max-age=31536000";

// Whether a route of this kind is there at all, behind this door.
bool has_route(const Door& door, Access access) {
  switch (access) {
    case Access::kNone:  // authentication denies it, to everybody
    case Access::kOpen:
    case Access::kInference: return true;
    case Access::kConsole:
    case Access::kRead:
    case Access::kAdmin: return door.serves_admin;
    case Access::kSocket: return door.reach == Reach::kSocket;
  }
  return false;
}

class HostCheck final : public Middleware {
 public:
  explicit HostCheck(const Exposure& exposure) : exposure_(exposure) {}

  Task<void> handle(Call& call, Next next) override {
    const Door& door = exposure_.door(call.exchange.listener());
    const std::optional<api::ErrorCode> refused = look_at(call, door);
    if (refused.has_value()) {
      co_await reply_error(call, *refused);
      co_return;
    }
    co_await next(call);
  }

 private:
  std::optional<api::ErrorCode> look_at(Call& call, const Door& door) const {
    call.reach = door.reach;
    call.serves_admin = door.serves_admin;
    call.is_https = door.is_tls;
    call.client = call.request().peer;
    // Nothing but a program of this machine speaks to a Unix socket: no browser does.
    if (door.reach != Reach::kSocket && door.address.kind == http::Address::Kind::kTcp) {
      if (const auto refused = look_at_tcp(call, door)) return refused;
    }
    if (call.path_access.has_value() && !has_route(door, *call.path_access)) {
      call.route = nullptr;
      return api::ErrorCode::kNotFound;
    }
    return std::nullopt;
  }

  std::optional<api::ErrorCode> look_at_tcp(Call& call, const Door& door) const {
    const std::optional<IpAddress> peer = IpAddress::parse_with_port(call.request().peer);
    if (!peer.has_value()) return api::ErrorCode::kMalformedRequest;
    call.client = peer->to_string();
    // The admin's own listener stands behind no proxy.
    if (!door.serves_admin && !exposure_.proxies().empty()) {
      const Result<ForwardedClient> client = find_client(*peer, call.request().headers, exposure_.proxies());
      if (!client.has_value()) return api::ErrorCode::kMalformedRequest;
      call.client = client->address.to_string();
      call.is_https = call.is_https || client->is_https;
    }
    const auto host = call.request().headers.find("host");
    if (!host.has_value() || !exposure_.allows_host(door, *host)) return api::ErrorCode::kHostNotAllowed;
    if (call.is_https) call.answer_headers.set("strict-transport-security", kHsts);
    return std::nullopt;
  }

  const Exposure& exposure_;
};

}  // namespace

std::unique_ptr<Middleware> make_host_check(const Exposure& exposure) {
  return std::make_unique<HostCheck>(exposure);
}

}  // namespace dormouse::gateway
