// The gateway's middleware, in the order of the pipeline (gateway.cc builds it). One file each.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

#include "base/clock.h"
#include "gateway/access_file.h"
#include "gateway/keys/key_ring.h"
#include "gateway/limits/limiter.h"
#include "gateway/limits/refusals.h"
#include "gateway/metrics.h"
#include "gateway/pipeline.h"
#include "gateway/sessions/session_book.h"
#include "ledger/ledger.h"

namespace dormouse::gateway {

class Exposure;
class Router;

// 1. Gives the call its UUIDv7; keeps the client's own x-request-id as an attribute (requirement R-24).
std::unique_ptr<Middleware> make_request_id(const Clock& clock);

// 2. One log line and the counters of each request, after it ended, and a line of the access log's file. Looking
// (probes, admin reads) is logged at debug and in no file. `file`: borrowed, may be null.
std::unique_ptr<Middleware> make_access_log(const Clock& clock, Metrics& metrics, AccessFile* file);

// 3. An exception or a handler that answered nothing becomes 500 internal_error (or an aborted stream); the text stays
// in our log.
std::unique_ptr<Middleware> make_error_boundary();

// 4. Which door the call came through, who asks (behind a proxy: call.client), and whether it names us: on TCP the Host
// must be on the door's list, else 421 (requirement S-23, DNS rebinding). Unix sockets are exempt: no browser speaks to
// them. Admin routes exist behind the doors that serve them, worker routes behind run/admin.sock; elsewhere 404.
std::unique_ptr<Middleware> make_host_check(const Exposure& exposure);

// 5. Web pages: an Origin must be the server's own, or, but for admin routes, of this machine or listed; else 421.
// Listed ones may read answers of inference and liveness routes, and get their preflights answered.
std::unique_ptr<Middleware> make_cors(const Exposure& exposure, const Router& router);

// 6. Who asks (docs/keys.md). Once there is a key, TCP wants exactly one on every route but the open ones, and the
// route says which scope: no route, no access, no key, no answer (requirement S-38); a path that does not exist is 404
// only for who has a key. Where the admin API is served, the console's cookie is as good, on requests of its own page.
// Unix sockets need none: their file mode says who may. Sets call.caller and call.session.
std::unique_ptr<Middleware> make_authenticate(const Clock& clock, KeyRing& ring, SessionBook& sessions,
                                              ledger::Ledger& ledger);

// 7. Requests in flight over all routes but the open ones; past the bound 503 overloaded.
std::unique_ptr<Middleware> make_limits(std::size_t max_in_flight);

// 8. The limits of the caller's key, as far as the body is not needed for them (docs/limits.md). After authentication.
std::unique_ptr<Middleware> make_rate_limits(Limiter& limiter);
// Beside the access log: counts what was refused before it began, by key, deployment and reason.
std::unique_ptr<Middleware> make_refusal_count(const Clock& clock, RefusalCounts& counts);

// 9. Sets the deadline of inference routes and fires the call's stop signal when it passes.
std::unique_ptr<Middleware> make_deadline(asio::io_context& io, const Clock& clock, std::chrono::milliseconds timeout);

}  // namespace dormouse::gateway
