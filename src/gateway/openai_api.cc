// The rest of OpenAI's routes beside text: /v1/embeddings and /v1/responses, and the requests of batches.
#include <utility>

#include "api/embeddings.h"
#include "gateway/active_call.h"
#include "gateway/admit.h"
#include "gateway/dialect/responses.h"
#include "gateway/dialect/responses_request.h"
#include "gateway/forwarding.h"
#include "gateway/gateway.h"
#include "gateway/keys/key_access.h"

namespace dormouse::gateway {

Task<void> Gateway::responses(Call& call) {
  api::ApiResult<ResponsesRequest> request = parse_responses_request(call.request().body);
  if (!request.has_value()) {
    const api::ApiError error = request.error();
    co_await reply_error(call, error);
    co_return;
  }
  const std::string model = request->chat.model;
  const Deployment* const deployment = deployments_.resolve(model, call.reach);
  if (deployment == nullptr) {
    co_await reply_error(call, api::ErrorCode::kModelNotFound, "model");
    co_return;
  }
  if (!may_use(call.caller, deployment->name)) {
    co_await reply_error(call, api::ErrorCode::kModelNotAllowed, "model");
    co_return;
  }
  if (const auto refused = admit_request(limits_.limiter(), call, *deployment, request->chat)) {
    co_await reply_error(call, *refused);
    co_return;
  }
  services_.metrics.count_ignored_fields(request->chat.ignored_fields.size());
  api::ResponseHead head;
  head.id = call.request_id;
  head.created = call.accepted_wall.us / 1'000'000;
  head.model = model.empty() ? deployment->name : model;
  GenerationPlan plan;
  plan.answer = make_responses_answer(request->chat.stream, std::move(head), std::move(request->echo));
  plan.request = std::move(request->chat);
  plan.deployment = deployment;
  plan.dialect = "openai";
  co_await run(call, std::move(plan));
}

Task<void> Gateway::embeddings(Call& call) {
  api::ApiResult<api::EmbeddingsRequest> request = api::parse_embeddings_request(call.request().body);
  if (!request.has_value()) {
    const api::ApiError error = request.error();
    co_await reply_error(call, error);
    co_return;
  }
  const Deployment* const deployment = deployments_.resolve(request->model, call.reach);
  if (deployment == nullptr) {
    co_await reply_error(call, api::ErrorCode::kModelNotFound, "model");
    co_return;
  }
  if (!may_use(call.caller, deployment->name)) {
    co_await reply_error(call, api::ErrorCode::kModelNotAllowed, "model");
    co_return;
  }
  ForwardPlan plan;
  for (const api::EmbeddingInput& input : request->inputs) plan.most_tokens += api::most_tokens(input) + 1;  // its end
  TokenWish wish;
  wish.prompt = plan.most_tokens;
  if (const auto refused = admit_tokens(limits_.limiter(), call, *deployment, wish)) {
    co_await reply_error(call, *refused);
    co_return;
  }
  services_.metrics.count_ignored_fields(request->ignored_fields);
  plan.target = "/v1/embeddings";
  plan.body = api::to_json(*request);
  plan.deployment = deployment;
  plan.dialect = "openai";
  const std::string model = request->model.empty() ? deployment->name : request->model;
  plan.read = [model](std::string_view body) -> Result<ForwardedAnswer> {
    TRY(api::EmbeddingsAnswer answer, api::rename_embeddings(body, model));
    return ForwardedAnswer{answer.prompt_tokens, std::move(answer.body)};
  };
  Forwarding forwarding(services_, call, std::move(plan));
  co_await forwarding.run();
}

std::string Gateway::deployment_of(const Batch& batch) const {
  const Deployment* const found = deployments_.resolve(batch.model, batch.is_public ? Reach::kPublic : Reach::kPrivate);
  return found == nullptr ? std::string() : found->name;
}

Task<Status> Gateway::handle_batched(const Batch& batch, http::Exchange& exchange) {
  Call call(exchange);
  router_.match(call);
  call.reach = batch.is_public ? Reach::kPublic : Reach::kPrivate;
  call.client = "batch";
  if (!batch.owner.empty()) {
    call.caller = keys_.holder_of(batch.owner);
    if (call.caller == nullptr) {
      co_return make_error(Code::kUnauthenticated, "The API key that made this batch is no longer valid.");
    }
  }
  const ActiveCall active(*this, call);
  co_await batch_pipeline_->run(call);
  co_return Status();
}

}  // namespace dormouse::gateway
