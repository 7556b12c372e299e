#include "gateway/exposure/exposure.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "gateway/exposure/host_names.h"

namespace dormouse::gateway {
namespace {

std::string_view flag_of(DoorKind kind) {
  switch (kind) {
    case DoorKind::kApi: return "--listen";
    case DoorKind::kAdmin: return "--admin-listen";
  }
  return {};
}

// Of a TCP address; no value: a name. A name may mean another address tomorrow, so only the one that cannot is taken.
std::optional<IpAddress> ip_of(const http::Address& address) {
  if (address.host == "localhost") return IpAddress::parse("127.0.0.1");
  return IpAddress::parse(address.host);
}

std::string as_host(const IpAddress& address) {
  return address.is_v4() ? address.to_string() : fmt::format("[{}]", address.to_string());
}

// The authority of an http(s) origin.
std::optional<std::string_view> authority_of(std::string_view origin) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (origin.starts_with(scheme)) return origin.substr(scheme.size());
  }
  return std::nullopt;
}

}  // namespace

Status Exposure::add_door(const std::string& text, DoorKind kind, bool has_tls) {
  const bool is_admin = kind == DoorKind::kAdmin;
  const std::string_view flag = flag_of(kind);
  TRY(http::Address address, http::Address::parse(text));
  Door door;
  door.name = fmt::format("{}{}", flag.substr(2), doors_.size());
  door.kind = kind;
  door.serves_admin = is_admin;
  const bool proxied = !is_admin && !proxies_.empty();
  if (address.kind == http::Address::Kind::kUnix) {
    if (proxied) {
      return make_error(Code::kInvalidArgument,
                        fmt::format("{} {}: with --behind-proxy HOST:PORT is wanted: on a socket nobody sees whether "
                                    "the proxy is connected",
                                    flag, text));
    }
    door.reach = Reach::kPrivate;
    door.address = std::move(address);
    doors_.push_back(std::move(door));
    return {};
  }
  const std::optional<IpAddress> ip = ip_of(address);
  if (!ip.has_value()) {
    return make_error(Code::kInvalidArgument, fmt::format("{} {}: an IP address or localhost is wanted", flag, text));
  }
  door.reach = ip->is_loopback() && !proxied ? Reach::kPrivate : Reach::kPublic;
  door.is_tls = has_tls && (!is_admin || !ip->is_loopback());
  if (!ip->is_loopback() && !door.is_tls && !proxied) {
    if (!ip->is_private()) in_the_clear_.push_back(text);
    warnings_.push_back(
        fmt::format("{} {} goes without TLS: whoever shares that network can read keys and prompts. Give it {}", flag,
                    text, kTlsFlags));
  }
  door.address = std::move(address);
  doors_.push_back(std::move(door));
  return {};
}

Result<Exposure> Exposure::plan(const ExposureOptions& options) {
  Exposure out;
  if (options.tls_certificate.empty() != options.tls_key.empty()) {
    return make_error(Code::kInvalidArgument, "--tls-cert and --tls-key belong together");
  }
  const bool has_tls = !options.tls_certificate.empty();
  for (const std::string& text : options.behind_proxy) {
    Result<IpNetwork> network = IpNetwork::parse(text);
    if (!network.has_value()) return make_error(Code::kInvalidArgument, "--behind-proxy: " + network.error().message);
    out.proxies_.push_back(*network);
  }
  for (const std::string& text : options.hosts) {
    TRY(std::string name, parse_host_option(text));
    out.hosts_.insert(std::move(name));
  }
  TRY(out.cors_, CorsRules::make(options.cors));
  for (const std::string& text : options.listen) TRY_STATUS(out.add_door(text, DoorKind::kApi, has_tls));
  std::vector<std::string> admin = options.admin_listen;
  if (admin.empty() && out.has_public_door()) admin.emplace_back(kDefaultAdminListen);
  for (const std::string& text : admin) TRY_STATUS(out.add_door(text, DoorKind::kAdmin, has_tls));
  if (admin.empty()) {
    for (Door& door : out.doors_) door.serves_admin = true;
  }
  return out;
}

