// Between a request and the limiter: what a Call is told when it may not go on. Threads: the loop's.
#pragma once

#include <optional>
#include <string>

#include "api/embeddings.h"
#include "api/error_table.h"
#include "api/generation.h"
#include "gateway/call.h"
#include "gateway/deployments.h"
#include "gateway/limits/limiter.h"
#include "gateway/services.h"

namespace dormouse::gateway {

// What all callers of a deployment may have together.
[[nodiscard]] KeyLimits limits_of(const catalog::DeploymentRules& rules);

// The most a request can cost that ends after `longest`: an instance's whole time. nullopt: it has no price.
[[nodiscard]] std::optional<Money> most_it_can_cost(const Deployments& deployments, const std::string& name,
                                                    Nanoseconds longest);

// Before the body is looked at: the limits of the caller's key. nullopt: go on. A refusal sets call.retry_after.
[[nodiscard]] std::optional<api::ApiError> admit_caller(Limiter& limiter, Call& call);
// Once it is known what is asked of whom: the deployment's limits, and the tokens and money of both. `wish` without
// `longest`; its answer may come back less.
[[nodiscard]] std::optional<api::ApiError> admit_tokens(Limiter& limiter, Call& call, const Deployment& deployment,
                                                        TokenWish& wish);
// The same for a request for text. May set request.sampling.max_tokens, where the caller gave none and the limits leave
// less than the model would.
[[nodiscard]] std::optional<api::ApiError> admit_request(Limiter& limiter, Call& call, const Deployment& deployment,
                                                         api::GenerationRequest& request);

// The deployment that `model` means to this caller. Errors: kModelNotFound, kModelNotAllowed.
[[nodiscard]] api::ApiResult<const Deployment*> find_deployment(const Deployments& deployments, const Call& call,
                                                                std::string_view model);
// The way of every dialect from a parsed request to one that may run: its deployment is found and allowed, the limits
// have room, its unknown fields are counted. Errors: those of find_deployment and admit_request.
[[nodiscard]] api::ApiResult<const Deployment*> take_in(const Services& services, Limiter& limiter, Call& call,
                                                        api::GenerationRequest& request);
// The same for texts that become vectors. Errors: those of find_deployment and admit_tokens.
[[nodiscard]] api::ApiResult<const Deployment*> take_in(const Services& services, Limiter& limiter, Call& call,
                                                        const api::EmbeddingsRequest& request);
// The same of what a parser made of a body. Errors: also the parser's.
template <typename Request>
[[nodiscard]] api::ApiResult<const Deployment*> take_in(const Services& services, Limiter& limiter, Call& call,
                                                        api::ApiResult<Request>& parsed) {
  if (!parsed.has_value()) return tl::unexpected(parsed.error());
  return take_in(services, limiter, call, *parsed);
}

}  // namespace dormouse::gateway
