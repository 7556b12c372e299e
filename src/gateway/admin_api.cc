// The part of Gateway behind Access::kAdmin: what the CLI and (later) the console ask. None of it wakes an instance but
// the wake verb. Changing deployments is in admin_deployments.cc, reports are in admin/reports_api.cc.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <utility>

#include "gateway/gateway.h"

namespace dormouse::gateway {
namespace {

// The verbs wait for memory to come (a load from a slow disk) or to go (a draining answer).
constexpr Nanoseconds kVerbWait = std::chrono::minutes(10);
constexpr std::int64_t kLogTailBytes = 64 * 1024;

std::string tail_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return {};
  const std::int64_t size = static_cast<std::int64_t>(file.tellg());
  const std::int64_t from = std::max<std::int64_t>(0, size - kLogTailBytes);
  file.seekg(from);
  std::string out(static_cast<std::size_t>(size - from), '\0');
  file.read(out.data(), static_cast<std::streamsize>(out.size()));
  out.resize(static_cast<std::size_t>(file.gcount()));
  const std::size_t first_whole_line = from > 0 ? out.find('\n') : std::string::npos;
  return first_whole_line == std::string::npos ? out : out.substr(first_whole_line + 1);
}

}  // namespace

void Gateway::add_admin_routes() {
  const auto add = [this](const char* method, const char* pattern, RouteHandler handler) {
    router_.add({method, pattern, Access::kAdmin, std::move(handler)});
  };
  add("GET", "/metrics", [this](Call& c) { return metrics(c); });
  add("GET", "/admin/v1/status", [this](Call& c) { return admin_status(c); });
  add("GET", "/admin/v1/deployments", [this](Call& c) { return admin_status(c); });
  add("POST", "/admin/v1/deployments", [this](Call& c) { return admin_deploy(c); });
  add("GET", "/admin/v1/deployments/{name}", [this](Call& c) { return admin_deployment(c); });
  add("PATCH", "/admin/v1/deployments/{name}", [this](Call& c) { return admin_change(c); });
  add("DELETE", "/admin/v1/deployments/{name}", [this](Call& c) { return admin_remove(c); });
  add("POST", "/admin/v1/deployments/{name}/wake", [this](Call& c) { return admin_wake(c); });
  add("POST", "/admin/v1/deployments/{name}/sleep", [this](Call& c) { return admin_sleep(c); });
  add("GET", "/admin/v1/deployments/{name}/logs", [this](Call& c) { return admin_logs(c); });
  add("GET", "/admin/v1/usage", [this](Call& c) { return admin_usage(c); });
  add("GET", "/admin/v1/requests", [this](Call& c) { return admin_requests(c); });
  add("GET", "/admin/v1/bill", [this](Call& c) { return admin_bill(c); });
  add("GET", "/admin/v1/errors", [this](Call& c) { return report_errors(c); });
  add("GET", "/admin/v1/refusals", [this](Call& c) { return report_errors(c); });
  router_.add({"GET", "/internal/worker", Access::kWorker, [this](Call& c) {
                 c.status = 101;
                 return services_.fleet.serve_control(c.exchange);
               }});
}

const Deployment* Gateway::deployment_of(const Call& call) const { return deployments_.resolve(call.parameters[0]); }

StatusView Gateway::status_view() const {
  StatusView out;
  out.version = kVersion;
  out.pid = ::getpid();
  out.uptime_s = static_cast<double>((services_.clock.now() - started_).count()) / 1e9;
  out.draining = draining_;
  out.resident_bytes = resident_bytes();
  out.listen = listening_;
  if (notices_) out.notices = notices_();
  const std::vector<fleet::DeploymentStatus> fleet = services_.fleet.status();
  for (const auto& [name, deployment] : deployments_.all()) {
    const std::string& wanted = name;
    const auto found =
        std::find_if(fleet.begin(), fleet.end(), [&wanted](const auto& status) { return status.name == wanted; });
    out.deployments.push_back(view_of(deployment, found == fleet.end() ? nullptr : &*found));
  }
  return out;
}

Task<void> Gateway::admin_status(Call& call) const {
  const std::string body = to_json(status_view());
  co_await reply_json(call, 200, body);
}

Task<void> Gateway::admin_wake(Call& call) {
  const Deployment* deployment = deployment_of(call);
  if (deployment == nullptr) {
    co_await reply_error(call, api::ErrorCode::kModelNotFound);
    co_return;
  }
  const Deployment wanted = *deployment;
  const Status done = co_await services_.fleet.wake(wanted.name, kVerbWait);
  co_await reply_outcome(call, wanted, done);
}

Task<void> Gateway::admin_sleep(Call& call) {
  const Deployment* deployment = deployment_of(call);
  if (deployment == nullptr) {
    co_await reply_error(call, api::ErrorCode::kModelNotFound);
    co_return;
  }
  const Deployment wanted = *deployment;
  const Status done = co_await services_.fleet.sleep(wanted.name, kVerbWait);
  co_await reply_outcome(call, wanted, done);
}

Task<void> Gateway::admin_logs(Call& call) const {
  const Deployment* deployment = deployment_of(call);
  if (deployment == nullptr) {
    co_await reply_error(call, api::ErrorCode::kModelNotFound);
    co_return;
  }
  http::Response response;
  response.headers.set("content-type", "text/plain; charset=utf-8");
  response.body = tail_of(fmt::format("{}/{}.log", options_.log_directory, deployment->name));
  co_await reply(call, std::move(response));
}

}  // namespace dormouse::gateway
