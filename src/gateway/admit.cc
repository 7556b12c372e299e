#include "gateway/admit.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "gateway/keys/key_access.h"
#include "gateway/rate_headers.h"
#include "gateway/token_bounds.h"

namespace dormouse::gateway {
namespace {

api::ErrorCode code_of(const LimitRefusal& refusal) {
  switch (refusal.limit) {
    case LimitKind::kRequests: return api::ErrorCode::kRateLimitRequests;
    case LimitKind::kTokens:
      return refusal.cure == LimitRefusal::Cure::kAsk ? api::ErrorCode::kInvalidValue
                                                      : api::ErrorCode::kRateLimitTokens;
    case LimitKind::kConcurrency: return api::ErrorCode::kRateLimitConcurrency;
    case LimitKind::kBudget:
      // What running requests hold of it comes back when they end: fewer at once is the cure.
      return refusal.cure == LimitRefusal::Cure::kWait ? api::ErrorCode::kRateLimitConcurrency
                                                       : api::ErrorCode::kInsufficientQuota;
  }
  return api::ErrorCode::kInternalError;
}

std::string text_of(const LimitRefusal& refusal, Nanoseconds wait) {
  const std::string_view whose = refusal.holder == Holder::kKey ? "this API key" : "this model";
  const std::string again = fmt::format("Try again in {}.", go_duration(wait));
  switch (refusal.limit) {
    case LimitKind::kRequests:
      return fmt::format("Too many requests for {}: the limit is {} a minute. {}", whose, refusal.bound, again);
    case LimitKind::kTokens:
      if (refusal.cure == LimitRefusal::Cure::kWait) {
        return fmt::format("Too many tokens for {}: the limit is {} a minute. {}", whose, refusal.bound, again);
      }
      if (refusal.most == 0) {
        return fmt::format("The prompt alone is more than the {} tokens a minute of {}.", refusal.bound, whose);
      }
      return fmt::format(
          "Prompt and answer can come to more than the {} tokens a minute of {}: ask for max_tokens of {}"
          " at most.",
          refusal.bound, whose, refusal.most);
    case LimitKind::kConcurrency:
      return fmt::format("Too many requests at once for {}: the limit is {}.", whose, refusal.bound);
    case LimitKind::kBudget:
      if (refusal.cure == LimitRefusal::Cure::kWait) {
        return fmt::format("What is left of the budget of {} is held by requests that are running.", whose);
      }
      return fmt::format("The budget of {} is used up, or what is left cannot cover the most this request may cost.",
                         whose);
  }
  return {};
}

api::ApiError told(Call& call, const LimitRefusal& refusal) {
  api::ApiError out;
  out.code = code_of(refusal);
  if (refusal.cure == LimitRefusal::Cure::kWait) call.retry_after = with_jitter(refusal.wait, call.request_id);
  out.message = text_of(refusal, call.retry_after);
  if (refusal.cure == LimitRefusal::Cure::kAsk && refusal.most > 0) out.param = "max_tokens";
  return out;
}

}  // namespace

KeyLimits limits_of(const catalog::DeploymentRules& rules) {
  KeyLimits out;
  out.requests_per_minute = rules.requests_per_minute;
  out.tokens_per_minute = rules.tokens_per_minute;
  out.concurrency = rules.concurrency;
  out.budget_micros = rules.budget.micros;
  out.budget_currency = rules.budget.currency;
  out.budget_period = rules.budget.period;
  return out;
}

std::optional<Money> most_it_can_cost(const Deployments& deployments, const std::string& name, Nanoseconds longest) {
  const Deployment* const deployment = deployments.find(name);
  if (deployment == nullptr) return std::nullopt;
  std::optional<Money> out;
  for (const std::optional<fleet::InstancePrice>& price : {deployment->pricing.price, deployment->pricing.base_price}) {
    if (!price.has_value()) continue;
    const std::int64_t micros = cost_micros(price->by_time, std::max<std::int64_t>(longest.count(), 0)) + 1;  // a part
    if (!out.has_value() || micros > out->micros) out = Money{micros, price->by_time.currency};
  }
  return out;
}

std::optional<api::ApiError> admit_caller(Limiter& limiter, Call& call) {
  if (call.caller == nullptr) return std::nullopt;
  const Caller& caller = *call.caller;
  const std::optional<LimitRefusal> refused = limiter.begin(call.admission, caller.key_id, caller.limits);
  if (!refused.has_value()) return std::nullopt;
  return told(call, *refused);
}

std::optional<api::ApiError> admit_tokens(Limiter& limiter, Call& call, const Deployment& deployment, TokenWish& wish) {
  wish.longest = call.deadline - call.accepted;
  const std::optional<LimitRefusal> refused =
      limiter.reserve(call.admission, deployment.name, limits_of(deployment.rules), wish);
  if (!refused.has_value()) return std::nullopt;
  call.deployment = deployment.name;
  return told(call, *refused);
}

std::optional<api::ApiError> admit_request(Limiter& limiter, Call& call, const Deployment& deployment,
                                           api::GenerationRequest& request) {
  TokenWish wish;
  wish.prompt = prompt_bound(request);
  wish.answer = answer_bound(request);
  wish.answer_is_said = request.sampling.max_tokens.has_value();
  wish.choices = std::max(request.n, 1);
  const std::int64_t wanted = wish.answer;
  std::optional<api::ApiError> refused = admit_tokens(limiter, call, deployment, wish);
  if (!refused.has_value() && wish.answer < wanted) request.sampling.max_tokens = wish.answer;
  return refused;
}

api::ApiResult<const Deployment*> find_deployment(const Deployments& deployments, const Call& call,
                                                  std::string_view model) {
  const Deployment* const deployment = deployments.resolve(model, call.reach);
  if (deployment == nullptr) return tl::unexpected(api::ApiError{api::ErrorCode::kModelNotFound, {}, "model"});
  if (!may_use(call.caller, deployment->name)) {
    return tl::unexpected(api::ApiError{api::ErrorCode::kModelNotAllowed, {}, "model"});
  }
  return deployment;
}

api::ApiResult<const Deployment*> take_in(const Services& services, Limiter& limiter, Call& call,
                                          api::GenerationRequest& request) {
  api::ApiResult<const Deployment*> deployment = find_deployment(services.deployments, call, request.model);
  if (!deployment.has_value()) return deployment;
  if (auto refused = admit_request(limiter, call, **deployment, request)) return tl::unexpected(*std::move(refused));
  services.metrics.count_ignored_fields(request.ignored_fields.size());
  return deployment;
}

api::ApiResult<const Deployment*> take_in(const Services& services, Limiter& limiter, Call& call,
                                          const api::EmbeddingsRequest& request) {
  api::ApiResult<const Deployment*> deployment = find_deployment(services.deployments, call, request.model);
  if (!deployment.has_value()) return deployment;
  TokenWish wish;
  wish.prompt = prompt_bound(request);
  if (auto refused = admit_tokens(limiter, call, **deployment, wish)) return tl::unexpected(*std::move(refused));
  services.metrics.count_ignored_fields(request.ignored_fields);
  return deployment;
}

}  // namespace dormouse::gateway
