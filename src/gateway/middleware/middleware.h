// The gateway's middleware, in the order of the pipeline (gateway.cc builds it). One file each.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

#include "base/clock.h"
#include "gateway/access_file.h"
#include "gateway/metrics.h"
#include "gateway/pipeline.h"

namespace dormouse::gateway {

// 1. Gives the call its UUIDv7; keeps the client's own x-request-id as an attribute (requirement R-24).
std::unique_ptr<Middleware> make_request_id(const Clock& clock);

// 2. One log line and the counters of each request, after it ended, and a line of the access log's file. Looking
// (probes, admin reads) is logged at debug and in no file. `file`: borrowed, may be null.
std::unique_ptr<Middleware> make_access_log(const Clock& clock, Metrics& metrics, AccessFile* file);

// 3. An exception or a handler that answered nothing becomes 500 internal_error (or an aborted stream); the text stays
// in our log.
std::unique_ptr<Middleware> make_error_boundary();

// 4. Against DNS rebinding (requirement S-23): on a TCP listener the Host must name a loopback address, and an Origin,
// where a browser sends one, too. Else 421. Unix sockets are exempt: no browser speaks to them. Admin routes answer on
// loopback and Unix sockets, worker routes on Unix sockets only; elsewhere they do not exist (404).
std::unique_ptr<Middleware> make_host_check();
// The grammar behind it: "localhost", "127.0.0.1:8080", "[::1]:1". No suffix rules.
[[nodiscard]] bool is_loopback_host(std::string_view host);

// 5. Requests in flight over all routes but the open ones; past the bound 503 overloaded.
std::unique_ptr<Middleware> make_limits(std::size_t max_in_flight);

// 6. Sets the deadline of inference routes and fires the call's stop signal when it passes.
std::unique_ptr<Middleware> make_deadline(asio::io_context& io, const Clock& clock, std::chrono::milliseconds timeout);

}  // namespace dormouse::gateway
