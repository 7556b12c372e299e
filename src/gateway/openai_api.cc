// The rest of OpenAI's routes beside text: /v1/embeddings and /v1/responses, and the requests of batches.
#include <utility>

#include "api/embeddings.h"
#include "gateway/active_call.h"
#include "gateway/admit.h"
#include "gateway/dialect/responses.h"
#include "gateway/dialect/responses_request.h"
#include "gateway/forwarding.h"
#include "gateway/gateway.h"

namespace dormouse::gateway {

Task<void> Gateway::responses(Call& call) {
  api::ApiResult<ResponsesRequest> request = parse_responses_request(call.request().body);
  if (!request.has_value()) {
    const api::ApiError error = request.error();
    co_await reply_error(call, error);
    co_return;
  }
  const api::ApiResult<const Deployment*> taken = take_in(services_, limits_.limiter(), call, request->chat);
  if (!taken.has_value()) {
    const api::ApiError error = taken.error();
    co_await reply_error(call, error);
    co_return;
  }
  const Deployment* const deployment = *taken;
  api::ResponseHead head;
  head.id = call.request_id;
  head.created = call.accepted_wall.us / 1'000'000;
  head.model = request->chat.model.empty() ? deployment->name : request->chat.model;
  GenerationPlan plan;
  plan.answer = make_responses_answer(request->chat.stream, std::move(head), std::move(request->echo));
  plan.request = std::move(request->chat);
  plan.deployment = deployment;
  plan.dialect = "openai";
  co_await run(call, std::move(plan));
}

Task<void> Gateway::embeddings(Call& call) {
  api::ApiResult<api::EmbeddingsRequest> request = api::parse_embeddings_request(call.request().body);
  const api::ApiResult<const Deployment*> taken = take_in(services_, limits_.limiter(), call, request);
  if (!taken.has_value()) {
    const api::ApiError error = taken.error();
    co_await reply_error(call, error);
    co_return;
  }
  const Deployment* const deployment = *taken;
  ForwardPlan plan = embeddings_plan(*request, *deployment);
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
