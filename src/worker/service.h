// The worker's HTTP side: routes, answers, errors. One Service a process; handlers are coroutines on the io_context.
// Threads: the io_context's.
#pragma once

#include <boost/asio/thread_pool.hpp>
#include <string>
#include <string_view>

#include "api/error_table.h"
#include "api/generation.h"
#include "base/clock.h"
#include "http/server.h"
#include "worker/engine_loop.h"
#include "worker/metrics.h"
#include "worker/prepare.h"

namespace dormouse::worker {

enum class ServiceState { kLoading, kReady, kDraining };

struct Service {
  explicit Service(asio::io_context& context) : io(context) {}

  asio::io_context& io;
  EngineLoop* engine = nullptr;  // outlives the handlers
  std::string model_name;        // --served-model-name, or the file's
  std::string lease;             // every request must carry it; empty: none need to
  ModelView model;               // valid unless kLoading
  ServiceState state = ServiceState::kLoading;
  std::int64_t created_s = 0;
  Metrics metrics;
  SystemClock clock;
  // Long prompts are tokenised here and new formats compiled, so that a megabyte of text does not stop every stream for
  // its 100 ms.
  asio::thread_pool encoders{1};
  int active = 0;                  // inference requests being answered
  std::function<void()> on_quiet;  // active fell to 0
  // A request whose client had gone: what it came to (control::Ended). Empty: nobody wants to know.
  std::function<void(const std::string& request_id, JobTotals totals)> report_ended;
};

// The server's handler.
Task<void> handle(Service& service, http::Exchange& exchange);

// Shared by the route files. A Reply lives in handle()'s frame, which outlives everything it awaits.
struct Reply {
  Service& service;
  http::Exchange& exchange;
  std::string request_id;
  std::string_view handler;  // for the metrics: the route, never the path a client made up
};
[[nodiscard]] http::Headers base_headers(const Reply& reply, std::string_view content_type);
Task<void> send_json(const Reply& reply, int status, std::string body);
Task<void> send_error(const Reply& reply, api::ApiError error);
Task<void> send_error(const Reply& reply, api::ErrorCode code);
// Whether the request's model is this one, with the error if not. Empty names are this one.
[[nodiscard]] bool is_served(const Service& service, std::string_view model);

// POST /v1/chat/completions, /v1/completions
Task<void> handle_generation(const Reply& reply, api::GenerationRequest::Kind kind);
// POST /tokenize, /detokenize
Task<void> handle_tokenize(const Reply& reply);
Task<void> handle_detokenize(const Reply& reply);
// POST /v1/embeddings
Task<void> handle_embeddings(const Reply& reply);
// What the gateway's headers bound; an error naming the header if it cannot be read: a limit must not be dropped.
[[nodiscard]] api::ApiResult<RequestLimits> limits_of(const http::Request& request);
// `work` on the encoder's thread. It owns what it touches.
Task<void> run_encoder(Service& service, std::function<void()> work);
// prepare(), there unless it is_quick().
Task<api::ApiResult<Job>> prepare_off_loop(Service& service, api::GenerationRequest request, RequestLimits limits);

}  // namespace dormouse::worker