Status Exposure::check(bool any_active_key) const {
  const auto open = std::find_if(doors_.begin(), doors_.end(), [](const Door& d) { return d.reach == Reach::kPublic; });
  std::string missing;
  if (open != doors_.end() && !any_active_key) {
    missing = fmt::format("{} can be reached by others, and there is no API key: make one first with `{}`",
                          open->address.to_string(), kCreateKeyCommand);
  }
  if (!in_the_clear_.empty()) {
    missing += fmt::format(
        "{}{} is open to the internet without TLS: give it {}, or name the proxy that does it with "
        "--behind-proxy CIDR",
        missing.empty() ? "" : "; ", in_the_clear_.front(), kTlsFlags);
  }
  if (missing.empty()) return {};
  return make_error(Code::kPermissionDenied, std::move(missing));
}

bool Exposure::has_public_door() const {
  return std::any_of(doors_.begin(), doors_.end(), [](const Door& d) { return d.reach == Reach::kPublic; });
}

const Door& Exposure::door(std::string_view name) const {
  static const Door kSocket{.name = kSocketDoor,
                            .kind = DoorKind::kAdmin,
                            .address = {},
                            .reach = Reach::kSocket,
                            .serves_admin = true,
                            .is_tls = false,
                            .own_names = {}};
  static const Door kUnknown;
  if (name == kSocketDoor) return kSocket;
  const auto found = std::find_if(doors_.begin(), doors_.end(), [name](const Door& d) { return d.name == name; });
  return found == doors_.end() ? kUnknown : *found;
}

void Exposure::bound(std::string_view name, const http::Address& address, const std::vector<IpAddress>& interfaces) {
  const auto found = std::find_if(doors_.begin(), doors_.end(), [name](const Door& d) { return d.name == name; });
  if (found == doors_.end()) return;
  found->address = address;
  if (address.kind != http::Address::Kind::kTcp) return;
  const std::optional<IpAddress> ip = ip_of(address);
  if (!ip.has_value()) return;
  if (!ip->is_unspecified()) found->own_names.insert(as_host(*ip));
  if (!ip->is_unspecified()) return;
  for (const IpAddress& each : interfaces) found->own_names.insert(as_host(each));
}

std::string Exposure::url(const Door& door) const {
  if (door.address.kind == http::Address::Kind::kUnix) return door.address.to_string();
  const std::optional<IpAddress> ip = ip_of(door.address);
  const bool is_wildcard = ip.has_value() && ip->is_unspecified();
  std::string host = door.address.host == "localhost" || !ip.has_value() ? door.address.host : as_host(*ip);
  if (is_wildcard) host = ip->is_v4() ? "127.0.0.1" : "[::1]";
  if (door.is_tls && !hosts_.empty()) host = *hosts_.begin();
  return fmt::format("{}://{}:{}", door.is_tls ? "https" : "http", host, door.address.port);
}

bool Exposure::allows_host(const Door& door, std::string_view host_header) const {
  const std::optional<std::string> name = host_name_of(host_header);
  return name.has_value() && (is_loopback_name(*name) || hosts_.contains(*name) || door.own_names.contains(*name));
}

bool is_loopback_origin(std::string_view origin) {
  const std::optional<std::string_view> authority = authority_of(origin);
  const std::optional<std::string> name = authority.has_value() ? host_name_of(*authority) : std::nullopt;
  return name.has_value() && is_loopback_name(*name);
}

bool is_own_origin(std::string_view origin, std::string_view host_header) {
  const std::optional<std::string_view> authority = authority_of(origin);
  return authority.has_value() && http::equals_ignoring_case(*authority, host_header);
}

}  // namespace dormouse::gateway
