#include "worker/service.h"

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <charconv>
#include <exception>
#include <utility>

#include "base/log.h"
#include "http/tls.h"
#include "worker/replies.h"

namespace dormouse::worker {
namespace {

enum class Route {
  kChat,
  kCompletion,
  kEmbeddings,
  kTokenize,
  kDetokenize,
  kModels,
  kModel,
  kHealth,
  kMetrics,
  kUnknown
};

struct RouteRow {
  std::string_view path;
  std::string_view method;
  Route route;
};
constexpr std::array kRoutes = {
    RouteRow{"/v1/chat/completions", "POST", Route::kChat},
    RouteRow{"/v1/completions", "POST", Route::kCompletion},
    RouteRow{"/v1/embeddings", "POST", Route::kEmbeddings},
    RouteRow{"/tokenize", "POST", Route::kTokenize},
    RouteRow{"/detokenize", "POST", Route::kDetokenize},
    RouteRow{"/v1/models", "GET", Route::kModels},
    RouteRow{"/health", "GET", Route::kHealth},
    RouteRow{"/v1/health", "GET", Route::kHealth},
    RouteRow{"/metrics", "GET", Route::kMetrics},
};
constexpr std::string_view kModelPrefix = "/v1/models/";

const RouteRow* find_route(std::string_view path) {
  static constexpr RouteRow kModelRow{"/v1/models/{id}", "GET", Route::kModel};
  if (path.starts_with(kModelPrefix)) return &kModelRow;
  const auto is_it = [path](const RouteRow& row) { return row.path == path; };
  const auto found = std::find_if(kRoutes.begin(), kRoutes.end(), is_it);
  return found == kRoutes.end() ? nullptr : &*found;
}

api::ModelCard card_of(const Service& service) {
  return {.id = service.model_name, .created = service.created_s, .max_model_len = service.model.context_length};
}

Task<void> handle_health(const Reply& reply) {
  switch (reply.service.state) {
    case ServiceState::kReady: {
      std::string body = R"({"status":"ok"})";
      co_await send_json(reply, 200, std::move(body));
      break;
    }
    case ServiceState::kLoading: co_await send_error(reply, api::ErrorCode::kModelLoading); break;
    case ServiceState::kDraining: co_await send_error(reply, api::ErrorCode::kDraining); break;
  }
}

Task<void> handle_model(const Reply& reply) {
  std::string name = reply.exchange.request().path.substr(kModelPrefix.size());
  if (!is_served(reply.service, name) || name.empty()) {
    api::ApiError error{.code = api::ErrorCode::kModelNotFound, .message = {}, .param = "model"};
    co_await send_error(reply, std::move(error));
    co_return;
  }
  std::string body = api::model_response(card_of(reply.service));
  co_await send_json(reply, 200, std::move(body));
}

Task<void> handle_metrics(const Reply& reply) {
  http::Response response;
  response.headers = base_headers(reply, "text/plain; version=0.0.4; charset=utf-8");
  const EngineSnapshot engine = reply.service.engine != nullptr ? reply.service.engine->snapshot() : EngineSnapshot{};
  response.body = reply.service.metrics.write(reply.service.model_name, engine);
  co_await reply.exchange.send(std::move(response));
}

Task<void> dispatch(const Reply& reply, Route route) {
  switch (route) {
    case Route::kChat: co_await handle_generation(reply, api::GenerationRequest::Kind::kChat); break;
    case Route::kCompletion: co_await handle_generation(reply, api::GenerationRequest::Kind::kCompletion); break;
    case Route::kEmbeddings: co_await handle_embeddings(reply); break;
    case Route::kTokenize: co_await handle_tokenize(reply); break;
    case Route::kDetokenize: co_await handle_detokenize(reply); break;
    case Route::kModels: {
      std::string body = api::models_response({card_of(reply.service)});
      co_await send_json(reply, 200, std::move(body));
      break;
    }
    case Route::kModel: co_await handle_model(reply); break;
    case Route::kHealth: co_await handle_health(reply); break;
    case Route::kMetrics: co_await handle_metrics(reply); break;
    case Route::kUnknown: co_await send_error(reply, api::ErrorCode::kNotFound); break;
  }
}

// What a handler waits on while the encoder's thread works.
struct EncoderWork {
  explicit EncoderWork(asio::io_context& io) : timer(io, asio::steady_timer::time_point::max()) {}
  asio::steady_timer timer;
  bool done = false;
};

struct Preparation {
  api::GenerationRequest request;
  std::optional<api::ApiResult<Job>> result;
};

}  // namespace

http::Headers base_headers(const Reply& reply, std::string_view content_type) {
  return reply_headers(reply.request_id, content_type);
}

Task<void> send_json(const Reply& reply, int status, std::string body) {
  http::Response response = json_reply(reply.request_id, status, std::move(body));
  reply.service.metrics.count_http(reply.handler, reply.exchange.request().method, status);
  co_await send_reply(reply.exchange, reply.request_id, std::move(response));
}

Task<void> send_error(const Reply& reply, api::ApiError error) {
  http::Response response = error_reply(reply.request_id, error);
  reply.service.metrics.count_http(reply.handler, reply.exchange.request().method, response.status);
  reply.service.metrics.count_error(api::row(error.code).code);
  co_await send_reply(reply.exchange, reply.request_id, std::move(response));
}

Task<void> send_error(const Reply& reply, api::ErrorCode code) {
  api::ApiError error;
  error.code = code;
  co_await send_error(reply, std::move(error));
}

bool is_served(const Service& service, std::string_view model) {
  return model.empty() || model == service.model_name;
}

Task<void> run_encoder(Service& service, std::function<void()> work) {
  const auto pending = std::make_shared<EncoderWork>(service.io);
  asio::io_context* const io = &service.io;
  asio::post(service.encoders, [pending, io, work = std::move(work)] {
    work();
    asio::post(*io, [pending] {
      pending->done = true;
      pending->timer.cancel();
    });
  });
  while (!pending->done) co_await pending->timer.async_wait(kTuple);
}

Task<api::ApiResult<Job>> prepare_off_loop(Service& service, api::GenerationRequest request, RequestLimits limits) {
  if (is_quick(service.model, request)) co_return prepare(service.model, request, limits);
  const auto pending = std::make_shared<Preparation>();
  pending->request = std::move(request);
  std::function<void()> work = [pending, model = service.model, limits] {
    pending->result.emplace(prepare(model, pending->request, limits));
  };
  co_await run_encoder(service, std::move(work));
  co_return std::move(*pending->result);
}

// A whole positive number, or an error naming the header: a limit that cannot be read must not be dropped.
api::ApiResult<RequestLimits> limits_of(const http::Request& request) {
  RequestLimits out;
  const std::optional<std::string_view> text = request.headers.find("x-dormouse-max-prompt-tokens");
  if (!text.has_value()) return out;
  std::int64_t value = 0;
  const auto [end, ec] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (ec != std::errc{} || end != text->data() + text->size() || value < 0) {
    return tl::unexpected(api::ApiError{.code = api::ErrorCode::kInvalidValue,
                                        .message = "Not a number of tokens.",
                                        .param = "x-dormouse-max-prompt-tokens"});
  }
  out.max_prompt_tokens = value;
  return out;
}

Task<void> handle(Service& service, http::Exchange& exchange) {
  const http::Request& request = exchange.request();
  const RouteRow* const row = find_route(request.path);
  const Reply reply{.service = service,
                    .exchange = exchange,
                    .request_id = request_id_of(request, service.clock.wall()),
                    .handler = row != nullptr ? row->path : "none"};
  std::string failure;
  try {
    if (!service.lease.empty() && !http::has_bearer(request.headers, service.lease)) {
      co_await send_error(reply, api::ErrorCode::kInvalidApiKey);
    } else if (row != nullptr && row->method != request.method && !(row->method == "GET" && request.method == "HEAD")) {
      co_await send_error(reply, api::ErrorCode::kMethodNotAllowed);
    } else {
      co_await dispatch(reply, row != nullptr ? row->route : Route::kUnknown);
    }
  } catch (const std::exception& e) {
    failure = e.what();
  }
  if (failure.empty()) co_return;
  log_error("event=handler_failed request_id={} error=\"{}\"", reply.request_id, failure);
  if (exchange.started()) {
    exchange.abort();
  } else {
    co_await send_error(reply, api::ErrorCode::kInternalError);
  }
}

}  // namespace dormouse::worker
