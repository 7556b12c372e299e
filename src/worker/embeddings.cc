// POST /v1/embeddings: from texts to vectors. Each input is a job of its own, some at a time, so that one request with
// two thousand texts neither fills the queue nor keeps the others' answers waiting.
#include <fmt/format.h>

#include <deque>
#include <memory>
#include <utility>

#include "base/log.h"
#include "worker/service.h"
#include "worker/state_pool.h"

namespace dormouse::worker {
namespace {

using Ids = std::vector<text::TokenId>;

// As many as fill a step with short texts; the queue takes 1,024 of everybody.
constexpr std::size_t kJobsAtOnce = 32;
// Numbers of one answer, 64 MiB as text.
constexpr std::int64_t kMaxNumbers = std::int64_t{4} << 20;

api::ApiError invalid(std::string param, std::string message) {
  return {.code = api::ErrorCode::kInvalidValue, .message = std::move(message), .param = std::move(param)};
}

api::ApiResult<api::EmbeddingsRequest> read_request(const Reply& reply) {
  Service& service = reply.service;
  if (service.state == ServiceState::kDraining) return tl::unexpected(api::ApiError{api::ErrorCode::kDraining, {}, {}});
  api::ApiResult<api::EmbeddingsRequest> request = api::parse_embeddings_request(reply.exchange.request().body);
  if (!request.has_value()) return request;
  if (service.state == ServiceState::kLoading) {
    return tl::unexpected(api::ApiError{api::ErrorCode::kModelLoading, {}, {}});
  }
  if (!is_served(service, request->model)) {
    return tl::unexpected(api::ApiError{api::ErrorCode::kModelNotFound, {}, "model"});
  }
  const ModelView& model = service.model;
  if (!model.gives_hidden) {
    return tl::unexpected(api::ApiError{api::ErrorCode::kNotImplemented,
                                        "Embeddings are computed on CPUs only; this instance's model is on a GPU.",
                                        {}});
  }
  const std::int64_t dimensions = request->dimensions.value_or(model.hidden);
  if (dimensions > model.hidden) {
    return tl::unexpected(invalid("dimensions", fmt::format("This model's vectors have {} dimensions.", model.hidden)));
  }
  const std::int64_t most = kMaxNumbers / dimensions;
  if (std::ssize(request->inputs) > most) {
    return tl::unexpected(
        invalid("input", fmt::format("Of {} dimensions each, at most {} inputs a request.", dimensions, most)));
  }
  return request;
}

enum class TooLong { kRefused, kCut };

api::ApiResult<Ids> encode_input(const ModelView& model, const api::EmbeddingInput& input, std::size_t index,
                                 TooLong too_long) {
  const std::string name = fmt::format("input[{}]", index);
  const std::int64_t room = std::min<std::int64_t>(model.context_length, model.kv_tokens);
  const std::int64_t counted = std::max<std::int64_t>(room, 0) * kCountedTimes;
  bool is_all_counted = true;
  Ids out;
  if (const auto* text = std::get_if<std::string>(&input)) {
    // Control tokens in somebody's document are text.
    is_all_counted =
        model.tokenizer->encode_at_most(static_cast<std::size_t>(counted), *text, text::SpecialTokens::kAsText, out);
    if (model.embedding.end.has_value()) out.push_back(*model.embedding.end);
  } else {
    out = std::get<std::vector<std::int32_t>>(input);
  }
  for (const text::TokenId id : out) {
    if (id >= model.tokenizer->first_padding_id()) {
      return tl::unexpected(invalid(name, fmt::format("There is no token {}.", id)));
    }
  }
  const auto tokens = std::ssize(out);
  if (tokens > room && too_long == TooLong::kCut) {
    // Its beginning, and the end token where there is one: that is what is pooled.
    const text::TokenId last = out.back();
    out.resize(static_cast<std::size_t>(room));
    if (model.embedding.end == last) out.back() = last;
    return out;
  }
  if (!is_all_counted) {
    return tl::unexpected(api::ApiError{
        .code = api::ErrorCode::kContextLengthExceeded,
        .message = fmt::format("{} has more than {} tokens; the model's context takes {}.", name, counted, room),
        .param = name});
  }
  if (tokens > room) {
    return tl::unexpected(
        api::ApiError{.code = api::ErrorCode::kContextLengthExceeded,
                      .message = fmt::format("{} has {} tokens; the model's context takes {}, which is {} too many.",
                                             name, tokens, room, tokens - room),
                      .param = name});
  }
  return out;
}

api::ApiResult<std::vector<Ids>> encode_inputs(const ModelView& model, const api::EmbeddingsRequest& request,
                                               const RequestLimits& limits) {
  std::vector<Ids> out;
  out.reserve(request.inputs.size());
  const TooLong too_long = request.truncate ? TooLong::kCut : TooLong::kRefused;
  std::int64_t tokens = 0;
  for (std::size_t i = 0; i < request.inputs.size(); ++i) {
    api::ApiResult<Ids> ids = encode_input(model, request.inputs[i], i, too_long);
    if (!ids.has_value()) return tl::unexpected(ids.error());
    tokens += std::ssize(*ids);
    out.push_back(*std::move(ids));
  }
  if (limits.max_prompt_tokens.has_value() && tokens > *limits.max_prompt_tokens) {
    return tl::unexpected(api::ApiError{
        .code = api::ErrorCode::kContextLengthExceeded,
        .message = fmt::format("The inputs have {} tokens; this request was admitted with {}, which is {} too many.",
                               tokens, *limits.max_prompt_tokens, tokens - *limits.max_prompt_tokens),
        .param = "input"});
  }
  return out;
}

struct Encoding {
  api::EmbeddingsRequest request;
  std::optional<api::ApiResult<std::vector<Ids>>> ids;
};

// Everything one answer needs, in the handler's frame.
struct Vectors {
  const Reply& reply;
  const api::EmbeddingsRequest& request;
  const std::vector<Ids>& inputs;
  api::Pooling pooling;
  std::deque<std::shared_ptr<JobChannel>> open;  // in the order of the inputs
  std::size_t submitted = 0;
  api::EmbeddingsWriter writer;
};

api::ApiResult<bool> submit_some(Vectors& work) {
  EngineLoop& engine = *work.reply.service.engine;
  for (; work.submitted < work.inputs.size() && work.open.size() < kJobsAtOnce; ++work.submitted) {
    Job job;
    job.prompt = work.inputs[work.submitted];
    job.max_tokens = 0;
    job.pooling = work.pooling;
    if (const auto tenant = work.reply.exchange.request().headers.find("x-dormouse-tenant"); tenant.has_value()) {
      job.tenant = std::string(tenant->substr(0, 128));
    }
    Result<std::shared_ptr<JobChannel>> channel = engine.submit(std::move(job));
    if (!channel.has_value()) return tl::unexpected(api::ApiError{api::ErrorCode::kQueueFull, {}, {}});
    work.open.push_back(*std::move(channel));
  }
  return true;
}

void cancel_all(Vectors& work) {
  for (const auto& channel : work.open) work.reply.service.engine->cancel(channel->id());
}

// The vector of the oldest open job.
Task<api::ApiResult<std::vector<float>>> next_vector(Vectors& work) {
  const std::shared_ptr<JobChannel> channel = work.open.front();
  while (true) {
    std::vector<JobEvent> events = co_await channel->take(std::chrono::minutes(1));
    for (JobEvent& event : events) {
      if (event.kind == JobEvent::Kind::kFailed) co_return tl::unexpected(event.error);
      if (event.kind != JobEvent::Kind::kFinished) continue;
      work.open.pop_front();
      work.reply.service.engine->cancel(channel->id());  // ended by itself: only forgotten
      co_return std::move(event.embedding);
    }
    if (channel->closed()) co_return tl::unexpected(api::ApiError{api::ErrorCode::kDraining, {}, {}});
  }
}

Task<std::optional<api::ApiError>> compute(Vectors& work) {
  for (std::size_t i = 0; i < work.inputs.size(); ++i) {
    const api::ApiResult<bool> submitted = submit_some(work);
    if (!submitted.has_value()) co_return submitted.error();
    api::ApiResult<std::vector<float>> vector = co_await next_vector(work);
    if (!vector.has_value()) co_return vector.error();
    if (work.request.dimensions.has_value()) {
      Result<std::vector<float>> part = shortened(*vector, static_cast<std::size_t>(*work.request.dimensions));
      if (!part.has_value()) co_return api::ApiError{api::ErrorCode::kInternalError, {}, {}};
      vector = *std::move(part);
    }
    work.writer.add(*vector);
  }
  co_return std::nullopt;
}

Task<void> answer(const Reply& reply, const api::EmbeddingsRequest& request, const std::vector<Ids>& inputs) {
  Service& service = reply.service;
  const MonoTime arrived = service.clock.now();
  Vectors work{.reply = reply,
               .request = request,
               .inputs = inputs,
               .pooling = request.pooling.value_or(service.model.embedding.pooling),
               .open = {},
               .submitted = 0,
               .writer = api::EmbeddingsWriter(request.encoding)};
  std::int64_t tokens = 0;
  for (const Ids& ids : inputs) tokens += std::ssize(ids);
  reply.exchange.on_client_gone([&work] { cancel_all(work); });
  const std::optional<api::ApiError> failed = co_await compute(work);
  reply.exchange.on_client_gone({});
  cancel_all(work);
  const bool gone = reply.exchange.client_gone();
  if (failed.has_value() && !gone) {
    api::ApiError error = *failed;
    co_await send_error(reply, std::move(error));
  } else if (!gone) {
    std::string body = work.writer.finish(service.model_name, tokens);
    co_await send_json(reply, 200, std::move(body));
  }
  const std::string_view end = gone ? "abort" : failed.has_value() ? "error" : "stop";
  const double total_s = std::chrono::duration<double>(service.clock.now() - arrived).count();
  service.metrics.count_finished(
      {.reason = end, .first_token_s = -1, .total_s = total_s, .prompt_tokens = tokens, .generated_tokens = 0});
  log_info("event=embeddings request_id={} end={} inputs={} prompt_tokens={} total_ms={:.0f}", reply.request_id, end,
           inputs.size(), tokens, total_s * 1000);
}

}  // namespace

Task<void> handle_embeddings(const Reply& reply) {
  Service& service = reply.service;
  api::ApiResult<api::EmbeddingsRequest> request = read_request(reply);
  const api::ApiResult<RequestLimits> limits = limits_of(reply.exchange.request());
  if (!request.has_value() || !limits.has_value()) {
    api::ApiError error = request.has_value() ? limits.error() : request.error();
    co_await send_error(reply, std::move(error));
    co_return;
  }
  std::size_t bytes = 0;
  for (const api::EmbeddingInput& input : request->inputs) bytes += static_cast<std::size_t>(api::most_tokens(input));
  const auto encoding = std::make_shared<Encoding>();
  encoding->request = *std::move(request);
  std::function<void()> encode = [encoding, model = service.model, limits = *limits] {
    encoding->ids.emplace(encode_inputs(model, encoding->request, limits));
  };
  if (bytes <= kQuickBytes) {
    encode();
  } else {
    co_await run_encoder(service, std::move(encode));
  }
  if (!encoding->ids->has_value()) {
    api::ApiError error = encoding->ids->error();
    co_await send_error(reply, std::move(error));
    co_return;
  }
  // Counted from before the first await that could see a drain to after the last byte: a drain waits for it.
  service.active += 1;
  co_await answer(reply, encoding->request, **encoding->ids);
  service.active -= 1;
  if (service.active == 0 && service.on_quiet) service.on_quiet();
}

}  // namespace dormouse::worker
