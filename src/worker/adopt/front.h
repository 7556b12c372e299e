// The HTTP side of an adopted server: what is answered here, what is passed on, and the counts of it. One Front a
// process; handlers are coroutines on the io_context.
// Threads: the io_context's.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "api/error_table.h"
#include "base/clock.h"
#include "http/client.h"
#include "http/server.h"
#include "worker/adopt/call_rewrite.h"

namespace dormouse::worker::adopt {

enum class FrontState { kStarting, kReady, kDraining };

struct Front {
  explicit Front(asio::io_context& context) : io(context), client(context) {}

  asio::io_context& io;
  http::Client client;
  SystemClock clock;
  http::Address upstream;
  std::string lease;          // every request must carry it; empty: none need to
  std::string upstream_path;  // before /v1; may be empty
  ModelNames names;           // upstream: known when ready
  std::int64_t context_length = 0;
  std::int64_t created_s = 0;
  FrontState state = FrontState::kStarting;
  std::function<void()> on_quiet;  // active fell to 0

  int active = 0;  // requests with the upstream
  // Since start. A step is a piece of an answer that came from the upstream: what stands still when it hangs.
  std::uint64_t steps = 0;
  std::uint64_t prompt_tokens = 0;
  std::uint64_t generated_tokens = 0;
};

// The server's handler: /health, /v1/health, /v1/models, /v1/models/{id} are answered here; everything else below /v1/
// is the upstream's.
Task<void> handle(Front& front, http::Exchange& exchange);

// Shared by the route files. A Reply lives in handle()'s frame, which outlives everything it awaits.
struct Reply {
  Front& front;
  http::Exchange& exchange;
  std::string request_id;
};
[[nodiscard]] http::Headers base_headers(const Reply& reply, std::string_view content_type);
Task<void> send_json(const Reply& reply, int status, std::string body);
Task<void> send_error(const Reply& reply, api::ApiError error);

// The way through. POST /v1/chat/completions, /v1/completions and /v1/embeddings: model and usage are rewritten on the
// way.
Task<void> relay_generation(const Reply& reply);
// Any other request: of a JSON body the model is rewritten, the answer passes as it comes.
Task<void> relay_plain(const Reply& reply);

}  // namespace dormouse::worker::adopt
