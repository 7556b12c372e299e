#include "worker/adopt/front.h"

#include <exception>
#include <utility>

#include "api/generation.h"
#include "base/log.h"
#include "worker/replies.h"

namespace dormouse::worker::adopt {
namespace {

constexpr std::string_view kModelPrefix = "/v1/models/";

api::ModelCard card_of(const Front& front) {
  return {.id = front.names.served, .created = front.created_s, .max_model_len = front.context_length};
}

api::ApiError error_of(api::ErrorCode code) {
  api::ApiError error;
  error.code = code;
  return error;
}

Task<void> answer_health(const Reply& reply) {
  if (reply.front.state == FrontState::kReady) {
    std::string body = R"({"status":"ok"})";
    co_await send_json(reply, 200, std::move(body));
    co_return;
  }
  const bool starting = reply.front.state == FrontState::kStarting;
  api::ApiError error = error_of(starting ? api::ErrorCode::kModelLoading : api::ErrorCode::kDraining);
  co_await send_error(reply, std::move(error));
}

Task<void> answer_models(const Reply& reply) {
  const std::string& path = reply.exchange.request().path;
  std::string body;
  if (path == "/v1/models") {
    body = api::models_response({card_of(reply.front)});
  } else if (path.substr(kModelPrefix.size()) == reply.front.names.served) {
    body = api::model_response(card_of(reply.front));
  }
  if (!body.empty()) {
    co_await send_json(reply, 200, std::move(body));
    co_return;
  }
  api::ApiError error{.code = api::ErrorCode::kModelNotFound, .message = {}, .param = "model"};
  co_await send_error(reply, std::move(error));
}

// Counted from before the first await that could see a drain to after the last byte: a drain waits for it.
Task<void> relay(const Reply& reply) {
  Front& front = reply.front;
  if (front.state != FrontState::kReady) {
    const bool starting = front.state == FrontState::kStarting;
    api::ApiError error = error_of(starting ? api::ErrorCode::kModelLoading : api::ErrorCode::kDraining);
    co_await send_error(reply, std::move(error));
    co_return;
  }
  const std::string& path = reply.exchange.request().path;
  const bool generates = path == "/v1/chat/completions" || path == "/v1/completions" || path == "/v1/embeddings";
  if (generates && reply.exchange.request().method != "POST") {
    api::ApiError error = error_of(api::ErrorCode::kMethodNotAllowed);
    co_await send_error(reply, std::move(error));
    co_return;
  }
  front.active += 1;
  std::exception_ptr failure;
  try {
    if (generates) {
      co_await relay_generation(reply);
    } else {
      co_await relay_plain(reply);
    }
  } catch (...) {
    failure = std::current_exception();
  }
  front.active -= 1;
  if (failure) std::rethrow_exception(failure);  // after the count: handle() answers it
  if (front.active == 0 && front.on_quiet) front.on_quiet();
}

Task<void> dispatch(const Reply& reply) {
  const http::Request& request = reply.exchange.request();
  if (!reply.front.lease.empty() && !http::has_bearer(request.headers, reply.front.lease)) {
    api::ApiError error = error_of(api::ErrorCode::kInvalidApiKey);
    co_await send_error(reply, std::move(error));
    co_return;
  }
  const bool is_health = request.path == "/health" || request.path == "/v1/health";
  const bool is_models = request.path == "/v1/models" || request.path.starts_with(kModelPrefix);
  const bool reads = request.method == "GET" || request.method == "HEAD";
  if ((is_health || is_models) && !reads) {
    api::ApiError error = error_of(api::ErrorCode::kMethodNotAllowed);
    co_await send_error(reply, std::move(error));
  } else if (is_health) {
    co_await answer_health(reply);
  } else if (is_models) {
    co_await answer_models(reply);
  } else if (request.path.starts_with("/v1/")) {
    co_await relay(reply);
  } else {
    api::ApiError error = error_of(api::ErrorCode::kNotFound);
    co_await send_error(reply, std::move(error));
  }
}

}  // namespace

http::Headers base_headers(const Reply& reply, std::string_view content_type) {
  return reply_headers(reply.request_id, content_type);
}

Task<void> send_json(const Reply& reply, int status, std::string body) {
  http::Response response = json_reply(reply.request_id, status, std::move(body));
  co_await send_reply(reply.exchange, reply.request_id, std::move(response));
}

Task<void> send_error(const Reply& reply, api::ApiError error) {
  http::Response response = error_reply(reply.request_id, error);
  co_await send_reply(reply.exchange, reply.request_id, std::move(response));
}

Task<void> handle(Front& front, http::Exchange& exchange) {
  const Reply reply{
      .front = front, .exchange = exchange, .request_id = request_id_of(exchange.request(), front.clock.wall())};
  std::string failure;
  try {
    co_await dispatch(reply);
  } catch (const std::exception& e) {
    failure = e.what();
  }
  if (failure.empty()) co_return;
  log_error("event=handler_failed request_id={} error=\"{}\"", reply.request_id, failure);
  if (exchange.started()) {
    exchange.abort();
    co_return;
  }
  api::ApiError error;
  co_await send_error(reply, std::move(error));
}

}  // namespace dormouse::worker::adopt
