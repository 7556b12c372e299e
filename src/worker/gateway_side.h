// How a worker stands to the gateway that started it, whether it serves or adopts: the switches it is told, the door it
// opens for requests, the channel it calls by. A server of its own (no --control) listens as it is told and calls
// nobody. A gateway's worker that others could reach speaks TLS only, and only to who has the lease; and the lease goes
// to another machine only where its certificate is the one that was named. Threads: the io_context's.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "http/server.h"
#include "worker/control_link.h"

namespace dormouse::worker {

// Nothing of an orphan is billed for ever: what still runs when the lease is over has this long.
inline constexpr std::chrono::seconds kOrphanGrace{10};

struct GatewayOptions {
  std::string control;              // empty: nobody's worker, a server of its own
  std::string control_fingerprint;  // "sha256:HEX": the gateway is on another machine, and this is its certificate
  std::string advertise;            // HOST or HOST:PORT; empty: where the gateway sees the control channel come from
  std::string lease;                // secret; comes by DORMOUSE_LEASE
  std::chrono::seconds lease_time_to_live{120};  // of the lease, once a gateway on another machine is out of reach
  std::uint64_t epoch = 0;
};

// False: none of these switches. Errors: kInvalidArgument, naming the switch and what it wants.
[[nodiscard]] Result<bool> apply_gateway_switch(GatewayOptions& options, std::string_view flag, std::string_view value);
// Their lines of --help.
[[nodiscard]] std::string_view gateway_usage();

// Where requests come in.
struct DataDoor {
  http::Address address;    // bound
  std::string fingerprint;  // of our own certificate; empty: no TLS
  std::string lease;        // every request must carry it; empty: none need to
};
// Errors: kInvalidArgument (no HOST:PORT for a gateway on another machine, no lease) and those of Server::listen.
[[nodiscard]] Result<DataDoor> open_data_door(http::Server& server, const http::Address& listen,
                                              const GatewayOptions& options);
// How to call the gateway, and what to say first. Errors: kInvalidArgument, naming the switch.
[[nodiscard]] Result<ControlLinkOptions> call_gateway(const GatewayOptions& options, const DataDoor& door,
                                                      const std::string& build);

}  // namespace dormouse::worker
