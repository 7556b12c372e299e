// The part of the admin API that makes, changes and removes deployments.
#include <fmt/format.h>

#include <utility>

#include "gateway/error_response.h"
#include "gateway/gateway.h"

namespace dormouse::gateway {

Task<void> Gateway::reply_deployment(Call& call, const Deployment& deployment) const {
  const StatusView status = status_view();
  for (const DeploymentView& view : status.deployments) {
    if (view.name != deployment.name) continue;
    const std::string body = to_json(view);
    co_await reply_json(call, 200, body);
    co_return;
  }
  co_await reply_error(call, api::ErrorCode::kModelNotFound);
}

Task<void> Gateway::admin_deployment(Call& call) const {
  const Deployment* deployment = deployment_of(call);
  if (deployment == nullptr) {
    co_await reply_error(call, api::ErrorCode::kModelNotFound);
    co_return;
  }
  co_await reply_deployment(call, *deployment);
}

Task<void> Gateway::admin_deploy(Call& call) {
  Result<NewDeployment> wish = parse_new_deployment(call.request().body);
  if (!wish.has_value()) {
    const api::ApiError error = from_admin(wish.error(), api::ErrorCode::kLedgerUnavailable);
    co_await reply_error(call, error);
    co_return;
  }
  if (draining_) {
    co_await reply_error(call, api::ErrorCode::kDraining);
    co_return;
  }
  const Result<Deployment> made = co_await deployer_.create(*std::move(wish));
  co_await reply_changed(call, made);
}

Task<void> Gateway::admin_change(Call& call) {
  Result<DeploymentChange> change = parse_deployment_change(call.request().body);
  if (!change.has_value()) {
    const api::ApiError error = from_admin(change.error(), api::ErrorCode::kLedgerUnavailable);
    co_await reply_error(call, error);
    co_return;
  }
  if (draining_) {
    co_await reply_error(call, api::ErrorCode::kDraining);
    co_return;
  }
  const std::string name = call.parameters[0];  // its name only: an alias is no handle to change it by
  const Result<Deployment> changed = co_await deployer_.change(name, *std::move(change));
  co_await reply_changed(call, changed);
}

Task<void> Gateway::admin_remove(Call& call) {
  const std::string name = call.parameters[0];
  const Status removed = co_await deployer_.remove(name);
  if (!removed.has_value()) {
    const api::ApiError error = from_admin(removed.error(), api::ErrorCode::kLedgerUnavailable);
    co_await reply_error(call, error);
    co_return;
  }
  const std::string body = fmt::format(R"({{"name":"{}","removed":true}})", name);
  co_await reply_json(call, 200, body);
}

Task<void> Gateway::reply_changed(Call& call, const Result<Deployment>& deployment) const {
  if (!deployment.has_value()) {
    const api::ApiError error = from_admin(deployment.error(), api::ErrorCode::kLedgerUnavailable);
    co_await reply_error(call, error);
    co_return;
  }
  co_await reply_deployment(call, *deployment);
}

Task<void> Gateway::reply_outcome(Call& call, const Deployment& deployment, const Status& done) {
  if (!done.has_value()) {
    const api::ApiError error = from_admin(done.error(), api::ErrorCode::kModelLoadFailed);
    co_await reply_error(call, error);
    co_return;
  }
  co_await reply_deployment(call, deployment);
}

}  // namespace dormouse::gateway
