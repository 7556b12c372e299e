// The front door: routes, pipeline, handlers. Knows no sockets and no processes; house.h puts it between them.
// Threads: the loop's. Outlives every request: whoever destroys it has drained the servers first.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "catalog/catalog.h"
#include "gateway/admin_wire.h"
#include "gateway/generation.h"
#include "gateway/pipeline.h"
#include "gateway/router.h"

namespace dormouse::gateway {

struct GatewayOptions {
  std::size_t max_in_flight = 1'024;
  std::chrono::milliseconds request_timeout{600'000};  // the SDKs' own default
  std::vector<std::string> model_directories;          // where images of new deployments are looked for
  std::string log_directory;
  std::chrono::milliseconds default_idle_timeout{600'000};
};

class Gateway {
 public:
  // `deployments` is borrowed and may grow by the admin API; so may the fleet and the ledger, in step.
  Gateway(Services services, Deployments& deployments, const catalog::Catalog& catalog, GatewayOptions options);
  ~Gateway();
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

  // The handler of every listener.
  Task<void> handle(http::Exchange& exchange);

  // Adds a deployment to ledger, fleet and phone book, in this order. Errors: of the ledger and the fleet.
  Task<Status> deploy(Deployment deployment);

  void set_listening(std::vector<std::string> addresses) { listening_ = std::move(addresses); }
  void set_connection_count(std::function<std::size_t()> count) { connection_count_ = std::move(count); }

  // Readiness is true between these two; requests are served before and after.
  void begin_serving() { ready_ = true; }
  void begin_draining();
  // True when no inference request is left within `wait`.
  Task<bool> wait_idle(std::chrono::milliseconds wait);
  // Every running inference request ends with `draining`.
  void stop_requests();

 private:
  struct ActiveCall;

  void add_routes();
  void add_inference_routes();
  void add_admin_routes();

  Task<void> health(Call& call) const;
  Task<void> readiness(Call& call) const;
  Task<void> models(Call& call) const;
  Task<void> model(Call& call) const;
  Task<void> generate(Call& call);
  Task<void> openai(Call& call, api::GenerationRequest::Kind kind);
  Task<void> metrics(Call& call) const;

  Task<void> admin_status(Call& call) const;
  Task<void> admin_deployment(Call& call) const;
  Task<void> admin_deploy(Call& call);
  Task<void> admin_wake(Call& call);
  Task<void> admin_sleep(Call& call);
  Task<void> admin_usage(Call& call);
  Task<void> admin_requests(Call& call);
  Task<void> admin_logs(Call& call) const;
  Task<void> reply_deployment(Call& call, const Deployment& deployment) const;
  // An admin verb's answer: the deployment as it is now, or why the verb failed.
  Task<void> reply_outcome(Call& call, const Deployment& deployment, const Status& done);
  [[nodiscard]] const Deployment* deployment_of(const Call& call) const;
  [[nodiscard]] StatusView status_view() const;

  Services services_;
  Deployments& deployments_;
  const catalog::Catalog& catalog_;
  const GatewayOptions options_;
  const MonoTime started_;
  Router router_;
  std::unique_ptr<Pipeline> pipeline_;
  std::vector<std::string> listening_;
  std::function<std::size_t()> connection_count_;
  std::set<Call*> active_;  // inference only
  asio::steady_timer idle_;
  bool ready_ = false;
  bool draining_ = false;
};

// VmRSS of this process in bytes, 0 where unknown.
[[nodiscard]] std::int64_t resident_bytes();
// What this build calls itself.
inline constexpr const char* kVersion = "0.1.0";

}  // namespace dormouse::gateway
