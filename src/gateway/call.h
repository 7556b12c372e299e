// One request on its way through the gateway: the exchange, what the pipeline found out, what the access log and the
// metrics will say of it. Lives in the handler's frame. Threads: the loop's.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/error_table.h"
#include "base/clock.h"
#include "base/money.h"
#include "gateway/caller.h"
#include "gateway/exposure/exposure.h"
#include "gateway/limits/limiter.h"
#include "http/server.h"

namespace dormouse::gateway {

// Why a request must end before its answer is whole.
enum class StopReason { kNone, kClientGone, kDeadline, kShutdown, kKeyRevoked };

// One listener at a time: whoever awaits something says how to break that off. Firing twice keeps the first reason.
class StopSignal {
 public:
  void fire(StopReason reason);
  [[nodiscard]] StopReason reason() const { return reason_; }
  // Called at once when already fired. {} clears.
  void on_fire(std::function<void()> callback);

 private:
  StopReason reason_ = StopReason::kNone;
  std::function<void()> callback_;
};

// Who may call a route. An attribute of the matched route, never of a path prefix (requirement S-38).
enum class Access {
  kNone,       // nobody: a route that was given nothing
  kOpen,       // liveness: tells nothing
  kConsole,    // the console's page and its login, behind the doors that serve the admin API: tells nothing either
  kInference,  // models, generation
  kRead,       // status, usage, logs: looks and changes nothing
  kAdmin,      // all that changes something; as kRead: loopback and run/admin.sock only
  kSocket,     // run/admin.sock only: workers, and who makes links to log in with
};

struct Call;
using RouteHandler = std::function<Task<void>(Call&)>;

struct Route {
  std::string method;   // "GET" also answers HEAD
  std::string pattern;  // "/admin/v1/deployments/{name}/wake"; one {..} is one path segment
  Access access = Access::kNone;
  RouteHandler handler;
};

struct Call {
  explicit Call(http::Exchange& e) : exchange(e) {}

  http::Exchange& exchange;
  const Route* route = nullptr;         // null: not found, or another method
  bool path_known = false;              // some route has this path: 405, not 404
  std::optional<Access> path_access;    // that route's, also where the method is another; no value: no such path
  std::vector<std::string> parameters;  // what the {..} matched
  std::string request_id;               // ours (UUIDv7); the client's own is an attribute
  std::string client_request_id;        // x-request-id as sent, at most 128 bytes of printable ASCII
  CallerPtr caller;                     // whose key it carries
  MonoTime accepted;
  WallTime accepted_wall;
  MonoTime deadline;
  StopSignal stop;
  Reach reach = Reach::kPublic;  // of the door it came through
  bool serves_admin = false;     // that door does: only there the console's cookie counts
  std::string session;           // the cookie that let it in; empty: it came without
  std::string client;            // who asks: an IP address, or "unix"; behind a trusted proxy what that says
  bool is_https = false;         // between the client and us, or the proxy
  http::Headers answer_headers;  // what every answer carries besides its own
  Admission admission;           // what it holds of its key's and deployment's limits; x-ratelimit-* come from it
  Nanoseconds retry_after{0};    // of a refusal; 0: what the error table says

  // For the log and the metrics.
  int status = 0;
  std::string error_code;
  std::string deployment;
  std::string dialect;        // of a generation
  std::string finish_reason;  // as the instance said it
  std::int64_t prompt_tokens = 0;
  std::int64_t cached_tokens = 0;
  std::int64_t completion_tokens = 0;
  Nanoseconds wake_wait{0};
  Nanoseconds first_token{0};
  Nanoseconds queue_wait{0};      // accepted to placed, waking included
  Nanoseconds decode_time{0};     // first token to last
  std::int64_t together = 1;      // the most answers of its deployment that ran at once while this one did
  std::optional<Money> charge;    // nullopt: its instance has no price
  std::int64_t answer_bytes = 0;  // of body, handed to the socket

  [[nodiscard]] const http::Request& request() const { return exchange.request(); }
};

// The ways to answer: they add x-request-id and the limits' headers and keep the books of `call`. A client that has
// gone is not an error here. Arguments own nothing, and what they point to is copied before the first suspension: an
// owning temporary inside a co_await expression is freed twice by GCC 12 (docs/adr/0005).
Task<void> reply(Call& call, http::Response response);
// The same, and whether the kernel took it. Errors: kCancelled, kDeadlineExceeded.
Task<Status> send_json(Call& call, int status, std::string_view body);
Task<void> reply_json(Call& call, int status, std::string_view body);
Task<void> reply_error(Call& call, const api::ApiError& error);
Task<void> reply_error(Call& call, api::ErrorCode code, std::string_view param = {});
// Headers of a streamed answer (requirement R-20), sent now. Errors: kCancelled.
Task<Status> begin_stream(Call& call, std::string_view content_type);

}  // namespace dormouse::gateway
