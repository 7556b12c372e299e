// The door for workers on other machines (--worker-listen): TLS, one route, GET /internal/worker. No admin, no API: who
// reaches this port and has no lease gets nothing, not even a name. Threads: the loop's.
#pragma once

#include "fleet/supervisor.h"
#include "http/server.h"

namespace dormouse::gateway {

// Small: a worker's call has no body, and one connection a worker is all there is.
[[nodiscard]] http::ServerLimits worker_door_limits();
// The handler.
Task<void> serve_worker_door(fleet::Supervisor& supervisor, http::Exchange& exchange);

}  // namespace dormouse::gateway
