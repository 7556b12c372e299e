#include "worker/gateway_side.h"

#include <unistd.h>

#include <array>
#include <limits>
#include <utility>

#include "http/tls.h"
#include "worker/number_switch.h"

namespace dormouse::worker {
namespace {

struct TextSwitch {
  std::string_view flag;
  std::string GatewayOptions::*field;
};
constexpr std::array kTexts = {
    TextSwitch{"--control", &GatewayOptions::control},
    TextSwitch{"--control-fingerprint", &GatewayOptions::control_fingerprint},
    TextSwitch{"--advertise", &GatewayOptions::advertise},
    TextSwitch{"--lease", &GatewayOptions::lease},
};
constexpr std::int64_t kMaxLease_s = 86'400;

// The data address as the gateway hears it; one like 0.0.0.0 lets it take where our call came from.
Result<std::string> advertised(const GatewayOptions& options, const http::Address& bound) {
  if (options.advertise.empty()) return bound.to_string();
  Result<http::Address> whole = http::Address::parse(options.advertise);
  if (!whole.has_value()) {
    whole = http::Address::parse(options.advertise + ":" + std::to_string(bound.port));
  }
  if (!whole.has_value() || whole->kind != http::Address::Kind::kTcp) {
    return make_error(Code::kInvalidArgument, "--advertise: HOST or HOST:PORT is wanted");
  }
  return whole->to_string();
}

}  // namespace

Result<bool> apply_gateway_switch(GatewayOptions& options, std::string_view flag, std::string_view value) {
  for (const TextSwitch& text : kTexts) {
    if (text.flag != flag) continue;
    options.*text.field = std::string(value);
    return true;
  }
  if (flag == "--lease-ttl") {
    TRY(const std::int64_t seconds, number_switch(flag, value, 1, kMaxLease_s));
    options.lease_time_to_live = std::chrono::seconds(seconds);
    return true;
  }
  if (flag == "--epoch") {
    TRY(const std::int64_t epoch, number_switch(flag, value, 0, std::numeric_limits<std::int64_t>::max()));
    options.epoch = static_cast<std::uint64_t>(epoch);
    return true;
  }
  return false;
}

std::string_view gateway_usage() {
  return R"(  --control ADDRESS --epoch N   set by the gateway that starts this worker, with the lease in
                                DORMOUSE_LEASE (--lease shows it to everybody who may list processes)
  --control-fingerprint FP      the gateway is on another machine: sha256:HEX of its certificate
  --advertise HOST[:PORT]       where that gateway reaches this worker (as it sees the control channel come)
  --lease-ttl SECONDS           how long that gateway may be out of reach before this worker ends itself (120)
)";
}

Result<DataDoor> open_data_door(http::Server& server, const http::Address& listen, const GatewayOptions& options) {
  const bool is_tcp = listen.kind == http::Address::Kind::kTcp;
  const bool is_remote = !options.control_fingerprint.empty();
  if (is_remote && !is_tcp) {
    return make_error(Code::kInvalidArgument, "--listen: HOST:PORT is wanted when the gateway is on another machine");
  }
  const bool is_exposed = !options.control.empty() && (is_remote || !listen.is_loopback());
  DataDoor out;
  if (!options.control.empty() && is_tcp) out.lease = options.lease;
  if (!is_exposed) {
    TRY(out.address, server.listen(listen, "data"));
    return out;
  }
  if (options.lease.empty()) return make_error(Code::kInvalidArgument, "DORMOUSE_LEASE: the lease is missing");
  TRY(const http::TlsIdentity identity, http::make_tls_identity({"localhost"}));
  TRY(out.address, server.listen(listen, "data", &identity));
  out.fingerprint = identity.fingerprint;
  return out;
}

Result<ControlLinkOptions> call_gateway(const GatewayOptions& options, const DataDoor& door, const std::string& build) {
  ControlLinkOptions link;
  TRY(link.address, http::Address::parse(options.control));
  if (!options.control_fingerprint.empty()) {
    TRY(std::string fingerprint, http::parse_fingerprint(options.control_fingerprint));
    link.address.tls = http::TlsTrust{std::move(fingerprint), {}};
  } else if (!link.address.is_loopback()) {
    return make_error(Code::kInvalidArgument,
                      "--control: the lease goes to another machine only with --control-fingerprint");
  }
  link.lease_time_to_live = options.lease_time_to_live;
  link.hello.build = build;
  link.hello.lease = options.lease;
  link.hello.epoch = options.epoch;
  TRY(link.hello.address, advertised(options, door.address));
  link.hello.tls_fingerprint = door.fingerprint;
  link.hello.pid = ::getpid();
  return link;
}

}  // namespace dormouse::worker
